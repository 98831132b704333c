"""As in the article, a process has its logins in memory. It works as long as there's only one."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, abort

import context
import pages
from deploy.secret_key import shared_key
from wx import Bot, DemoBot

logins: dict[str, str] = {}  # Trap: a dict belongs to one process


def create(account: str) -> str:
    login_id = secrets.token_hex(16)
    logins[login_id] = account
    return login_id


def open_bot(login_id: str | None) -> Bot:
    if login_id not in logins:
        abort(401)
    return DemoBot(logins[login_id])


def end(login_id: str) -> None:
    logins.pop(login_id, None)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config["SESSION_COOKIE_NAME"] = "article"  # a browser sends ours to this port as well
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    app.config["SECRET_KEY"] = app.config["SECRET_KEY"] or shared_key(Path(app.instance_path))
    context.init_app(app, open_bot)
    pages.init_app(app, create, end)
    return app
