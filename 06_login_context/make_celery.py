"""What the worker imports: ``celery --app make_celery worker``. Nobody needs to be logged in."""

import warnings
from typing import Any

from celery import signals  # type: ignore[import-untyped]
from celery.exceptions import CPendingDeprecationWarning  # type: ignore[import-untyped]
from kombu.transport import redis
from redis import ResponseError

import tasks  # noqa: F401  (registers them)
from app import create_app

celery = create_app().extensions["celery"]
# Otherwise a worker gives up when Redis has been away for 46 minutes.
celery.conf.broker_connection_max_retries = None


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def hide_announcement(**_: Any) -> None:
    """Keep Celery from announcing a later default at each reconnect, in eight lines."""
    warnings.simplefilter("ignore", CPendingDeprecationWarning)


class QoS(redis.QoS):
    """Frees a task's place in the worker even if Redis can't be told that the task is done.

    A worker has a place for each task that it may hold. kombu forgets to free it if Redis fails
    right then, so after a few such failures the worker would take no task any more. The task itself
    comes again, when its visibility timeout is over.
    """

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        finally:
            self._quick_ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]
        finally:
            self._quick_ack(delivery_tag)


class Channel(redis.Channel):
    """A connection to the broker that takes no task while the broker refuses to write.

    kombu first takes a task from the queue, and then writes down that it has it. If Redis refuses
    the second step, because its disk is full or ``maxmemory`` is reached, the task is lost.
    """

    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        try:
            self.check_writing()
        except ResponseError:
            self.close()  # type: ignore[no-untyped-call]
            raise

    def check_writing(self) -> None:
        # This changes nothing, and yet it counts as a write.
        self.client.setrange("check", 0, "")

    def _brpop_start(self, timeout: float | None = None) -> None:
        self.check_writing()
        super()._brpop_start(timeout)  # type: ignore[no-untyped-call]

    def _connparams(self, *args: Any, **kwargs: Any) -> Any:
        # kombu 5.7.0 raises AttributeError for a connection that is closed, which Celery takes for
        # a bug: a worker that has a task in hand when Redis goes away would end, instead of coming
        # back with Redis.
        try:
            return super()._connparams(*args, **kwargs)  # type: ignore[no-untyped-call]
        except AttributeError as error:
            raise ConnectionError("The connection is closed.") from error


redis.Transport.Channel = Channel
# A worker survives only errors of its connection: it connects again, first after 2 seconds and in
# the end every 30. A refusal (MISCONF, OOM) comes as a ResponseError, so it has to be one of them.
redis.Transport.connection_errors = (*redis.Transport.connection_errors, ResponseError)
