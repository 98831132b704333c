# From "A Flask API, one technique at a time", chapter 04. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1 and Werkzeug 3.1, or later.
"""An exception that is its own JSON response: raise it, return it, or call it as a WSGI app.

Every answer has one format: ``{"error_code": 1003, "msg": "...", "request": "GET /j/users/9"}``.
See https://werkzeug.palletsprojects.com/exceptions/.
"""

from typing import Any

import click
from flask import Flask, has_request_context, json, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException


def request_line(environ: Any = None) -> str | None:
    """Return method and path, as in ``GET /j/users/9``, or None if there is no request."""
    if environ is None and has_request_context():
        environ = request.environ
    if environ is None:
        return None
    # For a HEAD only the Content-Length is sent, and that has to be the GET's (RFC 9110, 8.6).
    method = "GET" if environ["REQUEST_METHOD"] == "HEAD" else environ["REQUEST_METHOD"]
    # SCRIPT_NAME is the prefix that the app is mounted at. WSGI keeps bytes in strings (PEP 3333).
    raw = environ.get("SCRIPT_NAME", "").rstrip("/") + environ.get("PATH_INFO", "")
    return f"{method} {raw.encode('latin1').decode(errors='replace')}"


def as_text(value: Any) -> str:
    """Return *value* as text that has a UTF-8 encoding, whatever it is."""
    try:
        return str(value).encode(errors="replace").decode()  # half an emoji becomes "?"
    except Exception:  # for example, a list that is nested too deeply
        return f"<{type(value).__name__}>"


class ApiException(HTTPException):
    """A failure on our side. Report it."""

    # Flask files the handler of a class under that class's code. If this were 500, the handler that
    # init_app registers would never be asked about a subclass with another code.
    code: int | None = None
    error_code = 999
    msg: Any = "unknown_error"

    def __init__(
        self,
        msg: Any = None,
        *,
        code: int | None = None,
        error_code: int | None = None,
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
        members: dict[str, Any] | None = None,
    ) -> None:
        """Override what the class says, for this raise only; *members* are added to the body.

        *code* is the HTTP status, 500 if neither the caller nor the class says one. Every argument
        is optional, because pickle and copy create the exception without any.
        """
        # Compare with None: 0 and "" are values that a caller may mean. (No HTTP status is 0.)
        self.msg = self.msg if msg is None else msg
        self.error_code = self.error_code if error_code is None else error_code
        self.code = code or self.code or 500
        self.headers = Headers(headers)
        self.members = dict(members or {})
        super().__init__(description=as_text(self.msg))  # what logs and tracebacks show

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        """Return the body as JSON; where there is no request, its ``request`` is null.

        A ``msg`` that JSON can't hold is sent as text; for a member, TypeError is raised.
        """
        body = dict(self.members, error_code=self.error_code, msg=self.msg)
        body["request"] = request_line(environ)
        try:
            text = json.dumps(body)
            text.encode()  # half an emoji fails here if the app's JSON provider doesn't escape it
        except Exception:  # a TypeError, a RecursionError, whatever the app's own provider raises
            body["msg"] = as_text(self.msg)
            text = json.dumps(body)
        return text + "\n"

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Return the headers of the parent class, then those of this raise, then the type."""
        headers = Headers(super().get_headers(environ, scope))
        headers.update(self.headers)
        headers["Content-Type"] = "application/json"
        return headers.to_wsgi_list()


# A code is never reused and never renumbered, because clients rely on it.


class Success(ApiException):
    """It worked. Status 201 means that something was created."""

    code = 200
    error_code = 0
    msg = "success"


class ParameterException(ApiException):
    """Wrong input. Fix the fields that msg lists."""

    code = 400
    error_code = 1000
    msg = "invalid_parameter"


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


class ClientTypeError(ApiException):
    """No such type of client. Send one that the API knows."""

    code = 400
    error_code = 1006
    msg = "invalid_client"


class HttpError(ApiException):
    """Any other HTTP error. Its status and msg say which."""

    error_code = 1007
    msg = "http_error"


def print_errors() -> None:
    """List the error codes, what they mean and what to do."""
    kinds: list[type[ApiException]] = [ApiException, *ApiException.__subclasses__()]
    for kind in sorted(kinds, key=lambda kind: kind.error_code):
        click.echo(f"{kind.error_code:4} {kind.code or 500} {kind.msg!s:19} {kind.__doc__ or ''}")


def init_app(app: Flask) -> None:
    """Have every ApiException sent as it is, nested JSON refused with 400; add ``flask errors``."""
    # Without it, a handler for HTTPException, as many frameworks have, would rebuild our response.
    app.register_error_handler(ApiException, lambda error: error)

    provider_loads = app.json.loads

    def loads(s: str | bytes, **kwargs: Any) -> Any:
        try:
            return provider_loads(s, **kwargs)
        except RecursionError as error:  # Flask makes a 400 of a ValueError only
            raise ValueError("JSON is nested too deeply") from error

    app.json.loads = loads  # type: ignore[method-assign]
    app.cli.command("errors")(print_errors)
