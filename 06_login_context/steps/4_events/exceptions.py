"""An exception that is its own JSON response: raise it, return it, or call it as a WSGI app.

Every answer has one format: ``{"error_code": 1003, "msg": "...", "request": "GET /j/users/9"}``.
See https://werkzeug.palletsprojects.com/exceptions/.
"""

from typing import Any

from flask import has_request_context, json, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.wsgi import get_path_info


def request_line(environ: Any = None) -> str | None:
    """Return method and path, as in ``GET /j/users/9``, or None if there is no request."""
    if environ is None and has_request_context():
        environ = request.environ
    if environ is None:
        return None
    return f"{environ['REQUEST_METHOD']} {get_path_info(environ)}"


class ApiException(HTTPException):
    """A failure on our side. Report it."""

    code = 500
    error_code = 999
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
        """Override what the class says, for this raise only; *data* adds members to the body.

        *msg* is anything that JSON can hold, *code* is the HTTP status. Every argument is optional,
        because pickle and copy create the exception without any.
        """
        # Compare with None: 0 and "" are values that a caller may mean.
        if msg is not None:
            self.msg = msg
        if code is not None:
            self.code = code
        if error_code is not None:
            self.error_code = error_code
        self.headers = Headers(headers)
        self.data = dict(data or {})
        super().__init__(description=str(self.msg))  # what logs and tracebacks show

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        """Return the body as JSON; where there is no request, its ``request`` is null."""
        body = {
            "error_code": self.error_code,
            "msg": self.msg,
            "request": request_line(environ),
        }
        for name, value in self.data.items():
            body.setdefault(name, value)  # keeps the three above
        return json.dumps(body, sort_keys=False) + "\n"  # flask.json sorts by default

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Return the headers of the parent class, then those of this raise, then the type."""
        headers = Headers(super().get_headers(environ, scope))
        headers.update(self.headers)
        headers["Content-Type"] = "application/json"
        return headers.to_wsgi_list()


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


class ClientTypeError(ApiException):
    """No such type of client. Send one that the API knows."""

    code = 400
    error_code = 1006
    msg = "invalid_client"
