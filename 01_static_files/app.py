"""Chapter 01: attachments, stored under the hash of their content, served in front of Flask."""

from collections.abc import Mapping
from typing import Any

from flask import Flask

import uploads


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    uploads.init_app(app)
    app.add_url_rule("/uploads", view_func=uploads.upload, methods=["POST"])

    @app.get("/contacts")
    def contacts() -> dict[str, list[str]]:
        """Return what a visitor may read and a page that somebody uploaded may not."""
        return {"contacts": ["Ada Lovelace", "Grace Hopper"]}

    return app
