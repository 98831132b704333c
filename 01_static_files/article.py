"""Uploads as the first article serves them, on today's imports, with the faults left in."""

import os
from collections.abc import Mapping
from typing import Any

from flask import Flask, request, url_for
from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.utils import secure_filename


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config["UPLOAD_FOLDER"] = os.path.join(app.instance_path, "article")
    app.config.from_prefixed_env()
    app.config.from_mapping(config)

    app.add_url_rule("/uploads/<filename>", "uploaded_file", build_only=True)
    # Trap: An uploaded page runs
    # Trap: `DELETE` returns the file
    # Trap: A player can't jump
    # Trap: Private files become public
    # Trap: A replaced file stays stale
    # Trap: `HEAD` is answered with a body
    # Trap: `Date` is sent twice
    app.wsgi_app = SharedDataMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, {"/uploads": app.config["UPLOAD_FOLDER"]}
    )

    @app.post("/uploads")
    def upload() -> tuple[dict[str, str], int, dict[str, str]]:
        # Trap: One request can fill the disk
        file = request.files["file"]  # Trap: Two of three files are dropped
        filename = secure_filename(file.filename or "")  # Trap: Two reports become one file
        os.makedirs(app.config["UPLOAD_FOLDER"], exist_ok=True)
        file.save(os.path.join(app.config["UPLOAD_FOLDER"], filename))
        url = url_for("uploaded_file", filename=filename)
        return {"url": url}, 201, {"Location": url}

    @app.get("/contacts")
    def contacts() -> dict[str, list[str]]:
        return {"contacts": ["Ada Lovelace", "Grace Hopper"]}

    return app
