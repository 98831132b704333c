"""Chapter 01: attachments, stored by Flask, served in front of it."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, render_template

import article
import uploads
import versions


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    uploads.init_app(app)
    app.add_url_rule("/uploads", view_func=uploads.upload, methods=["POST"])

    @app.get("/")
    def index() -> str:
        return render_template("index.html")

    versions.init_app(app, article.create_app(f"{app.config['UPLOAD_FOLDER']}-article"))
    return app
