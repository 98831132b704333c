# From "A Flask API, one technique at a time", chapter 03. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1 and Werkzeug 3.1, or later.
"""Error codes for a JSON API: the catalogue, an exception, and the handlers that send both.

Every error is sent as ``{"r": 1003, "msg": "not_found"}``.

Setting: ``API_PREFIX``, the path below which HTTP errors and bugs are sent like that as well; an
ApiException is, everywhere. See https://flask.palletsprojects.com/errorhandling/.
"""

from typing import NamedTuple

import click
from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, InternalServerError


class Error(NamedTuple):
    code: int  # our own number, not the HTTP status; never reused, never renumbered
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


def result(code: int, message: str, status: int) -> Response:
    """Return the response for an error: the one place that knows what an error looks like."""
    response = jsonify(r=code, msg=message)
    response.status_code = status
    return response


class ApiException(Exception):
    """Responds with *error* from the catalogue; *real_message* replaces its message."""

    def __init__(self, error: Error, real_message: str | None = None) -> None:
        self.code = error.code
        self.message = error.message if real_message is None else str(real_message)
        self.status = error.status
        super().__init__(error, self.message)  # copy and pickle make the copy from these two

    def __str__(self) -> str:
        return self.message

    def to_result(self) -> Response:
        return result(self.code, self.message, self.status)


def is_api_request() -> bool:
    """Tell whether the request's path is API_PREFIX or below it."""
    prefix = current_app.config["API_PREFIX"].rstrip("/")
    return request.path == prefix or request.path.startswith(f"{prefix}/")


def http_error(error: HTTPException) -> HTTPException | Response:
    """Turn an HTTP error in the API into JSON; a bug arrives here as an InternalServerError.

    A redirect, an exception with a complete response, and a path outside the API are returned
    unchanged, and Flask sends what it always sends.
    """
    status = error.code or 500
    if status < 400 or error.response is not None or not is_api_request():
        return error

    if isinstance(error, InternalServerError) and error.original_exception is None:
        current_app.logger.error("%s", error)  # by abort(500, ...): Flask logs only bugs

    code, message = status, error.name
    if status in FOR_STATUS:
        code, message = FOR_STATUS[status].code, FOR_STATUS[status].message

    response = result(code, message, status)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):  # of the body that we replace
            response.headers.add(name, value)
    return response


def print_catalogue() -> None:
    """List the error codes, what they mean and what to do."""
    for error in CATALOGUE:
        click.echo(f"{error.code} {error.status} {error.message:20} {error.meaning} {error.remedy}")


def init_app(app: Flask) -> None:
    """Add the handlers and the command ``flask errors``; ValueError names a bad setting."""
    prefix = app.config.setdefault("API_PREFIX", "/j")
    if not isinstance(prefix, str) or not prefix.startswith("/"):
        raise ValueError(f"API_PREFIX is {prefix!r}, not a path that begins with /")
    app.register_error_handler(ApiException, lambda error: error.to_result())
    app.register_error_handler(HTTPException, http_error)
    app.cli.command("errors")(print_catalogue)
