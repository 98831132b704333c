# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1, Werkzeug 3.1 and redis-py 8.1, or later.
"""Logins in Redis: whichever process creates or ends one, all others know it at once.

Setting: ``REDIS_URL``. A login is the hash ``login:<login id>``, whose field ``account`` says which
account it belongs to. The browser has the login id in its session cookie.
"""

import secrets
from typing import Any

from flask import Flask, abort, current_app
from redis import Redis, RedisError
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.local import LocalProxy

redis: Any = LocalProxy(lambda: current_app.extensions["redis"])


def create(account: str) -> str:
    """Log *account* in and return the id of the new login."""
    login_id = secrets.token_hex(16)
    key = f"login:{login_id}"
    with redis.pipeline() as pipe:  # both commands or neither
        pipe.hset(key, "account", account)
        pipe.expire(key, current_app.permanent_session_lifetime)
        pipe.execute()
    return login_id


def account_of(login_id: str | None) -> str:
    """Return the account of a login; 401 if there is none, or if any process has ended it."""
    account: str | None = redis.hget(f"login:{login_id}", "account") if login_id else None
    if account is None:
        abort(401)
    return account


def end(login_id: str) -> None:
    """Log out, in every process and in every browser that has this login id."""
    redis.delete(f"login:{login_id}")


def unavailable(error: RedisError) -> ServiceUnavailable:
    """Respond with 503, so that the client knows that it's worth another try."""
    current_app.logger.error("%s: %s", type(error).__name__, error)
    return ServiceUnavailable("Redis is down.", retry_after=2)


def init_app(app: Flask) -> None:
    """Connect *app* to ``REDIS_URL``, as soon as a request needs it."""
    app.extensions["redis"] = Redis.from_url(
        app.config["REDIS_URL"],
        decode_responses=True,
        socket_timeout=1,
        socket_connect_timeout=1,
    )
    app.register_error_handler(RedisError, unavailable)
