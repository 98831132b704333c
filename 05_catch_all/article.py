"""The second article's catch-all: one handler for every Exception."""

from typing import Any

from flask import Flask
from werkzeug.exceptions import HTTPException

from app import views
from exceptions import ApiException


def create_app() -> Flask:
    """Build the article's app; its views are ours, its error handler isn't."""
    app = Flask(__name__)
    app.register_blueprint(views)

    @app.errorhandler(Exception)  # Trap: a handler for Exception hides every bug
    def framework_error(e: Exception) -> Any:
        if isinstance(e, ApiException):
            return e
        if isinstance(e, HTTPException):
            # Trap: pages for people become JSON
            # Trap: a rebuilt 405 loses Allow
            return ApiException(e.description, code=e.code, error_code=1007)
        if not app.config["DEBUG"]:
            return ApiException()
        raise e

    return app
