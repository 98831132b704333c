"""The events of a login and of its account: what a browser may hear, and for how long."""

from typing import Any

from flask import Flask, current_app, session
from werkzeug.local import LocalProxy

import logins
from context import current_bot
from logins import redis
from sse import SSE

sse: Any = LocalProxy(lambda: current_app.extensions["sse"])


def channels() -> list[str]:
    """Return what the browser of this request may hear; 401 without a login."""
    return [f"account:{current_bot.self['id']}", f"login:{session['login']}"]


def seconds_left() -> float:
    """Return how long the login of this request lasts; less than 0 if it has just ended."""
    return float(redis.pttl(f"login:{session['login']}") / 1000)


def end_login(login_id: str) -> None:
    """Log out, and end the streams that are open."""
    with redis.pipeline() as pipe:
        logins.end(login_id, pipe)
        sse.publish({"type": "logged_out"}, f"login:{login_id}", "login", last=True, redis=pipe)
        pipe.execute()


def init_app(app: Flask) -> None:
    """Add ``GET /stream``."""
    app.extensions["sse"] = SSE()
    app.extensions["sse"].init_app(app, app.extensions["redis"], channels, seconds_left)
