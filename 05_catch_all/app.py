"""Chapter 05: whatever goes wrong, the answer has the API's format, and the log the reason."""

from collections.abc import Mapping
from typing import Any, NoReturn

from flask import Blueprint, Flask, abort, current_app

import handlers
from exceptions import NotFound, Success

DATABASE = "postgresql://desk:hunter2@10.0.0.7/desk"
USERS = ["Ada", "Grace", "林"]

views = Blueprint("views", __name__, url_prefix="/j")


@views.get("/users/<name>")
def show_user(name: str) -> Success:
    if name not in USERS:
        current_app.logger.warning("Nobody is called %s", name)
        raise NotFound()
    return Success(members={"name": name})


@views.get("/boom")
def boom() -> Success:
    return Success(members={"share": 1 / 0})


@views.post("/sync")
def sync() -> NoReturn:
    abort(500, f"Can't connect to {DATABASE}")


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    handlers.init_app(app)
    app.register_blueprint(views)
    return app
