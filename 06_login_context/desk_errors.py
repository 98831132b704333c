"""The desk's own error codes, and what it responds when something that it needs fails."""

import errno

from flask import Flask, current_app
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from kombu.exceptions import OperationalError
from redis import RedisError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

import handlers
import logins
from exceptions import ApiException, HttpError


class NotLoggedIn(ApiException):
    """No login in this browser. Scan the code first."""

    code = 401
    error_code = 1008
    msg = "not_logged_in"


class ServiceUnavailable(ApiException):
    """Something that we need is away or full. Retry as Retry-After says."""

    code = 503
    error_code = 1009
    msg = "service_unavailable"


def unavailable(error: RedisError | OperationalError) -> HTTPException | Response:
    """Respond to a failure of Redis or of the broker: 503, and when to try again."""
    return handlers.http_error(logins.unavailable(error))


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
    """Respond to these failures in the API's format; call it after logins and Celery."""
    # What the other modules raise is Werkzeug's, because they work without these codes as well.
    handlers.FOR_STATUS |= {401: NotLoggedIn, 503: ServiceUnavailable}
    app.register_error_handler(RedisError, unavailable)
    app.register_error_handler(OperationalError, unavailable)
    app.register_error_handler(OSError, no_room)
    app.register_error_handler(ParseException, bad_chunks)
