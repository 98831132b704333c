# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1, Werkzeug 3.1 and redis-py 8.1, or later.
"""Logins in Redis: whichever process creates or ends one, all others know it at once.

Settings: ``PERMANENT_SESSION_LIFETIME``, how long a login lasts, and ``LOGINS_PER_ACCOUNT``
(default 20). A login is the hash ``login:<login id>``, whose field ``account`` says whose it is.
The browser has the id in its session cookie, and the list ``logins:<account>`` has the ids of an
account's logins, the newest first.
"""

import secrets
from collections.abc import Callable
from typing import Any

from flask import Flask, abort, current_app
from redis import RedisError
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.local import LocalProxy

redis: Any = LocalProxy(lambda: current_app.extensions["redis"])


def store(login_id: str, account: str, pipe: Any) -> None:
    """Add what stores a login to *pipe*, a pipeline that may do more in the same transaction."""
    lifetime = current_app.permanent_session_lifetime
    pipe.hset(f"login:{login_id}", "account", account)
    pipe.expire(f"login:{login_id}", lifetime)
    pipe.lpush(f"logins:{account}", login_id)
    pipe.ltrim(f"logins:{account}", 0, 2 * current_app.config["LOGINS_PER_ACCOUNT"])
    pipe.expire(f"logins:{account}", 2 * lifetime)  # step 5 may make a login last longer


def end(login_id: str, pipe: Any = None) -> None:
    """Log out, in every process and in every browser that has this login id.

    *pipe*: a pipeline that this is to be part of.
    """
    account = redis.hget(f"login:{login_id}", "account")  # a pipeline would answer too late
    if account is not None:
        client = redis if pipe is None else pipe
        client.delete(f"login:{login_id}")
        client.lrem(f"logins:{account}", 0, login_id)


def limit(account: str, end: Callable[[str], None] = end) -> None:
    """End the oldest logins of *account* beyond ``LOGINS_PER_ACCOUNT``, each by calling *end*."""
    logins = f"logins:{account}"
    for login_id in redis.lrange(logins, current_app.config["LOGINS_PER_ACCOUNT"], -1):
        end(login_id)
        redis.lrem(logins, 0, login_id)  # end() leaves one that has expired


def create(account: str, end: Callable[[str], None] = end) -> str:
    """Log *account* in and return the id of the new login; *end* is for its oldest: see `limit`."""
    login_id = secrets.token_hex(16)
    with redis.pipeline() as pipe:  # all commands or none
        store(login_id, account, pipe)
        pipe.execute()
    limit(account, end)
    return login_id


def account_of(login_id: str | None) -> str:
    """Return the account of a login; 401 if there is none, or if any process has ended it."""
    account: str | None = redis.hget(f"login:{login_id}", "account") if login_id else None
    if account is None:
        abort(401, "not_logged_in")
    return account


def accounts() -> set[str]:
    """Return the accounts that are logged in, in whatever browser."""
    found = set()
    # With count, others get their turn in between.
    for key in redis.scan_iter("logins:*", count=1000, _type="list"):
        logins = [f"login:{login_id}" for login_id in redis.lrange(key, 0, -1)]
        if logins and redis.exists(*logins):  # they may expire before their list does
            found.add(key.removeprefix("logins:"))
    return found


def unavailable(error: Exception) -> ServiceUnavailable:
    """Return a 503, so that the client knows that it's worth another try."""
    # redis-py quotes the command of a pipeline that failed, and there may be secrets in it.
    reason = str(error).rpartition(" caused error: ")[2]
    current_app.logger.error("%s: %s", type(error).__name__, reason)
    return ServiceUnavailable("Redis is down.", retry_after=2)


def init_app(app: Flask, client: Any) -> None:
    """Keep the logins in *client*, a ``Redis(decode_responses=True)``; otherwise a ValueError."""
    if not client.get_encoder().decode_responses:
        raise ValueError("logins.py needs a Redis client with decode_responses=True")
    app.config.setdefault("LOGINS_PER_ACCOUNT", 20)
    app.extensions["redis"] = client
    app.register_error_handler(RedisError, unavailable)
