"""An exception that is its own JSON response: raised, returned from a view, called as a WSGI app.

Every answer has the same form: ``{"error_code": 1003, "msg": "...", "request": "GET /j/users/9"}``.
See https://werkzeug.palletsprojects.com/exceptions/.
"""

from typing import Any

from flask import json, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request


class ApiException(HTTPException):
    """A bug of ours. Retry, then report it."""

    code, error_code = 500, 999
    msg: Any = "unknown_error"

    def __init__(
        self,
        msg: Any = None,
        *,
        code: int | None = None,
        error_code: int | None = None,
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Override, for this raise, what the class says; *data* are further members of the body.

        *msg* is anything that JSON can hold, *code* the HTTP status. Every argument is optional:
        pickle and copy make the exception without any.
        """
        # An argument may be 0 or empty on purpose, so only None means "not given".
        self.msg = self.msg if msg is None else msg
        self.code = self.code if code is None else code
        self.error_code = self.error_code if error_code is None else error_code
        self.headers, self.data = Headers(headers), data or {}
        super().__init__(description=str(self.msg))  # what logs and tracebacks show

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        """Return the JSON text; without a request, ``request`` is null."""
        asked = Request(environ) if environ else request  # Flask's is false outside a request
        line = f"{asked.method} {asked.path}" if asked else None
        fixed = {"error_code": self.error_code, "msg": self.msg, "request": line}
        body = fixed | self.data | fixed  # first, and not to be replaced
        text = json.dumps(body, ensure_ascii=False, sort_keys=False) + "\n"
        # A lone surrogate has no UTF-8, but its backslash escape is JSON.
        return text.encode(errors="backslashreplace").decode()

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Return the headers of the parent class, then those of the raise, as JSON."""
        headers = Headers(super().get_headers(environ, scope))
        headers.update(self.headers)
        headers["Content-Type"] = "application/json"
        return headers.to_wsgi_list()


class Success(ApiException):
    """It worked. With *code* 201: something was made."""

    code, error_code, msg = 200, 0, "success"


class ParameterException(ApiException):
    """Wrong input. Correct what msg names: each field with its faults."""

    code, error_code, msg = 400, 1000, "invalid_parameter"


class ClientTypeError(ApiException):
    """No such type of client. Send one that the API knows."""

    code, error_code, msg = 400, 1006, "invalid_client"
