"""The second article's catch-all: one handler for every Exception."""

from typing import Any

from flask import Flask
from werkzeug.exceptions import HTTPException

import clients
import contacts
import echo
from exceptions import ApiException


def create_app() -> Flask:
    """Build the app that answers ``?version=article``; its views are those of chapter 04."""
    app = Flask(__name__)
    app.register_blueprint(echo.bp)
    contacts.init_app(app)
    clients.init_app(app)

    @app.errorhandler(Exception)  # Trap: a handler for Exception hides every bug
    def framework_error(e: Exception) -> Any:
        if isinstance(e, ApiException):
            return e
        if isinstance(e, HTTPException):
            # Trap: a rebuilt 405 loses Allow
            # Trap: an exception may bring its own response
            return ApiException(e.description, code=e.code, error_code=1007)
        if not app.config["DEBUG"]:
            return ApiException()
        raise e

    return app
