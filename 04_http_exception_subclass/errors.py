"""The catalogue of error codes, and the errors of Werkzeug in the API's format.

Setting: ``API_PREFIXES``, the paths where HTTP errors are JSON (default ``["/j", "/v1"]``).
"""

import inspect
from typing import Any

import click
from flask import Flask, current_app, request
from werkzeug.exceptions import HTTPException

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
)
FOR_STATUS = {403: AccessForbidden, 404: NotFound, 500: ApiException}


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


def http_error(error: HTTPException) -> HTTPException:
    """Answer for the API in its format; a status without a code of its own is the code."""
    prefixes = tuple(f"{prefix}/" for prefix in current_app.config["API_PREFIXES"])
    ours = isinstance(error, ApiException) or error.response is not None
    if ours or not f"{request.path}/".startswith(prefixes):
        return error
    status = error.code or 500
    known = FOR_STATUS.get(status)
    if known:
        return known(headers=error.get_headers())
    return ApiException(error.name, code=status, error_code=status, headers=error.get_headers())


def init_app(app: Flask) -> None:
    """Add the handler and the command ``flask errors``; ValueError names a bad setting."""
    prefixes = app.config.setdefault("API_PREFIXES", ["/j", "/v1"])
    if not isinstance(prefixes, (list, tuple)):
        raise ValueError(f"API_PREFIXES is {prefixes!r}, not a list of paths")
    for prefix in prefixes:
        if not isinstance(prefix, str) or not prefix.startswith("/") or prefix.endswith("/"):
            raise ValueError(f"API_PREFIXES: {prefix!r} is no path like /api")
    app.register_error_handler(HTTPException, http_error)
    app.cli.command("errors")(print_catalogue)
