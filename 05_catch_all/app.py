"""Chapter 05: whatever goes wrong, the answer has the API's format."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, render_template

import article
import clients
import contacts
import cors
import echo
import errors
import handlers
import uploads
import versions


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    # Files bypass the hook, so their CORS header is a setting of chapter 01.
    app.config.from_mapping(UPLOAD_HEADERS={"Access-Control-Allow-Origin": "*"})
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    uploads.init_app(app)
    app.add_url_rule("/uploads", view_func=uploads.upload, methods=["POST"])
    cors.init_app(app)
    errors.init_app(app)
    handlers.init_app(app)
    app.register_blueprint(echo.bp)
    contacts.init_app(app)
    clients.init_app(app)

    @app.get("/")
    def index() -> str:
        return render_template("index.html", catalogue=errors.catalogue())

    versions.init_app(app, article.create_app())
    return app
