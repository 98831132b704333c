# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1, Celery 5.7 and redis-py 8.1, or later.
"""Celery for a Flask app, with Redis as its broker.

Settings: ``REDIS_URL``; ``CELERY_BROKER_URL``, if the broker is another server; and
``VISIBILITY_TIMEOUT``, the seconds until the task of a worker that was killed goes to another one.
No task may take longer, and no countdown of a task may be longer: Redis would hand the task out
again, each time that the timeout is over. See
https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html.
"""

from typing import Any

from celery import Celery, Task  # type: ignore[import-untyped]
from flask import Flask
from kombu.exceptions import OperationalError
from kombu.transport.redis import Transport
from redis import ResponseError
from werkzeug.exceptions import ServiceUnavailable

# If its disk is full, Redis refuses to write, which is a ResponseError. And if Redis goes away
# while a worker has a task, kombu 5.7.0 meets an AttributeError of its own. The worker ends at both
# unless it takes them for a lost connection, and then it connects again and again.
Transport.connection_errors += (ResponseError, AttributeError)


def broker_url(redis_url: str) -> str:
    """Return what Celery calls a Redis server: ``redis+socket:`` instead of ``unix:``."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, db = redis_url.removeprefix("unix://").partition("?db=")
    return f"redis+socket://{path}?virtual_host={db or 0}"


def make_celery(app: Flask) -> Celery:
    """Return *app*'s Celery: a task runs in its app context, and a view whose `.delay()` finds no
    broker responds with a 503, within 2 seconds."""

    class ContextTask(Task):  # type: ignore[misc]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            with app.app_context():
                return self.run(*args, **kwargs)

    def unavailable(error: OperationalError) -> ServiceUnavailable:
        app.logger.error("The broker can't be reached: %s", error)
        return ServiceUnavailable("The broker can't be reached.", retry_after=2)

    app.register_error_handler(OperationalError, unavailable)
    timeout = app.config["VISIBILITY_TIMEOUT"]
    celery = Celery(app.name, task_cls=ContextTask)
    celery.conf.update(
        broker_url=broker_url(app.config.get("CELERY_BROKER_URL") or app.config["REDIS_URL"]),
        broker_connection_retry_on_startup=True,  # the worker may start before Redis does
        broker_connection_max_retries=None,  # otherwise it gives up after 46 minutes
        broker_transport_options={
            "visibility_timeout": timeout,
            # How often a worker looks for tasks that are due again: every 100 seconds by default,
            # whatever the timeout is.
            "unacked_restore_interval": max(1, timeout // 10),
            "unacked_restore_throttle": 1,
            "socket_timeout": 0.5,
            "socket_connect_timeout": 0.5,
        },
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0},
        task_ignore_result=True,  # a result backend is waited for, even by .delay()
        task_serializer="json",
        accept_content=["json"],
        # A worker takes a task as soon as one of its processes is free. By default it counts the
        # tasks that it has acknowledged, and one whose acknowledgement fails is never counted.
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=0,
        # If the connection is lost, the task will come again, so it is stopped.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_soft_shutdown_timeout=1,  # seconds, then a running task goes back to the queue
    )
    celery.set_default()  # what @shared_task means
    app.extensions["celery"] = celery
    return celery
