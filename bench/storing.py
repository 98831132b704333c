"""Chapter 01: what it costs to store an upload, by its size.

Each upload is a new one, because the chapter doesn't store the same content twice, and each file is
deleted before the next upload. "Plain writing" has no multipart form to read: its view copies the
body of the request into a file. The chapter alone calls fsync, which waits for the disk.
"""

import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from flask import Flask, request
from werkzeug.test import create_environ, run_wsgi_app

import calls
import scripts

scripts.use_chapter("01_static_files")

SIZES = {"1 KiB": 1024, "64 KiB": 64 * 1024, "1 MiB": 1024**2, "16 MiB": 16 * 1024**2}
LARGEST = 17 * 1024**2  # of a request: 16 MiB and a little for the form


def technique(folder: Path) -> Any:
    import uploads  # type: ignore[import-not-found]

    app = Flask("bench")
    app.config.from_mapping(UPLOAD_FOLDER=folder, UPLOAD_LIMIT=LARGEST)
    uploads.init_app(app)
    app.add_url_rule("/uploads", view_func=uploads.upload, methods=["POST"])
    return app


def without_fsync(folder: Path) -> Any:
    os.fsync = lambda fd: None
    return technique(folder)


def article(folder: Path) -> Any:
    from article import create_app  # type: ignore[import-not-found]

    return create_app({"UPLOAD_FOLDER": str(folder)})


def plain(folder: Path) -> Any:
    app = Flask("bench")

    @app.post("/uploads")
    def upload() -> tuple[dict[str, str], int]:
        with (folder / "picture.png").open("wb") as out:
            shutil.copyfileobj(request.stream, out)
        return {"url": "/uploads/picture.png"}, 201

    return app


ROWS: dict[str, Callable[[Path], Any]] = {
    "chapter 01": technique,
    "chapter 01, without fsync": without_fsync,
    "article": article,
    "plain writing": plain,
}


class Uploads:
    """Sends one new file after the other to a version of the app."""

    def __init__(self, row: str) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.app = ROWS[row](self.folder)
        self.number = 0
        self.head, self.tail, self.type = b"", b"", "image/png"
        if row != "plain writing":
            disposition = 'form-data; name="file"; filename="picture.png"'
            head = f"--edge\r\nContent-Disposition: {disposition}\r\n\r\n"
            self.head, self.tail = head.encode(), b"\r\n--edge--\r\n"
            self.type = "multipart/form-data; boundary=edge"

    def environ(self, size: int) -> dict[str, Any]:
        """Return the WSGI environment of an upload that differs from those before."""
        self.number += 1
        # As random as a picture, but the same in every process.
        content = random.Random(self.number).randbytes(size)
        body = self.head + content + self.tail
        return create_environ(
            "/uploads",
            method="POST",
            content_type=self.type,
            content_length=len(body),
            input_stream=BytesIO(body),
        )

    def send(self, environ: dict[str, Any], size: int) -> float:
        """Upload a file; return the seconds. AssertionError: it isn't stored."""
        start = time.perf_counter()
        _, status, _ = run_wsgi_app(self.app, environ, buffered=True)
        seconds = time.perf_counter() - start
        (stored,) = self.folder.iterdir()
        assert status == "201 CREATED" and stored.stat().st_size == size
        stored.unlink()
        return seconds


def prepare(row: str) -> calls.Timers:
    uploads = Uploads(row)

    def timer(size: int) -> Callable[[], float]:
        return lambda: uploads.send(uploads.environ(size), size)

    return {column: timer(size) for column, size in SIZES.items()}


if __name__ == "__main__":
    # The median, because a disk doesn't take equally long each time.
    scripts.main(lambda _: calls.measure(prepare, list(ROWS), values=10, of=statistics.median))
