"""What the worker imports: ``celery --app make_celery worker``. Nobody needs to be logged in."""

from typing import Any

from kombu.transport import redis

import tasks  # noqa: F401  (registers them)
from app import create_app

celery = create_app().extensions["celery"]


class Channel(redis.Channel):
    """Reports a connection that is closed as one that is lost.

    kombu 5.7.0 raises AttributeError there, which Celery takes for a bug: a worker that has a
    task in hand when Redis goes away would end, instead of coming back with Redis.
    """

    def _connparams(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._connparams(*args, **kwargs)  # type: ignore[no-untyped-call]
        except AttributeError as error:
            raise ConnectionError("The connection is closed.") from error


redis.Transport.Channel = Channel
