# From "A Flask API, one technique at a time", chapter 01. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1 and Werkzeug 3.1, or later.
"""Uploads: stored under a name made from their content, served so that nothing in them can run.

``init_app`` adds the view that serves the files, with a WSGI middleware in front of it. ``upload``
is a view that takes a file; ``save`` stores one that a view of your own has received.

Settings: ``UPLOAD_FOLDER`` (default ``uploads``; a relative path begins at the instance folder) and
``UPLOAD_LIMIT`` (bytes, default 16 MiB).
See https://flask.palletsprojects.com/en/stable/patterns/fileuploads/, RFC 9110 section 14 (Range)
and RFC 8246 (immutable).
"""

import hashlib
import os
import re
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask, abort, current_app, request, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter
from werkzeug.utils import send_from_directory
from werkzeug.wrappers import Response

URL = "/uploads"
# The names that save() makes, and the only ones that are served: a digest, and the extension of a
# type that no browser runs as part of this site. Anything else becomes .bin, a download.
NAME = r"[0-9a-f]{64}\.(?:bin|gif|jpeg|jpg|mp3|mp4|pdf|png|txt|zip)"

POLICY = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; form-action 'none'"
HEADERS = {
    # A year: the name is made from the content, so what a browser keeps under it never goes stale.
    # Private: Flask may add a session cookie, which no cache shared by several visitors may keep.
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
}


def upload_folder(app: Flask) -> Path:
    """Return the folder of *app*'s uploads as an absolute path; the setting stays as it is."""
    return Path(app.instance_path, app.config["UPLOAD_FOLDER"])


def save(file: FileStorage) -> str:
    """Store *file* unless it's there already; return its name, which matches ``NAME``.

    Raises BadRequest (400) if it has no name, RequestEntityTooLarge (413) above ``UPLOAD_LIMIT``,
    and OSError if it can't be written.
    """
    if not file.filename:
        abort(400, "No file was chosen.")  # a form sends an empty one then
    file.seek(0, os.SEEK_END)
    if file.tell() > current_app.config["UPLOAD_LIMIT"]:
        abort(413)

    file.seek(0)
    digest = hashlib.file_digest(file.stream, "sha256").hexdigest()  # type: ignore[arg-type]
    filename = digest + os.path.splitext(file.filename)[1].lower()
    if not re.fullmatch(NAME, filename):
        filename = f"{digest}.bin"
    target = upload_folder(current_app) / filename
    if target.exists():
        return filename

    part = target.with_name(f".upload-{uuid.uuid4()}.part")
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
    """Remove what ``save`` left behind where its process was killed more than an hour ago."""
    for part in folder.glob(".upload-*.part"):
        with suppress(OSError):  # for example, another process that starts has removed it already
            if part.stat().st_mtime < time.time() - 3600:  # a younger one may still be written
                part.unlink()


def upload() -> tuple[dict[str, str], int, dict[str, str]]:
    """A view: store the one file in the multipart field ``file``, answer 201 with its name and URL.

    Answers 400 without a file or with several, 413 above ``UPLOAD_LIMIT``.
    """
    request.max_content_length = current_app.config["UPLOAD_LIMIT"]
    files = request.files.getlist("file")
    if len(files) != 1:
        abort(400, "Send exactly one file, in the multipart field 'file'.")
    filename = save(files[0])
    url = url_for("uploaded_file", filename=filename)
    return {"filename": filename, "url": url}, 201, {"Location": url}


def send_upload(folder: Path, filename: str, environ: Any) -> Response:
    """Return the response with a stored file: 200, 206, 304 or 412.

    Raises NotFound, RequestedRangeNotSatisfiable (416), and OSError if it can't be opened.
    """
    response = send_from_directory(folder, filename, environ, etag=filename)
    response.headers.update(HEADERS)
    del response.headers["Content-Disposition"]  # its name would beat that of <a download="...">
    del response.headers["Date"]  # the server adds its own
    return response


def uploaded_file(filename: str) -> Response:
    """The view behind the middleware: it gives the errors, and the files in an app without it."""
    return send_upload(upload_folder(current_app), filename, request.environ)


class NameConverter(BaseConverter):
    """Lets Flask's routing match the names that ``save`` makes, and no others."""

    regex = NAME


class FileMiddleware:
    """Answers GET and HEAD for stored files; leaves all the rest, errors included, to Flask."""

    def __init__(self, wsgi_app: Any, folder: Path) -> None:
        self.wsgi_app = wsgi_app
        self.folder = folder

    def __call__(self, environ: Any, start_response: Any) -> Any:
        match = re.fullmatch(f"{URL}/({NAME})", environ.get("PATH_INFO", ""))
        if match and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            # If that fails, it fails in the view as well, where the app's error handlers see it.
            with suppress(HTTPException, OSError):
                return send_upload(self.folder, match[1], environ)(environ, start_response)
        return self.wsgi_app(environ, start_response)


def init_app(app: Flask, *, middleware: bool = True, **options: Any) -> None:
    """Serve what ``save`` stores at ``/uploads/<filename>``.

    With ``middleware=False`` the view serves all files, so your hooks see each request. *options*
    are the rule's, such as ``host`` (see ``Flask.add_url_rule``). Raises ValueError for a setting
    or a rule that can't work, OSError if the folder can't be made.
    """
    app.config.setdefault("UPLOAD_FOLDER", "uploads")
    app.config["UPLOAD_LIMIT"] = int(app.config.get("UPLOAD_LIMIT", 16 * 1024**2))
    if app.url_map.host_matching and "host" not in options:
        raise ValueError("this app matches hosts: name the files' with init_app(app, host=...)")
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "uploaded_file" or rule.rule.startswith(f"{URL}/<"):
            taken = f"{rule.rule} (endpoint {rule.endpoint!r})"
            raise ValueError(f"{taken} is there already: rename it, or change URL in uploads.py")

    folder = upload_folder(app)
    folder.mkdir(parents=True, exist_ok=True)
    remove_parts(folder)
    app.url_map.converters["upload_name"] = NameConverter
    app.add_url_rule(f"{URL}/<upload_name:filename>", "uploaded_file", uploaded_file, **options)
    if middleware:
        app.wsgi_app = FileMiddleware(app.wsgi_app, folder)  # type: ignore[method-assign]
