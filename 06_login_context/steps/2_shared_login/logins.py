# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1, Werkzeug 3.1 and redis-py 8.1, or later.
"""Logins in Redis: whichever process creates or ends one, all others know it at once.

Settings: ``REDIS_URL``; ``PERMANENT_SESSION_LIFETIME``, how long a login lasts; and
``LOGINS_PER_ACCOUNT`` (default 20). A login is the hash ``login:<login id>``, whose field
``account`` says whose it is, and the browser has its id in the session cookie. The list
``logins:<account>`` has the ids of an account's logins, the newest first.
"""

import secrets
from typing import Any

from flask import Flask, abort, current_app
from redis import BlockingConnectionPool, ReadOnlyError, Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.local import LocalProxy

redis: Any = LocalProxy(lambda: current_app.extensions["redis"])


def store(login_id: str, account: str, client: Any) -> None:
    """Store a login; *client* is a pipeline, so that it can be part of a larger transaction."""
    lifetime = current_app.permanent_session_lifetime
    client.hset(f"login:{login_id}", "account", account)
    client.expire(f"login:{login_id}", lifetime)
    client.lpush(f"logins:{account}", login_id)
    client.expire(f"logins:{account}", lifetime)


def too_many(account: str) -> list[str]:
    """Return the oldest logins of *account* beyond its limit, once: the caller ends them."""
    most = current_app.config["LOGINS_PER_ACCOUNT"]
    with redis.pipeline() as pipe:
        pipe.lrange(f"logins:{account}", most, -1)
        pipe.ltrim(f"logins:{account}", 0, most - 1)
        oldest: list[str] = pipe.execute()[0]
    return oldest


def create(account: str) -> str:
    """Log *account* in and return the id of the new login."""
    login_id = secrets.token_hex(16)
    with redis.pipeline() as pipe:  # all commands or none
        store(login_id, account, pipe)
        pipe.execute()
    for oldest in too_many(account):
        end(oldest)
    return login_id


def account_of(login_id: str | None) -> str:
    """Return the account of a login; 401 if there is none, or if any process has ended it."""
    account: str | None = redis.hget(f"login:{login_id}", "account") if login_id else None
    if account is None:
        abort(401, "not_logged_in")
    return account


def accounts() -> set[str]:
    """Return the accounts that are logged in, in whatever browser."""
    keys = redis.scan_iter("logins:*", count=1000)
    return {key.removeprefix("logins:") for key in keys}


def end(login_id: str, client: Any = redis) -> None:
    """Log out, in every process and in every browser that has this login id."""
    account = redis.hget(f"login:{login_id}", "account")
    client.delete(f"login:{login_id}")
    client.lrem(f"logins:{account}", 0, login_id)


def refuse_replica(connection: Any) -> None:
    """Raise ReadOnlyError if a new connection leads to a server that only copies another one."""
    connection.on_connect()
    if (connection.handshake_metadata or {}).get("role") == "replica":
        raise ReadOnlyError("This server is a replica.")


def connect(url: str) -> Redis:
    """Return a client that answers or fails within 2 s; beyond 50 connections, requests queue."""
    pool = BlockingConnectionPool.from_url(
        url,
        timeout=0.5,
        socket_timeout=1,
        socket_connect_timeout=1,
        decode_responses=True,
        # When a replica takes over behind the same address, our connections stay with the server
        # that was the primary. It's a replica now, and refuses to write: connect again, once.
        retry=Retry(NoBackoff(), 1, (ReadOnlyError,)),
        redis_connect_func=refuse_replica,
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
    app.config.setdefault("LOGINS_PER_ACCOUNT", 20)
    app.extensions["redis"] = connect(app.config["REDIS_URL"])
    app.register_error_handler(RedisError, unavailable)
