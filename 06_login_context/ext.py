"""Extensions, created unbound and bound in the factory: redis, sse, celery.

Settings: ``REDIS_URL``, and those of ``sse.py`` and ``make_celery.py``.
"""

import errno
from typing import Any

from flask import Flask, current_app, request, session
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from kombu.exceptions import OperationalError
from redis import BlockingConnectionPool, Redis, RedisError, UnixDomainSocketConnection
from werkzeug.local import LocalProxy

from desk_errors import NotLoggedIn, ServiceUnavailable
from exceptions import HttpError, ParameterException
from make_celery import make_celery
from sse import SSE

# redis-py 8.1 reads these when a connect times out, and raises AttributeError without them.
for missing in ("host", "port"):
    setattr(UnixDomainSocketConnection, missing, None)

redis: Any = LocalProxy(lambda: current_app.extensions["redis"])
sse: Any = LocalProxy(lambda: current_app.extensions["sse"])


def now(client: Any = redis) -> float:
    """Return the time in seconds since 1970, by the one clock that all machines share: Redis's."""
    seconds, microseconds = client.time()
    return float(seconds + microseconds / 1_000_000)


def json_object() -> dict[str, Any]:
    """Return the JSON object that the request sends, or raise ParameterException."""
    data = request.get_json(silent=True)
    if not isinstance(data, dict):
        raise ParameterException({"body": ["A JSON object is needed."]})
    return data


def channels() -> list[str]:
    """Return what the login of this request may hear; raises NotLoggedIn if there is none."""
    if "account" not in session:
        raise NotLoggedIn()
    return [f"login:{session['login']}", f"account:{session['account']}"]


def seconds_left() -> float:
    """Return how long the login of this request lasts; raises NotLoggedIn if it has ended."""
    left = redis.pttl(f"login:{session['login']}")
    if left <= 0:
        raise NotLoggedIn()
    return float(left / 1000)


def make_redis(url: str) -> Redis:
    """Return a client that answers or fails within 2 s; beyond 50 connections, requests queue."""
    pool = BlockingConnectionPool.from_url(
        url, timeout=0.5, socket_timeout=1, socket_connect_timeout=1, decode_responses=True
    )
    return Redis.from_pool(pool)


def unavailable(error: Exception) -> ServiceUnavailable:
    """Respond to a failure of Redis or the broker: 503, and when to try again."""
    # redis-py quotes the command of a pipeline that failed, and with it codes that are still open.
    reason = str(error).rpartition(" caused error: ")[2]
    current_app.logger.error("%s: %s", type(error).__name__, reason)
    return ServiceUnavailable(headers={"Retry-After": "2"})


def no_room(error: OSError) -> HttpError:
    """Respond to a full disk with 507; raises every other *error* again."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise error
    current_app.logger.error("%s", error)
    return HttpError("There is no room for this file.", code=507)


def bad_chunks(error: ParseException) -> HttpError:
    """Respond to a chunked body that gunicorn can't read, which it notices while a view reads."""
    return HttpError("The body of this request is broken.", code=400)


def init_app(app: Flask) -> None:
    """Bind the extensions to *app*, and respond to their failures in the API's format."""
    app.extensions["redis"] = make_redis(app.config["REDIS_URL"])
    make_celery(app)
    app.extensions["sse"] = SSE()
    app.extensions["sse"].init_app(app, app.extensions["redis"], channels, seconds_left)
    app.register_error_handler(RedisError, unavailable)
    app.register_error_handler(OperationalError, unavailable)
    app.register_error_handler(OSError, no_room)
    app.register_error_handler(ParseException, bad_chunks)
