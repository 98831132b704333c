"""CORS as the first article has it: one hook, three headers, an answer for everybody."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response

import views


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    views.init_app(app)

    @app.after_request  # Trap: some responses never pass the hook
    def after_request(response: Response) -> Response:
        # Trap: * lets strangers in and keeps cookies out
        # Trap: headers.add may send a header twice
        response.headers.add("Access-Control-Allow-Origin", "*")
        response.headers.add("Access-Control-Allow-Headers", "Content-Type,Authorization")
        # Trap: PATCH is not in the list
        response.headers.add("Access-Control-Allow-Methods", "GET,PUT,POST,DELETE")
        return response

    return app
