"""Chapter 01: attachments, stored by Flask and served beside it."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, render_template

import uploads


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    uploads.init_app(app)

    @app.get("/")
    def index() -> str:
        return render_template("index.html")

    return app
