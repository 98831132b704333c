"""Chapter 01: what it costs to store an upload, by its size.

Each upload is a new one, because the chapter doesn't store the same content twice, and each file is
deleted before the next upload. "Plain writing" has no multipart form to read: its view copies the
body of the request into a file. The chapter alone calls fsync, which waits for the disk.
"""

import functools
import os
import random
import shutil
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from flask import Flask, request
from werkzeug.test import create_environ, run_wsgi_app

import calls

calls.use_chapter("01_static_files")

SIZES = {"1 KiB": 1024, "64 KiB": 64 * 1024, "1 MiB": 1024**2, "16 MiB": 16 * 1024**2}
UPLOADS = {"1 KiB": 32, "64 KiB": 32, "1 MiB": 8, "16 MiB": 1}  # timed at once
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

    def __init__(self, version: Callable[[Path], Any], size: int) -> None:
        self.folder = calls.new_folder()
        self.app = version(self.folder)
        # As random as a picture, but the same in every process.
        self.content = bytearray(random.Random(size).randbytes(size))
        self.number = 0
        self.head, self.tail, self.type = b"", b"", "image/png"
        if version is not plain:
            disposition = 'form-data; name="file"; filename="picture.png"'
            head = f"--edge\r\nContent-Disposition: {disposition}\r\n\r\n"
            self.head, self.tail = head.encode(), b"\r\n--edge--\r\n"
            self.type = "multipart/form-data; boundary=edge"

    def check(self) -> None:
        """AssertionError if an upload isn't stored as it was sent."""
        assert self.send(self.new_request()) == "201 CREATED"
        (stored,) = self.folder.iterdir()
        assert stored.read_bytes() == self.content
        stored.unlink()

    def new_request(self) -> dict[str, Any]:
        """Return the WSGI environment of an upload that differs from those before."""
        self.number += 1
        self.content[:8] = self.number.to_bytes(8, "big")
        body = self.head + self.content + self.tail
        return create_environ(
            "/uploads",
            method="POST",
            content_type=self.type,
            content_length=len(body),
            input_stream=BytesIO(body),
        )

    def send(self, environ: dict[str, Any]) -> str:
        """Upload a file; return the status."""
        _, status, _ = run_wsgi_app(self.app, environ, buffered=True)
        return status

    def seconds(self, loops: int) -> float:
        """Return how long *loops* uploads take, without what happens between them."""
        total = 0.0
        for _ in range(loops):
            environ = self.new_request()
            start = time.perf_counter()
            self.send(environ)
            total += time.perf_counter() - start
            for stored in self.folder.iterdir():
                stored.unlink()
        return total


@functools.cache
def prepare(row: str, column: str) -> Uploads:
    uploads = Uploads(ROWS[row], SIZES[column])
    uploads.check()
    return uploads


def seconds(rounds: int, row: str, column: str) -> float:
    return prepare(row, column).seconds(rounds * UPLOADS[column])


if __name__ == "__main__":
    runner = calls.runner(values=5, loops=1)
    for column, count in UPLOADS.items():
        for row in ROWS:
            name = f"{row} | {column}"
            runner.bench_time_func(name, seconds, row, column, inner_loops=count)
