# From "A Flask API, one technique at a time", chapter 05. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1 and Werkzeug 3.1, or later.
"""One handler at the edge of the app: every HTTP error and every bug, in the API's format.

Setting: ``API_PREFIXES``, the paths where errors are always JSON (default ``["/j", "/v1"]``).
See https://flask.palletsprojects.com/errorhandling/#generic-exception-handlers.
"""

import re
import secrets
from logging import Formatter, LogRecord

from flask import Flask, current_app, has_request_context, request
from flask.logging import default_handler
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Response

import exceptions
from exceptions import AccessForbidden, ApiException, HttpError, NotFound


def request_id() -> str:
    """Return the ``X-Request-ID`` that came with this request, or a new one."""
    environ = request.environ
    if "catch_all.request_id" not in environ:
        sent = request.headers.get("X-Request-ID", "")
        # Other text could forge entries of the log, or fill the disk.
        fit_for_a_log = re.fullmatch(r"[\w.-]{1,64}", sent, re.ASCII)
        environ["catch_all.request_id"] = sent if fit_for_a_log else secrets.token_hex(16)
    return str(environ["catch_all.request_id"])


def is_api_request() -> bool:
    """Tell whether the path of this request is below one of ``API_PREFIXES``."""
    # With a slash at the end of both, /j itself counts as well, but /jobs doesn't.
    prefixes = [prefix.rstrip("/") + "/" for prefix in current_app.config["API_PREFIXES"]]
    return f"{request.path}/".startswith(tuple(prefixes))


def renders_itself(error: HTTPException) -> bool:
    """Tell whether *error* is a redirect, has a response, or is of a class that makes its own."""
    if error.response is not None or (error.code or 0) < 400:
        return True
    kind = type(error)
    makes_body = kind.get_body is not HTTPException.get_body
    return makes_body or kind.get_response is not HTTPException.get_response


FOR_STATUS = {403: AccessForbidden, 404: NotFound}


def as_api_exception(error: HTTPException) -> ApiException:
    """Return *error* in the API's format; a 500 says no more than the id of its request.

    Message, headers and field errors that webargs or flask-smorest put into ``error.data`` stay.
    """
    if error.code == 500:
        return ApiException(members={"request_id": request_id()})  # the log has the details

    data = getattr(error, "data", None)
    details = data if isinstance(data, dict) else {}
    field_errors = details.get("errors") or details.get("messages")
    return FOR_STATUS.get(error.code or 0, HttpError)(
        details.get("message") or error.description or error.name,
        code=error.code,
        headers=[*error.get_headers(request.environ), *(details.get("headers") or {}).items()],
        members={"errors": field_errors} if field_errors else None,
    )


def as_the_client_prefers(error: HTTPException) -> Response:
    """Return *error* as HTML, unless the request's ``Accept`` prefers JSON."""
    answer = error
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        answer = as_api_exception(error)
    elif error.code == 500:
        text = f"{InternalServerError.description} Request ID: {request_id()}"
        answer = InternalServerError(text)  # its own text is for the log
    response = answer.get_response(request.environ)
    response.vary.add("Accept")  # otherwise a cache could give a browser the JSON
    return response


def http_error(error: HTTPException) -> HTTPException | Response:
    """Respond to an error that has an HTTP status; of a bug, Flask has made a 500.

    What was raised is never changed, since the same object may be raised for another request.
    """
    bug = getattr(error, "original_exception", None)
    made_by_flask = bug is not None and error.__traceback__ is None  # nobody has raised it
    if error.code == 500 and not made_by_flask:  # Flask logs bugs, and nothing that has a handler
        message = "Exception on %s [%s]"  # Flask's wording
        current_app.logger.error(message, request.path, request.method, exc_info=bug or error)

    if isinstance(error, ApiException) and error.code == 500:
        answer = ApiException.__new__(type(error))  # a copy, whatever __init__ asks for
        members = {**error.members, "request_id": request_id()}
        answer.__dict__.update(error.__dict__, members=members)
        return answer
    if renders_itself(error):
        return error
    return as_api_exception(error) if is_api_request() else as_the_client_prefers(error)


def send_request_id(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    return response


LOG_FORMAT = "[%(asctime)s] %(levelname)s in %(module)s [%(request_id)s]: %(message)s"


def printable(text: str) -> str:
    r"""Return *text* with ``\n`` for a line break, and so on for all that isn't printable."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class LogFormatter(Formatter):
    """Gives each record the request's id, and only to its first line the look of a record."""

    def formatMessage(self, record: LogRecord) -> str:
        record.request_id = request_id() if has_request_context() else "-"
        return printable(super().formatMessage(record))

    def format(self, record: LogRecord) -> str:
        first, *traceback = super().format(record).split("\n")
        # The message of an exception may have line breaks as well; these lines are indented.
        return "\n    ".join([first, *map(printable, traceback)])


def init_app(app: Flask) -> None:
    """Register the handler and the request's id, and call ``exceptions.init_app``.

    ValueError names a bad setting. Flask asks the handler for HTTPException that came last.
    """
    prefixes = app.config.setdefault("API_PREFIXES", ["/j", "/v1"])
    for prefix in prefixes:
        if not isinstance(prefix, str) or not prefix.startswith("/"):
            raise ValueError(f"API_PREFIXES is {prefixes!r}, not a list of paths like ['/api']")

    exceptions.init_app(app)
    # Ours takes the place of the handler that exceptions.init_app registers, which logs nothing.
    app.register_error_handler(ApiException, http_error)
    app.register_error_handler(HTTPException, http_error)
    app.after_request(send_request_id)
    # Flask's own logging handler, of all apps in the process that don't configure logging. Leave
    # app.logger alone: touching it here would set it up before the app has configured its own.
    default_handler.setFormatter(LogFormatter(LOG_FORMAT))
