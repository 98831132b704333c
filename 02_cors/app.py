"""Chapter 02: a front end on another origin may read the answers."""

from collections.abc import Mapping
from typing import Any

from flask import Flask

import cors
import views


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    # The page of the book (make run-02) is the front end of this chapter.
    app.config.from_mapping(CORS_ORIGINS=["http://127.0.0.1:8100"], CORS_CREDENTIALS=True)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    views.init_app(app)
    cors.init_app(app)  # last: what wraps the app later answers without CORS headers
    return app
