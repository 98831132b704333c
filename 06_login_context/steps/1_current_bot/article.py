"""The first article's `current_bot`: pushed by the first request, and never popped."""

import secrets
from collections.abc import Mapping
from typing import Any

from flask import Flask, session
from werkzeug.local import LocalProxy, LocalStack

import pages
from app import open_bot
from wx import Bot


def _find_bot() -> Bot:
    top = _wx_ctx_stack.top
    if top is None:
        top = open_bot(session.get("login"))  # the article's get_bot() has a QR code scanned
        _wx_ctx_stack.push(top)  # Trap: a bot that is never popped serves the next request
    return top


_wx_ctx_stack: LocalStack[Bot] = LocalStack()
current_bot: Bot = LocalProxy(_find_bot)  # type: ignore[assignment]


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = secrets.token_hex()
    # A browser sends a cookie to every port of a host, so ours and this one need a name each.
    app.config["SESSION_COOKIE_NAME"] = "article"
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    pages.init_app(app, current_bot)
    return app
