"""The desk's own error codes, and what it responds when something that it needs fails."""

import errno

from flask import Flask, current_app
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]

import handlers
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
    """Respond to these failures in the API's format."""
    # What the other modules raise is Werkzeug's, because they work without these codes as well.
    handlers.FOR_STATUS |= {401: NotLoggedIn, 503: ServiceUnavailable}
    app.register_error_handler(OSError, no_room)
    app.register_error_handler(ParseException, bad_chunks)
