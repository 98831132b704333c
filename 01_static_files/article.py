"""Uploads as the first article serves them, on today's imports, with the faults left in."""

import os

from flask import Flask, request, url_for
from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.utils import secure_filename


def create_app(upload_folder: str) -> Flask:
    """Build the app that answers ``?version=article``; it keeps its files in *upload_folder*."""
    app = Flask(__name__)
    app.config["UPLOAD_FOLDER"] = upload_folder

    app.add_url_rule("/uploads/<filename>", "uploaded_file", build_only=True)
    # Trap: an uploaded page runs as part of your site
    # Trap: DELETE is answered with the file
    app.wsgi_app = SharedDataMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, {"/uploads": app.config["UPLOAD_FOLDER"]}
    )

    @app.post("/uploads")
    def upload() -> tuple[dict[str, str], int, dict[str, str]]:
        file = request.files["file"]
        filename = secure_filename(file.filename or "")  # Trap: two reports become one file
        os.makedirs(app.config["UPLOAD_FOLDER"], exist_ok=True)
        file.save(os.path.join(app.config["UPLOAD_FOLDER"], filename))
        url = url_for("uploaded_file", filename=filename)
        return {"url": url}, 201, {"Location": url}

    return app
