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

from errors import AccessForbidden, HttpError, NotFound
from exceptions import ApiException

LOG_FORMAT = "[%(asctime)s] %(levelname)s in %(module)s [%(request_id)s]: %(message)s"
FOR_STATUS = {403: AccessForbidden, 404: NotFound}


def request_id() -> str:
    """Return this request's ``X-Request-ID``, or a new one if it has none."""
    environ = request.environ
    if "request_id" not in environ:
        sent = request.headers.get("X-Request-ID", "")
        # Other text could forge entries of the log, or fill the disk.
        fit_for_a_log = re.fullmatch(r"[\w.-]{1,64}", sent, re.ASCII)
        environ["request_id"] = sent if fit_for_a_log else secrets.token_hex(16)
    return str(environ["request_id"])


def is_api_request() -> bool:
    # With a slash added to both, /j itself counts as well, but /jobs doesn't.
    for prefix in current_app.config["API_PREFIXES"]:
        if f"{request.path}/".startswith(f"{prefix.rstrip('/')}/"):
            return True
    return False


def is_bug(error: HTTPException) -> bool:
    """Tell whether *error* is Flask's wrapper around an uncaught exception."""
    return isinstance(error, InternalServerError) and error.original_exception is not None


def as_api_exception(error: HTTPException) -> ApiException:
    """Return *error* in the API's format; a 500 says no more than the id of its request."""
    if error.code == 500:
        return ApiException(data={"request_id": request_id()})  # the log has the details
    status = error.code or 500
    api_exception = FOR_STATUS.get(status, HttpError)
    message = error.description or error.name
    return api_exception(message, code=status, headers=error.get_headers())


def as_the_client_prefers(error: HTTPException) -> Response:
    """Return *error* as HTML, unless the request's ``Accept`` prefers JSON."""
    if error.code == 500:
        error.description = f"{error.description} Request ID: {request_id()}"
    preferred = request.accept_mimetypes.best_match(["text/html", "application/json"])
    answer = as_api_exception(error) if preferred == "application/json" else error
    response = answer.get_response(request.environ)
    response.vary.add("Accept")  # otherwise a cache could give a browser the JSON
    return response


def http_error(error: HTTPException) -> HTTPException | Response:
    """Respond to every error that has an HTTP status, including the 500 that Flask makes of a bug.

    By then Flask has logged the bug's traceback and sent ``got_request_exception``.
    """
    if error.code == 500 and not is_bug(error):  # raised by a view, so nothing has logged it yet
        message = "Exception on %s [%s]"  # Flask's wording for a bug
        current_app.logger.error(message, request.path, request.method, exc_info=error)
    if isinstance(error, ApiException):
        if error.code == 500:
            error.data["request_id"] = request_id()
        return error
    if error.response is not None or (error.code or 0) < 400:
        return error  # a complete response already, or a redirect
    if is_api_request():
        return as_api_exception(error)
    return as_the_client_prefers(error)


def send_request_id(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    return response


def add_request_id(record: LogRecord) -> bool:
    """A logging filter: gives every record a ``request_id`` that a format can show."""
    record.request_id = request_id() if has_request_context() else "-"
    return True


def init_app(app: Flask) -> None:
    """Register the handler and the request's id; ValueError names a bad setting."""
    prefixes = app.config.setdefault("API_PREFIXES", ["/j", "/v1"])
    if not isinstance(prefixes, (list, tuple)):
        raise ValueError(f"API_PREFIXES is {prefixes!r}, not a list of paths")
    for prefix in prefixes:
        if not isinstance(prefix, str) or not re.fullmatch("/|(/[^/]+)+", prefix):
            raise ValueError(f"API_PREFIXES: {prefix!r} is not a path like /api")
    app.register_error_handler(HTTPException, http_error)
    app.after_request(send_request_id)
    # Leave app.logger alone: touching it here would set up Flask's own logging before the app has
    # configured its own.
    default_handler.addFilter(add_request_id)
    default_handler.setFormatter(Formatter(LOG_FORMAT))
