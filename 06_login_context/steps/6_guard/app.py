"""Chapter 06, step 6: the guard, which every request has to pass before a view runs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, abort
from redis import Redis

import context
import guard
import logins
import pages
from context import current_bot
from deploy import redis_server
from deploy.secret_key import shared_key
from wx import ACCOUNTS, Bot, DemoBot


def open_bot(login_id: str | None) -> Bot:
    """Return the bot of a login; 401 without one, or if its account is gone."""
    account = logins.account_of(login_id)
    if account not in ACCOUNTS:
        abort(401)
    return DemoBot(account)


def find_account() -> str:
    """Return the account of this request's login; 401 without one."""
    return str(current_bot.self["id"])


def configure(app: Flask, config: Mapping[str, Any] | None) -> None:
    """Do what both versions need; settings come from ``FLASK_*`` variables, then from *config*."""
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
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
    pages.init_app(app)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    configure(app, config)
    guard.init_app(app, find_account, public=["index", "log_in", "static"])
    return app
