"""Chapter 04: an error is an exception, and the exception is the response."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Flask, request

import exceptions
from exceptions import ClientTypeError, IllegalState, NotFound, ParameterException, Success

api = Blueprint("api", __name__)
USERS = {"1": "Ada", "2": "Grace", "3": "林"}


@api.post("/v1/client/register")
def register() -> Success:
    """Take ``type``, ``account``, ``secret``, ``nickname``: 201, or 400 with 1000 or 1006."""
    data = request.get_json(silent=True)
    if not isinstance(data, dict):
        raise ParameterException("Send a JSON object, as application/json.")
    if data.get("type") not in ("email", "mobile", "mini_program"):
        raise ClientTypeError("type must be email, mobile or mini_program.")
    wrong = [key for key in ("account", "secret", "nickname") if not isinstance(data.get(key), str)]
    if wrong:
        raise ParameterException({key: ["A text is needed."] for key in wrong})
    return Success(code=201)  # a real one would store the client first


@api.post("/v1/client/sms")
def send_sms() -> Success:
    raise IllegalState("Wait half a minute.", code=429, headers={"Retry-After": "30"})


@api.get("/j/users/<user_id>")
def show_user(user_id: str) -> Success:
    if user_id not in USERS:
        raise NotFound()
    return Success("", members={"user": USERS[user_id]})  # nothing that a user needs to read


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    exceptions.init_app(app)
    app.register_blueprint(api)
    return app
