"""Chapter 03: an address book that says what went wrong with a code."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from flask import Blueprint, Flask

import errors

USERS = {
    1: {"id": 1, "name": "Ada"},
    2: {"id": 2, "name": "Grace"},
}


def add_views(bp: Blueprint, errors: ModuleType) -> None:
    """Add the address book to *bp*; its errors are those of *errors*, our module or article.py."""

    @bp.get("/users")
    def list_users() -> dict[str, Any]:
        return {"users": list(USERS.values())}

    @bp.get("/users/<int:user_id>")
    def show_user(user_id: int) -> dict[str, Any]:
        if user_id not in USERS:
            raise errors.ApiException(errors.not_found)
        return {"user": USERS[user_id]}

    @bp.delete("/users/<int:user_id>")
    def delete_user(user_id: int) -> dict[str, Any]:
        raise errors.ApiException(errors.unimplemented_error, "Delete contacts on the phone.")

    @bp.get("/settings")
    def settings() -> dict[str, Any]:
        raise errors.ApiException(errors.access_forbidden)

    @bp.post("/sync")
    def sync() -> dict[str, Any]:
        raise errors.ApiException(errors.unknown_error, "The phone doesn't answer.")

    @bp.get("/boom")
    def boom() -> dict[str, Any]:
        return {"share": 1 / 0}


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    errors.init_app(app)

    bp = Blueprint("json_api", __name__, url_prefix="/j")
    add_views(bp, errors)
    app.register_blueprint(bp)
    return app
