"""Chapter 01: what it costs to serve a file, and what a request costs that is for no file.

WhiteNoise only knows the files that were there when it was started, so it could not serve uploads.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response, send_from_directory
from werkzeug.test import Client

import calls
from calls import Request

calls.use_chapter("01_static_files")

CONTENT = b"\x89PNG\r\n\x1a\n".ljust(1024, b".")
FILE = "/uploads/picture.png"


def bare() -> Flask:
    """Build an app with one view, which is no file."""
    app = Flask("bench")
    add_view(app)
    return app


def add_view(app: Flask) -> None:
    @app.get("/view")
    def view() -> dict[str, str]:
        return {"name": "Ada"}


def send(folder: Path) -> Any:
    app = bare()

    @app.get("/uploads/<filename>")
    def uploaded_file(filename: str) -> Response:
        return send_from_directory(folder, filename)

    return app


def technique(folder: Path) -> Any:
    import uploads  # type: ignore[import-not-found]

    app = bare()
    app.config["UPLOAD_FOLDER"] = folder
    uploads.init_app(app)
    return app


def whole(folder: Path) -> Any:
    from app import create_app  # type: ignore[import-not-found]

    app = create_app({"UPLOAD_FOLDER": folder})
    add_view(app)
    return app


def article(folder: Path) -> Any:
    from article import create_app  # type: ignore[import-not-found]

    app = create_app(str(folder))
    add_view(app)
    return app


def whitenoise(folder: Path) -> Any:
    from whitenoise import WhiteNoise

    return WhiteNoise(bare(), root=folder, prefix="uploads")


ROWS: dict[str, Callable[[Path], Any]] = {
    "send_from_directory": send,
    "chapter 01": technique,
    "chapter 01, whole app": whole,
    "article": article,
    "WhiteNoise": whitenoise,
}


def build(version: Callable[[Path], Any]) -> Any:
    """Build the app of a version over a folder that has one file."""
    folder = calls.new_folder()
    (folder / "picture.png").write_bytes(CONTENT)
    return version(folder)


def small_file(version: Callable[[Path], Any]) -> calls.Call:
    return calls.call(build(version), Request("GET", FILE, 200), "PNG\r\n\x1a\n......")


def not_modified(version: Callable[[Path], Any]) -> calls.Call:
    app = build(version)
    with Client(app).get(FILE) as answer:
        etag = answer.headers["ETag"]
    return calls.call(app, Request("GET", FILE, 304, {"If-None-Match": etag}), etag)


def no_file(version: Callable[[Path], Any]) -> calls.Call:
    return calls.call(build(version), Request("GET", "/view", 200), "Ada")


COLUMNS = {"a small file": small_file, "not modified": not_modified, "a view": no_file}


if __name__ == "__main__":
    runner = calls.runner()
    for column, prepare in COLUMNS.items():
        for row, version in ROWS.items():
            calls.measure(runner, f"{row} | {column}", functools.partial(prepare, version))
