"""Chapter 06, step 4: open pages hear what happens."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from redis import Redis

import context
import events
import logins
import pages
import tasks
from deploy import redis_server
from deploy.secret_key import shared_key
from make_celery import make_celery
from wx import Bot, get_bot


def open_bot(login_id: str | None) -> Bot:
    return get_bot(logins.account_of(login_id))


def configure(app: Flask, config: Mapping[str, Any] | None) -> None:
    """Do what both versions need; settings come from ``FLASK_*`` variables, then from *config*."""
    app.config.update(BOT_CLASS="wx.DemoBot", VISIBILITY_TIMEOUT=10)  # seconds
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
    make_celery(app)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    configure(app, config)
    events.init_app(app)
    pages.init_app(app, tasks.start_fetch, events.end_login, app.extensions["sse"].publish)
    return app
