"""Chapter 01: what it costs to serve a file, and what a request costs that is for no file.

WhiteNoise only knows the files that were there when it was started, so it could not serve uploads.
"""

import tempfile
from pathlib import Path
from typing import Any

from flask import Flask, Response, send_from_directory

import calls
import scripts
from calls import Request, Version

scripts.use_chapter("01_static_files")

NAME = f"{'0' * 64}.png"  # as uploads.save makes it; nothing else is served
URL = f"/uploads/{NAME}"
CONTENT = b"\x89PNG\r\n\x1a\n".ljust(1024, b".")


def new_folder() -> Path:
    """Make a folder that has one file."""
    folder = Path(tempfile.mkdtemp())
    (folder / NAME).write_bytes(CONTENT)
    return folder


def add_view(app: Flask) -> Flask:
    """Add what is no file."""

    @app.get("/view")
    def view() -> dict[str, str]:
        return {"name": "Ada"}

    return app


def send() -> Any:
    app, folder = add_view(Flask("bench")), new_folder()

    @app.get("/uploads/<filename>")
    def uploaded_file(filename: str) -> Response:
        return send_from_directory(folder, filename)

    return app


def technique(middleware: bool = True) -> Any:
    import uploads  # type: ignore[import-not-found]

    app = add_view(Flask("bench"))
    app.config["UPLOAD_FOLDER"] = new_folder()
    uploads.init_app(app, middleware=middleware)
    return app


def only_view() -> Any:
    return technique(middleware=False)


def article() -> Any:
    from article import create_app  # type: ignore[import-not-found]

    return add_view(create_app({"UPLOAD_FOLDER": str(new_folder())}))


def whitenoise() -> Any:
    from whitenoise import WhiteNoise

    return WhiteNoise(add_view(Flask("bench")), root=new_folder(), prefix="uploads")


COLUMNS = {
    "a small file": Request("GET", URL, "200"),
    "not modified": Request("GET", URL, "304", again=True),
    "a view": Request("GET", "/view", "200"),
    "a range": Request("GET", URL, "206", {"Range": "bytes=100-199"}),
}
TEXTS = ["PNG\r\n", "Cache-Control: ", "Ada", "Content-Range: bytes 100-199/1024"]
ROWS = {
    "send_from_directory": Version(send, TEXTS),
    "chapter 01": Version(technique, TEXTS),
    "chapter 01, without its middleware": Version(only_view, TEXTS),
    "article": Version(article, TEXTS[:3]),  # sends the whole file, whatever the range
    "WhiteNoise": Version(whitenoise, TEXTS),
}

if __name__ == "__main__":
    scripts.main(lambda _: calls.compare(ROWS, COLUMNS))
