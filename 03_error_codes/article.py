"""Error codes as in the first article: tuples, an exception, and handlers on the blueprint."""

import sys
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Flask, Response, json

from app import add_views

# Each error: code (our own number here; from chapter 04 on, the HTTP status), message, status.
Error = tuple[int, str, int]

unknown_error = (1000, "unknown_error", 400)  # Trap: 400 blames the client for your bug
access_forbidden = (1001, "access_forbidden", 403)
unimplemented_error = (1002, "unimplemented_error", 400)
not_found = (1003, "not_found", 404)
illegal_state = (1004, "illegal_state", 400)


class ApiResult(Response):
    def __init__(self, value: dict[str, Any], status: int) -> None:
        super().__init__(json.dumps(value) + "\n", status, mimetype="application/json")


class ApiException(Exception):  # Trap: str(error) is a tuple
    def __init__(self, error: Error, real_message: str | None = None) -> None:
        self.code, self.message, self.status = error
        if real_message is not None:
            self.message = real_message

    def to_result(self) -> ApiResult:
        return ApiResult({"msg": self.message, "r": self.code}, status=self.status)


json_api = Blueprint("json_api", __name__, url_prefix="/j")


@json_api.errorhandler(ApiException)
def api_error_handler(error: ApiException) -> ApiResult:
    return error.to_result()


@json_api.errorhandler(403)
@json_api.errorhandler(404)  # Trap: the blueprint's 404 handler misses unknown URLs
@json_api.errorhandler(500)
def error_handler(error: Any) -> ApiResult:
    if hasattr(error, "name"):
        message, status = error.name, error.code
    else:
        message, status = error.message, 500  # Trap: error.message does not exist
    return ApiResult({"message": message}, status=status)  # Trap: two handlers, two shapes


add_views(json_api, sys.modules[__name__])  # the views of app.py, with the errors of this module


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the article's version, with the settings of *config*."""
    app = Flask(__name__)
    app.config.from_mapping(config)
    app.register_blueprint(json_api)
    return app
