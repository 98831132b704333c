"""The second article's exception, on today's Werkzeug: an HTTPException that renders itself."""

from typing import Any

from flask import Flask, json, request
from werkzeug.exceptions import HTTPException


class ApiException(HTTPException):
    code: int | None = 500  # Trap: Somebody else's error handler
    msg: Any = "sorry, we make a mistake"
    error_code = 999

    def __init__(
        self, code: Any = None, msg: Any = None, error_code: Any = None, header: Any = None
    ) -> None:
        if code:
            self.code = code
        if msg:  # Trap: Why does success say sorry?
            self.msg = msg
        if error_code:
            self.error_code = error_code
        super().__init__(msg, None)

    # The article has no scope, here and below. ClientTypeError shows what comes of that.
    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        # Trap: No request, no body
        line = f"{request.method} {request.full_path.split('?')[0]}"  # Trap: Which request was it?
        body = {"msg": self.msg, "error_code": self.error_code, "request": line}
        return json.dumps(body)  # Trap: A message may be anything

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        return [("Content-Type", "application/json")]  # Trap: Wait, but for how long?


class ClientTypeError(ApiException):
    code = 400
    msg = "client is invalid"
    error_code = 1006

    def get_body(self, environ: Any = None) -> str:  # type: ignore[override]
        return super().get_body(environ)  # Trap: Why is this error HTML?


def create_app() -> Flask:
    app = Flask(__name__)

    @app.post("/v1/client/register")
    def create_client() -> ApiException:
        # Trap: Strange input is still input
        if request.get_json()["type"] not in ("email", "mobile", "mini_program"):
            raise ClientTypeError()
        return ApiException(code=201, msg="success", error_code=0)

    @app.post("/v1/client/sms")
    def send_sms() -> ApiException:
        raise ApiException(429, "Wait half a minute.", 1004, header={"Retry-After": "30"})

    @app.get("/j/users/<user_id>")
    def show_user(user_id: str) -> ApiException:
        if user_id not in ("1", "2", "3"):
            raise ApiException(404, "not_found", 1003)
        return ApiException(code=200, msg="", error_code=0)

    return app
