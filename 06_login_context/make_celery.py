"""What the worker imports: ``celery --app make_celery worker``. Nobody needs to be logged in."""

from typing import Any

from kombu.transport import redis

import tasks  # noqa: F401  (registers them)
from app import create_app

celery = create_app().extensions["celery"]


class Channel(redis.Channel):
    """Says of a closed connection that it is closed: kombu 5.7.0 says AttributeError.

    Which nobody expects, so a worker that had a task when Redis went away would end.
    """

    def _connparams(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._connparams(*args, **kwargs)  # type: ignore[no-untyped-call]
        except AttributeError as error:
            raise ConnectionError("The connection is closed.") from error


redis.Transport.Channel = Channel
