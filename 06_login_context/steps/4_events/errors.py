"""The catalogue of error codes: each is an exception, its docstring says what to do about it."""

from typing import Any

import click
from flask import Flask

from exceptions import ApiException, ClientTypeError, ParameterException, Success


class AccessForbidden(ApiException):
    """Not for this account. Ask an admin."""

    code = 403
    error_code = 1001
    msg = "access_forbidden"


class UnimplementedError(ApiException):
    """Not built yet. Do without it."""

    code = 400
    error_code = 1002
    msg = "unimplemented_error"


class NotFound(ApiException):
    """Nothing is there. Check the path and the id."""

    code = 404
    error_code = 1003
    msg = "not_found"


class IllegalState(ApiException):
    """Not in this state. Read it again first."""

    code = 400
    error_code = 1004
    msg = "illegal_state"


class HttpError(ApiException):
    """Any other HTTP error, with its own status. msg says which."""

    code = 400
    error_code = 1007
    msg = "http_error"


class NotLoggedIn(ApiException):
    """No login in this browser. Scan the code first."""

    code = 401
    error_code = 1008
    msg = "not_logged_in"


class ServiceUnavailable(ApiException):
    """Something that we need is away. Retry as Retry-After says."""

    code = 503
    error_code = 1009
    msg = "service_unavailable"


# A code is never reused and never renumbered, because clients rely on it.
CATALOGUE = [
    Success,
    ApiException,
    ParameterException,
    AccessForbidden,
    UnimplementedError,
    NotFound,
    IllegalState,
    ClientTypeError,
    HttpError,
    NotLoggedIn,
    ServiceUnavailable,
]


def catalogue() -> list[dict[str, Any]]:
    """Return code, message, HTTP status and meaning of every error, for the API and the README."""
    return [
        {
            "error_code": error.error_code,
            "msg": error.msg,
            "status": error.code,
            "meaning": error.__doc__,
        }
        for error in CATALOGUE
    ]


def print_catalogue() -> None:
    """List the error codes, what they mean and what to do."""
    for entry in catalogue():
        click.echo("{error_code:4} {status} {msg:20}{meaning}".format(**entry))


def init_app(app: Flask) -> None:
    """Add the command ``flask errors``."""
    app.cli.command("errors")(print_catalogue)
