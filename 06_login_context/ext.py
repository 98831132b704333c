"""Extensions, created unbound and bound in the factory: redis, sse, celery.

Settings: ``REDIS_URL``, ``CELERY_BROKER_URL``, ``VISIBILITY_TIMEOUT`` (seconds until the task of
a worker that was killed is given to another).
"""

import errno
from typing import Any

from celery import Celery, Task  # type: ignore[import-untyped]
from flask import Flask, current_app, request, session
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from kombu.exceptions import OperationalError
from redis import BlockingConnectionPool, Redis, RedisError, UnixDomainSocketConnection
from werkzeug.local import LocalProxy

from desk_errors import NotLoggedIn, ServiceUnavailable
from exceptions import HttpError, ParameterException
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


def make_celery(app: Flask) -> Celery:
    """Return *app*'s Celery: a task runs in its app context, `.delay()` fails within 2 s."""

    class ContextTask(Task):  # type: ignore[misc]
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery = Celery(app.name, task_cls=ContextTask)
    celery.conf.update(
        broker_url=app.config["CELERY_BROKER_URL"],
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": app.config["VISIBILITY_TIMEOUT"],
            # Otherwise kombu looks only every 100 s which tasks are due again.
            "unacked_restore_interval": min(10, app.config["VISIBILITY_TIMEOUT"]),
            "unacked_restore_throttle": 1,
            "socket_timeout": 0.5,
            "socket_connect_timeout": 0.5,
        },
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0},
        task_ignore_result=True,  # a result backend is waited for, even by .delay()
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_soft_shutdown_timeout=1,  # seconds, then a running task goes back to the queue
        task_serializer="json",
        accept_content=["json"],
    )
    celery.set_default()  # what @shared_task means
    return celery


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
    app.extensions["celery"] = make_celery(app)
    app.extensions["sse"] = SSE()
    app.extensions["sse"].init_app(app, app.extensions["redis"], channels, seconds_left)
    app.register_error_handler(RedisError, unavailable)
    app.register_error_handler(OperationalError, unavailable)
    app.register_error_handler(OSError, no_room)
    app.register_error_handler(ParseException, bad_chunks)
