"""The catalogue of error codes: each is an exception, and its docstring says what to do."""

import inspect
from typing import Any

import click
from flask import Flask

from exceptions import ApiException, ClientTypeError, ParameterException, Success


class AccessForbidden(ApiException):
    """Not for this account. Ask an admin."""

    code, error_code, msg = 403, 1001, "access_forbidden"


class UnimplementedError(ApiException):
    """Not built yet. Do without it."""

    code, error_code, msg = 400, 1002, "unimplemented_error"


class NotFound(ApiException):
    """Nothing is there. Check the path and the id."""

    code, error_code, msg = 404, 1003, "not_found"


class IllegalState(ApiException):
    """Not in this state. Read it again first."""

    code, error_code, msg = 400, 1004, "illegal_state"


class HttpError(ApiException):
    """Any other HTTP error, with a status of its own. msg says which."""

    code, error_code, msg = 400, 1007, "http_error"


class NotLoggedIn(ApiException):
    """No login in this browser. Scan the code first."""

    code, error_code, msg = 401, 1008, "not_logged_in"


class ServiceUnavailable(ApiException):
    """Something that we need is away. Retry as Retry-After says."""

    code, error_code, msg = 503, 1009, "service_unavailable"


# A code is a public contract: never reused, never renumbered.
CATALOGUE = (
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
)


def catalogue() -> list[dict[str, Any]]:
    """Return code, message, HTTP status and meaning of every error, for the API and the README."""
    return [
        {"error_code": e.error_code, "msg": e.msg, "status": e.code, "meaning": inspect.getdoc(e)}
        for e in CATALOGUE
    ]


def print_catalogue() -> None:
    """List the error codes, what they mean and what to do."""
    for entry in catalogue():
        click.echo("{error_code:4} {status} {msg:20}{meaning}".format(**entry))


def init_app(app: Flask) -> None:
    """Add the command ``flask errors``."""
    app.cli.command("errors")(print_catalogue)
