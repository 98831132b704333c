"""The events of a login: what a browser may hear, and for how long."""

from typing import Any

from flask import Flask, current_app, session
from werkzeug.local import LocalProxy

import logins
from context import current_bot
from sse import SSE

sse: Any = LocalProxy(lambda: current_app.extensions["sse"])


def channel(login_id: str) -> str:
    """Return the name under which the events of a login are published."""
    return f"login:{login_id}"


def channels() -> list[str]:
    """Return what the browser of this request may hear; 401 without a login."""
    _ = current_bot.self
    return [channel(session["login"])]


def publish(data: Any, login_id: str, type: str, redis: Any = None) -> None:
    """Send an event to the pages of a login; *redis*: a pipeline that it is to be part of."""
    sse.publish(data, channel(login_id), type=type, redis=redis)


def end_login(login_id: str) -> None:
    """Log out, and end the streams that are open."""
    logins.end(login_id)
    sse.publish(None, channel(login_id), type="logged_out", last=True)


def init_app(app: Flask) -> None:
    """Add ``GET /stream``."""
    app.extensions["sse"] = SSE()
    app.extensions["sse"].init_app(app, app.extensions["redis"], channels)
