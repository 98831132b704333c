"""What reaches the edge of the app: every HTTP error and every bug, in the API's format.

Setting: ``API_PREFIXES``, the paths where errors are always JSON (default ``["/j", "/v1"]``).
See https://flask.palletsprojects.com/errorhandling/#generic-exception-handlers.
"""

import re
import uuid
from logging import LogRecord

from flask import Flask, current_app, has_request_context, request
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Response

from errors import AccessForbidden, HttpError, NotFound
from exceptions import ApiException

FOR_STATUS: dict[int | None, type[ApiException]] = {403: AccessForbidden, 404: NotFound}


def request_id() -> str:
    """Return the request's ``X-Request-ID``; a new one if it has none that is fit for a log."""
    sent = request.headers.get("X-Request-ID", "")
    if not re.fullmatch(r"[\w.-]{1,64}", sent, re.ASCII):
        request.environ["HTTP_X_REQUEST_ID"] = uuid.uuid4().hex
    return request.headers["X-Request-ID"]


def as_api_exception(error: HTTPException) -> ApiException:
    if isinstance(error, InternalServerError) and error.original_exception:
        return ApiException(request_id=request_id())  # a bug; the log has the rest
    known = FOR_STATUS.get(error.code, HttpError)
    return known(error.description or error.name, code=error.code, headers=error.get_headers())


def http_error(error: HTTPException) -> HTTPException | Response:
    """Answer in the API's format on its paths, and elsewhere to who prefers JSON to HTML.

    Flask has made an InternalServerError of a bug before, logged it and sent
    ``got_request_exception``.
    """
    if isinstance(error, ApiException) or error.response:
        return error
    prefixes = tuple(f"{prefix}/" for prefix in current_app.config["API_PREFIXES"])
    if f"{request.path}/".startswith(prefixes):
        return as_api_exception(error)
    if getattr(error, "original_exception", None):
        error.description = f"{error.description} Its id is {request_id()}."
    kind = request.accept_mimetypes.best_match(["text/html", "application/json"])
    answer = as_api_exception(error) if kind == "application/json" else error
    response = answer.get_response(request.environ)
    response.vary.add("Accept")  # or a cache gives a browser the JSON
    return response


def send_request_id(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    return response


def log_request_id(record: LogRecord) -> bool:
    if has_request_context():
        record.msg = f"{record.msg} [request {request_id()}]"
    return True


def init_app(app: Flask) -> None:
    """Add the handler, and the id to answers and log; ValueError names a bad setting."""
    prefixes = app.config.setdefault("API_PREFIXES", ["/j", "/v1"])
    if not isinstance(prefixes, (list, tuple)):
        raise ValueError(f"API_PREFIXES is {prefixes!r}, not a list of paths")
    for prefix in prefixes:
        if not isinstance(prefix, str) or not prefix.startswith("/") or prefix.endswith("/"):
            raise ValueError(f"API_PREFIXES: {prefix!r} is no path like /api")
    app.register_error_handler(HTTPException, http_error)
    app.after_request(send_request_id)
    app.logger.addFilter(log_request_id)
