"""Uploads: stored by Flask under a name made from the content, served by a WSGI middleware.

Settings: ``UPLOAD_FOLDER`` (relative to the instance folder, default ``uploads``),
``MAX_CONTENT_LENGTH`` (bytes, default 16 MiB), ``UPLOAD_HEADERS`` (sent with every file).
See https://werkzeug.palletsprojects.com/middleware/shared_data/ and RFC 8246 (immutable).
"""

import hashlib
import mimetypes
import os
import tempfile
import uuid
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, current_app, request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import NotFound
from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.wsgi import ClosingIterator

# What a browser never runs as part of this site. Anything else becomes .bin, a download.
EXTENSIONS = set(".gif .jpeg .jpg .mp3 .mp4 .pdf .png .txt .webp .zip".split())
mimetypes.add_type("image/webp", ".webp")  # Python knows it since 3.13
YEAR = 31536000  # seconds
HEADERS = {
    "Cache-Control": f"public, max-age={YEAR}, immutable",  # a name never gets other content
    "Content-Security-Policy": "script-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Uploads(SharedDataMiddleware):
    """Serves *folder* in front of the WSGI app *app*, fit for files from strangers."""

    def __init__(self, app: Any, folder: Path, headers: dict[str, str]) -> None:
        super().__init__(NotFound(), {"/uploads": str(folder)}, cache_timeout=YEAR)
        self.flask, self.headers = app, HEADERS | headers

    def is_allowed(self, filename: str) -> bool:
        return not filename.startswith(".")  # a file that is still being written

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """GET and HEAD only: the base class answers DELETE with the file, HEAD with a body."""
        ours = environ.get("PATH_INFO", "").startswith("/uploads/")
        if not ours or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self.flask(environ, start_response)
        answer = Response.from_app(super().__call__, environ)
        if answer.status_code == 404:  # no such file
            return self.flask(environ, start_response)
        answer.headers.update(self.headers)
        del answer.headers["Date"]  # the server adds its own
        return ClosingIterator(answer(environ, start_response), answer.close)


def save(file: FileStorage) -> str:
    """Store an upload, once; return its name: SHA-256 and extension. Raises OSError."""
    extension = os.path.splitext(file.filename or "")[1].lower()
    file.seek(0)  # the caller may have looked into it
    digest = hashlib.file_digest(file.stream, "sha256").hexdigest()  # type: ignore[arg-type]
    filename = digest + (extension if extension in EXTENSIONS else ".bin")
    target = current_app.config["UPLOAD_FOLDER"] / filename
    part = target.with_name(f".{uuid.uuid4()}")
    if not target.exists():
        file.seek(0)
        try:
            with part.open("xb") as out:
                file.save(out)
                out.flush()
                os.fsync(out.fileno())  # or a power cut leaves the name without the content
            part.replace(target)  # atomic: nobody ever fetches half a file
        finally:
            part.unlink(missing_ok=True)
    return filename


def upload() -> tuple[dict[str, str], int, dict[str, str]]:
    """Take the multipart field ``file``: 201; 400 without a file, 413 if it is too large."""
    file = request.files.get("file")
    if not file:  # or one without a name
        abort(400, "Send a file in the multipart field 'file'.")
    filename = save(file)
    url = url_for("uploaded_file", filename=filename)
    return {"filename": filename, "url": url}, 201, {"Location": url}


def init_app(app: Flask) -> None:
    """Add ``POST /uploads`` and ``/uploads/<filename>``; ValueError names a bad setting."""
    limit = app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_CONTENT_LENGTH"] or 16 * 1024**2
    if not isinstance(limit, int) or limit < 0:
        raise ValueError(f"MAX_CONTENT_LENGTH is {limit!r}, not a number of bytes")
    headers = app.config.setdefault("UPLOAD_HEADERS", {})
    if not isinstance(headers, dict):
        raise ValueError(f"UPLOAD_HEADERS is {headers!r}, not a dict of names and values")
    try:
        folder = Path(app.instance_path, app.config.get("UPLOAD_FOLDER", "uploads"))
        if Path(app.instance_path).resolve().is_relative_to(folder.resolve()):
            raise ValueError("the instance folder, with its secrets, would be served")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"UPLOAD_FOLDER cannot be used: {error}") from error
    app.config["UPLOAD_FOLDER"] = folder
    app.add_url_rule("/uploads", view_func=upload, methods=["POST"])
    app.add_url_rule("/uploads/<filename>", "uploaded_file", build_only=True)
    app.wsgi_app = Uploads(app.wsgi_app, folder, headers)  # type: ignore[method-assign]
