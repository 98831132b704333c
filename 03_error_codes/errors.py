"""Error codes for a JSON API: the catalogue, an exception, a result, and the handlers.

Setting: ``API_PREFIX``, the paths where HTTP errors are JSON as well (default ``/j/``).
See https://flask.palletsprojects.com/errorhandling/.
"""

from typing import Any, NamedTuple

import click
from flask import Flask, Response, current_app, json, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException


class Error(NamedTuple):
    code: int  # a public contract: never reused, never renumbered
    message: str
    status: int
    meaning: str
    remedy: str


unknown_error = Error(1000, "unknown_error", 500, "A bug of ours.", "Retry, then report it.")
access_forbidden = Error(1001, "access_forbidden", 403, "Not for this account.", "Ask an admin.")
unimplemented_error = Error(1002, "unimplemented_error", 400, "Not built yet.", "Do without it.")
not_found = Error(1003, "not_found", 404, "Nothing is there.", "Check the path and the id.")
illegal_state = Error(1004, "illegal_state", 400, "Not in this state.", "Read it again first.")
CATALOGUE = (unknown_error, access_forbidden, unimplemented_error, not_found, illegal_state)
FOR_STATUS = {403: access_forbidden, 404: not_found, 500: unknown_error}


class ApiResult(Response):
    """A JSON response: *value*, and an ``"r"`` if it has none: 0, or the status of an error."""

    def __init__(self, value: dict[str, Any], status: int = 200) -> None:
        value = {"r": 0 if status < 400 else status} | value
        body = json.dumps(value, sort_keys=False) + "\n"
        super().__init__(body, status, mimetype="application/json")


class ApiException(Exception):
    """An *error* of the catalogue as the answer; *real_message* replaces its message."""

    def __init__(self, error: Error, real_message: str | None = None) -> None:
        message = error.message if real_message is None else real_message
        super().__init__(message)
        self.code, self.message, self.status = error.code, message, error.status

    def to_result(self) -> ApiResult:
        return ApiResult({"r": self.code, "msg": self.message}, self.status)


class ApiFlask(Flask):
    """A Flask that makes an ApiResult of a dict that a view returns, alone or in a tuple."""

    def make_response(self, rv: ResponseReturnValue) -> Response:
        if isinstance(rv, dict):
            rv = ApiResult(rv)
        elif isinstance(rv, tuple) and rv and isinstance(rv[0], dict):
            status = super().make_response(("", *rv[1:])).status_code
            rv = (ApiResult(rv[0], status), *rv[1:])
        return super().make_response(rv)


def http_error(error: HTTPException) -> HTTPException | Response:
    """Answer for the API in its format; a status without a code of its own is the code."""
    if error.response or not request.path.startswith(current_app.config["API_PREFIX"]):
        return error
    status = error.code or 500
    known = FOR_STATUS.get(status)
    code, message = (known.code, known.message) if known else (status, error.name)
    result = ApiResult({"r": code, "msg": message}, status)
    result.headers.extend(header for header in error.get_headers() if header[0] != "Content-Type")
    return result


def print_catalogue() -> None:
    """List the error codes, what they mean and what to do."""
    for error in CATALOGUE:
        click.echo(f"{error.code} {error.status} {error.message:20}{error.meaning} {error.remedy}")


def init_app(app: Flask) -> None:
    """Add the handlers and the command ``flask errors``; ValueError names a bad setting."""
    prefix = app.config.setdefault("API_PREFIX", "/j/")
    if not isinstance(prefix, str) or not prefix.startswith("/") or not prefix.endswith("/"):
        raise ValueError(f"API_PREFIX is {prefix!r}, not a path that begins and ends with /")
    app.register_error_handler(ApiException, ApiException.to_result)
    app.register_error_handler(HTTPException, http_error)
    app.cli.command("errors")(print_catalogue)
