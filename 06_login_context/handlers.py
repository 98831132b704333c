"""What reaches the edge of the app: every HTTP error and every bug, in the API's format.

Setting: ``API_PREFIXES``, the paths where errors are always JSON (default ``["/j", "/v1"]``).
See https://flask.palletsprojects.com/errorhandling/#generic-exception-handlers.
"""

import re
import sys
import uuid
from logging import Formatter, LogRecord

from flask import Flask, current_app, has_request_context, request
from flask.logging import default_handler
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Response

from errors import AccessForbidden, HttpError, NotFound
from exceptions import ApiException

LOG_FORMAT = "[%(asctime)s] %(levelname)s in %(module)s [%(request_id)s]: %(message)s"
FOR_STATUS: dict[int | None, type[ApiException]] = {403: AccessForbidden, 404: NotFound}


def request_id() -> str:
    """Return the request's ``X-Request-ID``; a new one if it has none that is fit for a log."""
    sent = request.headers.get("X-Request-ID", "")
    if not re.fullmatch(r"[\w.-]{1,64}", sent, re.ASCII):
        request.environ["HTTP_X_REQUEST_ID"] = uuid.uuid4().hex
    return request.headers["X-Request-ID"]


def is_bug(error: HTTPException) -> bool:
    return isinstance(error, InternalServerError) and error.original_exception is not None


def as_api_exception(error: HTTPException) -> ApiException:
    if is_bug(error):
        return ApiException(data={"request_id": request_id()})  # the log has the rest
    known = FOR_STATUS.get(error.code, HttpError)
    return known(error.description or error.name, code=error.code, headers=error.get_headers())


def http_error(error: HTTPException) -> HTTPException | Response:
    """Answer in the API's format on its paths, and elsewhere to who prefers JSON to HTML.

    Of a bug Flask has made an InternalServerError by then, sent ``got_request_exception``, and
    logged the traceback.
    """
    if isinstance(error, ApiException) and error.code == 500:  # raised by hand: not logged yet
        current_app.log_exception(sys.exc_info())
        error.data["request_id"] = request_id()
    if isinstance(error, ApiException) or error.response is not None or (error.code or 0) < 400:
        return error
    prefixes = tuple(f"{prefix.rstrip('/')}/" for prefix in current_app.config["API_PREFIXES"])
    if f"{request.path}/".startswith(prefixes):
        return as_api_exception(error)
    if is_bug(error):
        error.description = f"{error.description} Its id is {request_id()}."
    kind = request.accept_mimetypes.best_match(["text/html", "application/json"])
    answer = as_api_exception(error) if kind == "application/json" else error
    response = answer.get_response(request.environ)
    response.vary.add("Accept")  # or a cache gives a browser the JSON
    return response


def send_request_id(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    return response


def note_request_id(record: LogRecord) -> bool:
    """A logging filter: gives every record a ``request_id``, for the format to show."""
    record.request_id = request_id() if has_request_context() else "-"
    return True


def init_app(app: Flask) -> None:
    """Add the handler, the id, and the id to Flask's log; ValueError names a bad setting."""
    prefixes = app.config.setdefault("API_PREFIXES", ["/j", "/v1"])
    if not isinstance(prefixes, (list, tuple)):
        raise ValueError(f"API_PREFIXES is {prefixes!r}, not a list of paths")
    for prefix in prefixes:
        if not isinstance(prefix, str) or not re.fullmatch("/|(/[^/]+)+", prefix):
            raise ValueError(f"API_PREFIXES: {prefix!r} is no path like /api")
    app.register_error_handler(HTTPException, http_error)
    app.after_request(send_request_id)
    # Not app.logger: it must not be made before the app's owner has configured logging.
    default_handler.addFilter(note_request_id)
    default_handler.setFormatter(Formatter(LOG_FORMAT))
