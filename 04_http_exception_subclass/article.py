"""The second article's exception, on today's Werkzeug: an HTTPException that renders itself."""

from typing import Any

from flask import Blueprint, Flask, json, request
from werkzeug.exceptions import HTTPException


class ApiException(HTTPException):
    code: int | None = 500
    msg: Any = "sorry, we made a mistake"
    error_code = 999

    def __init__(
        self,
        code: int | None = None,
        msg: Any = None,
        error_code: int | None = None,
        header: Any = None,  # Trap: headers get lost
    ) -> None:
        if code:
            self.code = code
        if msg:  # Trap: 0 and an empty message are values
            self.msg = msg
        if error_code:
            self.error_code = error_code
        super().__init__(msg, None)

    # The article has no scope argument; see the first trap.
    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        body = {
            "msg": self.msg,
            "error_code": self.error_code,
            "request": request.method + " " + self.get_url_no_param(),  # Trap: no request, no body
        }
        return json.dumps(body) + "\n"

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        return [("Content-Type", "application/json")]  # Trap: headers get lost

    @staticmethod
    def get_url_no_param() -> str:
        full_url = str(request.full_path)
        return full_url.split("?")[0]  # Trap: a question mark may be part of the path


class ClientTypeError(ApiException):
    code = 400
    msg = "client is invalid"
    error_code = 1006

    def get_body(self, environ: Any = None) -> str:  # type: ignore[override]
        # Trap: get_body takes a second argument. This one is as printed, so that you can see it.
        return super().get_body(environ)


class ParameterException(ApiException):
    code = 400
    msg = "invalid parameter"
    error_code = 1000


class Success(ApiException):
    code = 200
    msg = "success"
    error_code = 0


api = Blueprint("api", __name__)


@api.route("/v1/client/register", methods=["POST"])
def create_client() -> Success:
    data = request.get_json(silent=True)  # Trap: strange input is still input
    if not isinstance(data, dict):
        raise ParameterException()
    if data.get("type") not in ("email", "mobile", "mini_program"):
        raise ClientTypeError()
    if len(data["secret"]) < 8:
        raise ParameterException(msg={"secret": ["8 characters are needed"]})
    return Success()


@api.route("/v1/client/sms", methods=["POST"])
def send_sms() -> Success:
    raise ApiException(429, "Wait half a minute.", 1004, header={"Retry-After": "30"})


@api.route("/j/users/<int:user_id>")
def show_user(user_id: int) -> Success:
    if user_id > 3:
        raise ApiException(code=404, msg="not_found", error_code=1003)
    return Success()


@api.route("/j/boom")
def boom() -> Success:
    return Success(msg=1 / 0)


def create_app() -> Flask:
    """Build the app that answers ``?version=article``."""
    app = Flask(__name__)
    app.register_blueprint(api)
    return app
