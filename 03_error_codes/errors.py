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
    code: int  # never reused, never renumbered
    message: str
    status: int  # the HTTP status
    meaning: str
    remedy: str


unknown_error = Error(1000, "unknown_error", 500, "A failure on our side.", "Report it.")
access_forbidden = Error(1001, "access_forbidden", 403, "Not for this account.", "Ask an admin.")
unimplemented_error = Error(1002, "unimplemented_error", 400, "Not built yet.", "Do without it.")
not_found = Error(1003, "not_found", 404, "Nothing is there.", "Check the path and the id.")
illegal_state = Error(1004, "illegal_state", 400, "Not in this state.", "Read it again first.")

CATALOGUE = [unknown_error, access_forbidden, unimplemented_error, not_found, illegal_state]
FOR_STATUS = {403: access_forbidden, 404: not_found, 500: unknown_error}


class ApiResult(Response):
    """A JSON response: ``"r"`` (0, or *status* from 400 up), then *value*, whose own "r" wins."""

    def __init__(self, value: dict[str, Any], status: int = 200) -> None:
        result = {"r": 0 if status < 400 else status}
        result.update(value)
        super().__init__(json.dumps(result, sort_keys=False) + "\n", status)
        self.mimetype = "application/json"


class ApiException(Exception):
    """Responds with *error* from the catalogue; *real_message* replaces its message."""

    def __init__(self, error: Error, real_message: str | None = None) -> None:
        self.code = error.code
        self.message = error.message if real_message is None else real_message
        self.status = error.status
        super().__init__(self.message)

    def to_result(self) -> ApiResult:
        return ApiResult({"r": self.code, "msg": self.message}, self.status)


class ApiFlask(Flask):
    """A Flask whose views may return a dict, alone or in a tuple, for an ApiResult."""

    def make_response(self, rv: ResponseReturnValue) -> Response:
        response = super().make_response(rv)
        value = rv[0] if isinstance(rv, tuple) else rv
        if isinstance(value, dict):
            response.data = ApiResult(value, response.status_code).data
        return response


def is_api_request() -> bool:
    # With a slash added, /j itself counts as well, but /jobs doesn't.
    return f"{request.path}/".startswith(current_app.config["API_PREFIX"])


def http_error(error: HTTPException) -> HTTPException | Response:
    """Turn an HTTP error or a bug in the API into JSON."""
    is_error = (error.code or 500) >= 400  # not a redirect
    if error.response is not None or not is_error or not is_api_request():
        return error

    status = error.code or 500
    code, message = status, error.name
    if status in FOR_STATUS:
        code, message = FOR_STATUS[status].code, FOR_STATUS[status].message
    result = ApiResult({"r": code, "msg": message}, status)
    for name, value in error.get_headers():
        if name != "Content-Type":  # the exception's is text/html
            result.headers.add(name, value)
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
