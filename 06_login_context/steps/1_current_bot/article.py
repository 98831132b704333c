"""The first article's `current_bot`: pushed by the first request, and never popped."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, session
from werkzeug.local import LocalProxy, LocalStack

import pages
from logins import open_bot
from wx import Bot


def _find_bot() -> Bot:
    top = _wx_ctx_stack.top
    if top is None:
        top = open_bot(session.get("login"))  # the article's get_bot() has a QR code scanned
        _wx_ctx_stack.push(top)  # Trap: a bot that is never popped serves the next request
    return top


_wx_ctx_stack: LocalStack[Bot] = LocalStack()
current_bot: Bot = LocalProxy(_find_bot)  # type: ignore[assignment]


def create_app(config: Mapping[str, Any]) -> Flask:
    """Build the app that answers ``?version=article``, with the settings of ours."""
    app = Flask(__name__)
    app.config.from_mapping(config)
    pages.init_app(app, current_bot)
    return app
