"""Chapter 02: a front end on another origin may read the answers."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, render_template

import article
import cors
import echo
import uploads
import versions


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    # The page of this chapter is its front end: opened on 127.0.0.1, it asks localhost.
    app.config.from_mapping(CORS_ORIGINS=["http://127.0.0.1:8102"], CORS_CREDENTIALS=True)
    # Files bypass the hook, so their CORS header is a setting of chapter 01.
    app.config.from_mapping(UPLOAD_HEADERS={"Access-Control-Allow-Origin": "*"})
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    uploads.init_app(app)
    app.add_url_rule("/uploads", view_func=uploads.upload, methods=["POST"])
    cors.init_app(app)
    app.register_blueprint(echo.bp)

    @app.get("/")
    def index() -> str:
        return render_template("index.html")

    versions.init_app(app, article.create_app(f"{app.config['UPLOAD_FOLDER']}-article"))
    return app
