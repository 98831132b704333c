"""The obvious way: the logins in a dict. It works for as long as the app is one process."""

import secrets
from collections.abc import Mapping
from typing import Any

from flask import Flask, abort

import context
import pages
from wx import Bot, get_bot

logins: dict[str, str] = {}  # Trap: a dict belongs to one process


def create(account: str) -> str:
    login_id = secrets.token_hex(16)
    logins[login_id] = account
    return login_id


def open_bot(login_id: str | None) -> Bot:
    if login_id not in logins:
        abort(401)
    return get_bot(logins[login_id])


def end(login_id: str) -> None:
    logins.pop(login_id, None)


def create_app(config: Mapping[str, Any]) -> Flask:
    """Build the app that answers ``?version=article``, with the settings of ours."""
    app = Flask(__name__)
    app.config.from_mapping(config)
    context.init_app(app, open_bot)
    pages.init_app(app, create, end)
    return app
