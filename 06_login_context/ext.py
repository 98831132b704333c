"""Extensions, created unbound and bound in the factory: redis, sse, celery.

Settings: ``REDIS_URL``, ``CELERY_BROKER_URL``, ``VISIBILITY_TIMEOUT`` (seconds until the task of
a worker that was killed is given to another).
"""

import secrets
from typing import Any

from celery import Celery, Task  # type: ignore[import-untyped]
from flask import Flask, current_app, session
from kombu.exceptions import OperationalError
from redis import BlockingConnectionPool, Redis, RedisError, UnixDomainSocketConnection
from werkzeug.local import LocalProxy

from errors import ServiceUnavailable
from sse import SSE

# redis-py 8.1 reads these when a connect times out, and raises AttributeError without them.
for missing in ("host", "port"):
    setattr(UnixDomainSocketConnection, missing, None)


def browser_id() -> str:
    """Return what this browser is called until its next login or logout."""
    name: str = session.setdefault("browser", secrets.token_hex(16))
    return name


def channels() -> list[str]:
    """Return what this browser listens to; sse.publish without a channel goes to the first."""
    names = [f"browser:{browser_id()}"]
    if login := session.get("login"):
        account = redis.hget(f"login:{login}", "account")
        names += [f"login:{login}", f"account:{account}"] if account else []
    return names


redis: Any = LocalProxy(lambda: current_app.extensions["redis"])
sse: Any = LocalProxy(lambda: current_app.extensions["sse"])


def unavailable(error: Exception) -> ServiceUnavailable:
    """Answer for Redis or the broker; whoever waits tries again."""
    current_app.logger.error("%s: %s", type(error).__name__, error)
    return ServiceUnavailable(headers={"Retry-After": "2"})


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
            # Else kombu looks every 100 s which tasks are due again.
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


def init_app(app: Flask) -> None:
    """Bind the extensions to *app*; Redis or broker away is 503 and code 1009."""
    app.extensions["redis"] = make_redis(app.config["REDIS_URL"])
    app.extensions["celery"] = make_celery(app)
    app.extensions["sse"] = SSE()
    app.extensions["sse"].init_app(app, app.extensions["redis"], channels)
    app.register_error_handler(RedisError, unavailable)
    app.register_error_handler(OperationalError, unavailable)
