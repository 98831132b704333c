"""Chapter 01: what it costs to serve a file.

WhiteNoise only knows the files that were there when it was started, so it could not serve uploads.
"""

import tempfile
from pathlib import Path
from typing import Any

from flask import Flask, Response, send_from_directory

from calls import Request, Version, compare
from scripts import Table

CHAPTER = "01_static_files"
NAME = f"{'0' * 64}.png"  # as uploads.save makes it; nothing else is served
URL = f"/uploads/{NAME}"
CONTENT = b"\x89PNG\r\n\x1a\n".ljust(1024, b".")


def new_folder() -> Path:
    """Make a folder that has one file."""
    folder = Path(tempfile.mkdtemp())
    (folder / NAME).write_bytes(CONTENT)
    return folder


def send() -> Any:
    app, folder = Flask("bench"), new_folder()

    @app.get("/uploads/<filename>")
    def uploaded_file(filename: str) -> Response:
        return send_from_directory(folder, filename)

    return app


def ours(middleware: bool = True) -> Any:
    import uploads  # type: ignore[import-not-found]

    app = Flask("bench")
    app.config["UPLOAD_FOLDER"] = new_folder()
    uploads.init_app(app, middleware=middleware)
    return app


def without_middleware() -> Any:
    return ours(middleware=False)


def article() -> Any:
    from article import create_app  # type: ignore[import-not-found]

    return create_app({"UPLOAD_FOLDER": str(new_folder())})


def whitenoise() -> Any:
    from whitenoise import WhiteNoise

    return WhiteNoise(Flask("bench"), root=new_folder(), prefix="uploads")


COLUMNS = {
    "a small file": Request("GET", URL, "200"),
    "not modified": Request("GET", URL, "304", again=True),
    "a range": Request("GET", URL, "206", {"Range": "bytes=100-199"}),
}
TEXTS = ["PNG\r\n", "Cache-Control: ", "Content-Range: bytes 100-199/1024"]
ROWS = {
    "send_from_directory": Version(send, TEXTS),
    "chapter 01": Version(ours, TEXTS, CHAPTER),
    "chapter 01, without its middleware": Version(without_middleware, TEXTS, CHAPTER),
    "article": Version(article, TEXTS[:2], CHAPTER),  # sends the whole file, whatever the range
    "WhiteNoise": Version(whitenoise, TEXTS),
}


def measure() -> Table:
    return compare(ROWS, COLUMNS)
