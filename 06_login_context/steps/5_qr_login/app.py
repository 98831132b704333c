"""Chapter 06, step 5: a phone logs a page in."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from redis import Redis

import context
import logins
import pages
import scan
from deploy import redis_server
from deploy.secret_key import shared_key
from wx import Bot, DemoBot


def open_bot(login_id: str | None) -> Bot:
    return DemoBot(logins.account_of(login_id))


def set_up(app: Flask, config: Mapping[str, Any] | None) -> None:
    """Do what both versions need; settings come from ``FLASK_*`` variables, then from *config*."""
    app.config["REDIS_URL"] = os.environ.get("REDIS_URL")
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    app.config["REDIS_URL"] = app.config["REDIS_URL"] or redis_server.url(app.instance_path)
    app.config["SECRET_KEY"] = app.config["SECRET_KEY"] or shared_key(Path(app.instance_path))
    client = Redis.from_url(
        app.config["REDIS_URL"], decode_responses=True, socket_timeout=1, socket_connect_timeout=1
    )
    logins.init_app(app, client)
    context.init_app(app, open_bot)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings as in `set_up`."""
    app = Flask(__name__)
    set_up(app, config)
    pages.init_app(app, scan.new_code, scan.change_state, scan.claim)
    return app
