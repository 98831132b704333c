"""Chapter 02: a front end on another origin may read the answers."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, render_template

import cors
import echo
import uploads


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    # No hook sees the files (chapter 01), so their CORS header is a setting of theirs.
    app.config.from_mapping(UPLOAD_HEADERS={"Access-Control-Allow-Origin": "*"})
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    uploads.init_app(app)
    cors.init_app(app)
    app.register_blueprint(echo.bp)

    @app.get("/")
    def index() -> str:
        return render_template("index.html")

    return app
