# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1, Werkzeug 3.1 and redis-py 8.1, or later.
"""Logins in Redis: whichever process creates or ends one, all others know it at once.

Settings: ``REDIS_URL``, ``PERMANENT_SESSION_LIFETIME``. A login is the hash ``login:<login id>``,
whose field ``account`` says which account it belongs to. The browser has the login id in its
session cookie.
"""

import secrets
from typing import Any

from flask import Flask, abort, current_app
from redis import BlockingConnectionPool, Redis, RedisError
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.local import LocalProxy

redis: Any = LocalProxy(lambda: current_app.extensions["redis"])


def store(login_id: str, account: str, client: Any) -> None:
    """Store a login; *client*: Redis, or a pipeline, if it is to be part of a transaction."""
    client.hset(f"login:{login_id}", "account", account)
    client.expire(f"login:{login_id}", current_app.permanent_session_lifetime)


def create(account: str) -> str:
    """Log *account* in and return the id of the new login."""
    login_id = secrets.token_hex(16)
    with redis.pipeline() as pipe:  # all commands or none
        store(login_id, account, pipe)
        pipe.execute()
    return login_id


def account_of(login_id: str | None) -> str:
    """Return the account of a login; 401 if there is none, or if any process has ended it."""
    account: str | None = redis.hget(f"login:{login_id}", "account") if login_id else None
    if account is None:
        abort(401, "not_logged_in")
    return account


def end(login_id: str, client: Any = redis) -> None:
    """Log out, in every process and in every browser that has this login id."""
    client.delete(f"login:{login_id}")


def connect(url: str) -> Redis:
    """Return a client that answers or fails within 2 s; beyond 50 connections, requests queue."""
    pool = BlockingConnectionPool.from_url(
        url, timeout=0.5, socket_timeout=1, socket_connect_timeout=1, decode_responses=True
    )
    return Redis.from_pool(pool)


def unavailable(error: Exception) -> ServiceUnavailable:
    """Return a 503, so that the client knows that it's worth another try."""
    # redis-py quotes the command of a pipeline that failed, and there may be secrets in it.
    reason = str(error).rpartition(" caused error: ")[2]
    current_app.logger.error("%s: %s", type(error).__name__, reason)
    return ServiceUnavailable("Redis is down.", retry_after=2)


def init_app(app: Flask) -> None:
    """Connect *app* to ``REDIS_URL``, as soon as a request needs it."""
    app.extensions["redis"] = connect(app.config["REDIS_URL"])
    app.register_error_handler(RedisError, unavailable)
