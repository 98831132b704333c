"""The catalogue of error codes, and the errors of Werkzeug in the API's format.

Setting: ``API_PREFIXES``, the paths where HTTP errors are JSON (default ``["/j", "/v1"]``).
"""

from typing import Any

import click
from flask import Flask, current_app, request
from werkzeug.exceptions import HTTPException

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
]
FOR_STATUS = {403: AccessForbidden, 404: NotFound, 500: ApiException}


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


def is_api_request() -> bool:
    # With a slash added to both, /j itself counts as well, but /jobs doesn't.
    for prefix in current_app.config["API_PREFIXES"]:
        if f"{request.path}/".startswith(f"{prefix}/"):
            return True
    return False


def http_error(error: HTTPException) -> HTTPException:
    """Turn an error that Werkzeug raised in the API into the API's format."""
    is_error = (error.code or 500) >= 400  # not a redirect
    if isinstance(error, ApiException) or error.response is not None or not is_error:
        return error
    if not is_api_request():
        return error

    status = error.code or 500
    headers = error.get_headers()
    if status in FOR_STATUS:
        return FOR_STATUS[status](headers=headers)
    return ApiException(error.name, code=status, error_code=status, headers=headers)


def init_app(app: Flask) -> None:
    """Add the handler and the command ``flask errors``; ValueError names a bad setting."""
    prefixes = app.config.setdefault("API_PREFIXES", ["/j", "/v1"])
    if not isinstance(prefixes, (list, tuple)):
        raise ValueError(f"API_PREFIXES is {prefixes!r}, not a list of paths")
    for prefix in prefixes:
        if not isinstance(prefix, str) or not prefix.startswith("/") or prefix.endswith("/"):
            raise ValueError(f"API_PREFIXES: {prefix!r} is not a path like /api")
    app.register_error_handler(HTTPException, http_error)
    app.cli.command("errors")(print_catalogue)
