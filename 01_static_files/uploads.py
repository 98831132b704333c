"""Uploads: Flask stores them under a name made from their content, a WSGI middleware serves them.

Settings: ``UPLOAD_FOLDER`` (relative to the instance folder, default ``uploads``),
``MAX_CONTENT_LENGTH`` (bytes, default 16 MiB), ``UPLOAD_HEADERS`` (sent with every file).
See https://werkzeug.palletsprojects.com/middleware/shared_data/ and RFC 8246 (immutable).
"""

import hashlib
import mimetypes
import os
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask, abort, current_app, request, url_for
from werkzeug.datastructures import FileStorage, Headers
from werkzeug.middleware.shared_data import SharedDataMiddleware

# Types that no browser runs as part of this site. Any other file becomes .bin, a download.
EXTENSIONS = {".gif", ".jpeg", ".jpg", ".mp3", ".mp4", ".pdf", ".png", ".txt", ".webp", ".zip"}
mimetypes.add_type("image/webp", ".webp")  # built into Python since 3.13

HOUR = 60 * 60  # seconds
YEAR = 365 * 24 * HOUR
HEADERS = {
    # The name is made from the content, so what a cache holds under it never goes stale.
    "Cache-Control": f"public, max-age={YEAR}, immutable",
    "Content-Security-Policy": "script-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Uploads(SharedDataMiddleware):
    """Answers for the files in *folder* and passes every other request on to *flask_app*."""

    def __init__(self, flask_app: Any, folder: Path, headers: dict[str, str]) -> None:
        # Where the base class finds no file, it calls the app that it wraps. Flask's response would
        # get our headers there, so it wraps no_file, and __call__ asks Flask.
        super().__init__(self.no_file, {"/uploads": str(folder)}, cache_timeout=YEAR)
        self.flask_app = flask_app
        self.headers = HEADERS | headers

    def no_file(self, environ: Any, start_response: Any) -> Any:
        return None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer GET and HEAD for a file; the base class would answer DELETE with it as well."""
        path = environ.get("PATH_INFO", "")
        hidden = "/." in path  # for example, a file that is still being written
        is_read = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        if not path.startswith("/uploads/") or hidden or not is_read:
            return self.flask_app(environ, start_response)

        def start_file(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            combined = Headers(headers)
            combined.update(self.headers)
            del combined["Date"]  # the server adds its own
            return start_response(status, combined.to_wsgi_list())

        body: Any = super().__call__(environ, start_file)
        if body is None:
            return self.flask_app(environ, start_response)
        if environ["REQUEST_METHOD"] == "HEAD" and body:
            body.close()  # the base class would send the file
            return []
        return body


def save(file: FileStorage) -> str:
    """Store *file* unless it's there already; return its name. Raises OSError if it can't."""
    extension = os.path.splitext(file.filename or "")[1].lower()
    if extension not in EXTENSIONS:
        extension = ".bin"
    file.seek(0)  # the caller may have read some of it
    digest = hashlib.file_digest(file.stream, "sha256").hexdigest()  # type: ignore[arg-type]
    filename = digest + extension
    target = current_app.config["UPLOAD_FOLDER"] / filename
    if target.exists():
        return filename

    part = target.with_name(f".{uuid.uuid4()}.part")
    file.seek(0)  # hashing has read it to the end
    try:
        with part.open("xb") as out:
            file.save(out)
            out.flush()
            os.fsync(out.fileno())  # otherwise a power cut can leave the name without the content
        part.replace(target)  # atomic, so nobody ever fetches half a file
    finally:
        part.unlink(missing_ok=True)
    return filename


def remove_parts(folder: Path) -> None:
    """Remove what ``save`` left behind where its process was killed, and no other dotfile."""
    for part in folder.glob(".????????-????-????-????-????????????.part"):
        with suppress(OSError):  # for example, another process that starts has removed it already
            if part.stat().st_mtime < time.time() - HOUR:  # a younger one may still be written
                part.unlink()


def upload() -> tuple[dict[str, str], int, dict[str, str]]:
    """A view: store the multipart field ``file``, answer 201; 400 without one, 413 if too large."""
    file = request.files.get("file")
    if not file:  # the field is missing, or its file has no name
        abort(400, "Send a file in the multipart field 'file'.")
    filename = save(file)
    url = url_for("uploaded_file", filename=filename)
    return {"filename": filename, "url": url}, 201, {"Location": url}


def prepare_folder(app: Flask) -> Path:
    """Return ``UPLOAD_FOLDER`` as a path, created if missing; ValueError if it can't be used."""
    try:
        folder = Path(app.instance_path, app.config.get("UPLOAD_FOLDER", "uploads"))
        if Path(app.instance_path).resolve().is_relative_to(folder.resolve()):
            raise ValueError("the instance folder, with its secrets, would be served")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # fails where we may not write
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"UPLOAD_FOLDER cannot be used: {error}") from error
    return folder


def init_app(app: Flask) -> None:
    """Serve what ``save`` stores at ``/uploads/<filename>``; ValueError names a bad setting."""
    if app.config["MAX_CONTENT_LENGTH"] is None:
        app.config["MAX_CONTENT_LENGTH"] = 16 * 1024**2
    limit = app.config["MAX_CONTENT_LENGTH"]
    if not isinstance(limit, int) or limit < 0:
        raise ValueError(f"MAX_CONTENT_LENGTH is {limit!r}, not a number of bytes")
    headers = app.config.setdefault("UPLOAD_HEADERS", {})
    if not isinstance(headers, dict):
        raise ValueError(f"UPLOAD_HEADERS is {headers!r}, not a dict of names and values")

    folder = app.config["UPLOAD_FOLDER"] = prepare_folder(app)
    remove_parts(folder)
    app.add_url_rule("/uploads/<filename>", "uploaded_file", build_only=True)
    app.wsgi_app = Uploads(app.wsgi_app, folder, headers)  # type: ignore[method-assign]
