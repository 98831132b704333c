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
from celery.exceptions import Reject  # type: ignore[import-untyped]
from flask import Flask
from kombu.exceptions import OperationalError
from kombu.transport.redis import Transport
from redis import ResponseError
from werkzeug.exceptions import ServiceUnavailable

# A worker ends at an error that isn't one of these, instead of connecting again. If its disk is
# full, Redis refuses to write, which is a ResponseError. If Redis goes away while a worker has a
# task, kombu 5.7.0 may use a connection that is None by then: an AttributeError (as in issue 659).
Transport.connection_errors += (ResponseError, AttributeError)


def broker_url(redis_url: str) -> str:
    """Return what Celery calls a Redis server: ``redis+socket:`` instead of ``unix:``."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, db = redis_url.removeprefix("unix://").partition("?db=")
    return f"redis+socket://{path}?virtual_host={db or 0}"


def configure(celery: Celery, app: Flask) -> None:
    """Set what differs from Celery's own settings; a comment says what happens without it."""
    timeout = app.config["VISIBILITY_TIMEOUT"]
    celery.conf.update(
        broker_url=broker_url(app.config.get("CELERY_BROKER_URL") or app.config["REDIS_URL"]),
        broker_connection_max_retries=None,  # a worker without Redis gives up after 46 minutes
        broker_transport_options={
            "visibility_timeout": timeout,  # the task of a killed worker waits for an hour
            # A worker looks for such tasks every 100 seconds: by default at every 10th interval
            # of 10 seconds.
            "unacked_restore_interval": max(1, timeout // 10),
            "unacked_restore_throttle": 1,
            # With a broker that accepts connections and never responds, .delay() takes minutes.
            "socket_timeout": 0.5,
            "socket_connect_timeout": 0.5,
        },
        # .delay() tries three times more, and waits in between.
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0},
        # .delay() also waits for a result backend, up to 19 seconds. There is one as soon as
        # somebody sets CELERY_RESULT_BACKEND in the environment.
        task_ignore_result=True,
        # A worker takes four tasks for each of its processes, and the timeout of all four runs.
        # One that it fails to acknowledge takes up a place for good.
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=0,
        # After a lost connection the task runs on, although it goes to another worker as well.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        # A worker that is told to stop (with SIGQUIT) gives its task no time to end. With this it
        # gives it so many seconds, and then puts the task back.
        worker_soft_shutdown_timeout=1,
    )


def make_celery(app: Flask) -> Celery:
    """Return *app*'s Celery: a task runs in its app context and isn't lost if its retry can't be
    sent; a view whose `.delay()` finds no broker responds with a 503, within 2 seconds."""

    class ContextTask(Task):  # type: ignore[misc]
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            with app.app_context():
                return self.run(*args, **kwargs)

        def retry(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().retry(*args, **kwargs)
            except Reject as error:  # it can't be sent, after which Celery drops the task
                raise Reject(error.reason, requeue=True) from error

    def unavailable(error: OperationalError) -> ServiceUnavailable:
        app.logger.error("The broker can't be reached: %s", error)
        return ServiceUnavailable("The broker can't be reached.", retry_after=2)

    celery = Celery(app.name, task_cls=ContextTask)
    configure(celery, app)
    celery.set_default()  # what @shared_task means; of two apps in a process, the last one's
    app.register_error_handler(OperationalError, unavailable)
    app.extensions["celery"] = celery
    return celery
