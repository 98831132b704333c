"""Error codes as the first article has them: tuples, an exception, handlers on the blueprint."""

from typing import Any

from flask import Blueprint, Flask, Response, json

Error = tuple[int, str, int]  # code, message, status

unknown_error = (1000, "unknown_error", 400)  # Trap: 400 blames the client for your bug
access_forbidden = (1001, "access_forbidden", 403)
unimplemented_error = (1002, "unimplemented_error", 400)
not_found = (1003, "not_found", 404)
illegal_state = (1004, "illegal_state", 400)


class ApiResult(Response):
    def __init__(self, value: dict[str, Any], status: int = 200) -> None:
        super().__init__(json.dumps(value) + "\n", status, mimetype="application/json")


class ApiException(Exception):
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


USERS = {1: {"id": 1, "name": "Ada", "blocked": False}}


@json_api.route("/users/<int:user_id>")
def show_user(user_id: int) -> dict[str, Any]:
    if user_id not in USERS:
        raise ApiException(not_found)
    return {"user": USERS[user_id]}


@json_api.route("/users/<int:user_id>", methods=["DELETE"])
def delete_user(user_id: int) -> dict[str, Any]:
    raise ApiException(unimplemented_error, "Delete contacts on the phone.")


@json_api.route("/settings")
def settings() -> dict[str, Any]:
    raise ApiException(access_forbidden)


@json_api.route("/sync", methods=["POST"])
def sync() -> dict[str, Any]:
    raise ApiException(unknown_error, "The phone doesn't answer.")


@json_api.route("/boom")
def boom() -> dict[str, Any]:
    return {"share": 1 / 0}


def create_app() -> Flask:
    """Build the app that answers ``?version=article``."""
    app = Flask(__name__)
    app.register_blueprint(json_api)
    return app
