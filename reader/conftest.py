"""A small book in a folder of its own, the reader for it, a client that is the reader's page."""

import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

sys.path.insert(0, str(Path(__file__).parent / "tests"))

import sample

from app import create_app
from contents import Book
from running import Runner

PAGE = "01_numbers/README.md"


def free_ports() -> int:
    """Return a port for a reader whose chapters' ports are free as well.

    It has four digits, as the book's do, so that a Content-Length is the same.
    """
    for port in random.sample(range(2000, 7800), 100):
        with suppress(OSError):
            for one in (port, port + 1, port + 101):
                socket.create_server(("127.0.0.1", one)).close()
            return port
    raise OSError("no free ports")


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """The sample in a Git repository; its ours lets pages of this reader read its answers."""
    folder = sample.make(tmp_path_factory.mktemp("reader") / "a book 中文")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "The book"]):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    found = Book(folder, free_ports())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMPLE_ORIGIN", found.origin)
        yield found


@pytest.fixture(scope="session")
def runner(book: Book) -> Iterator[Runner]:
    runner = Runner(book.chapters)
    yield runner
    runner.stop()


@pytest.fixture
def module(book: Book) -> Iterator[Path]:
    """The module of the sample's chapter, for a test to edit; it's as it was when the test ends."""
    path = book.chapters[0].folder / "numbers_.py"
    text, times = path.read_text(), path.stat()
    yield path
    path.write_text(text)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


class Client:
    """Sends what a page of the reader would send."""

    def __init__(self, client: FlaskClient, origin: str) -> None:
        self.client = client
        self.origin = origin

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, base_url=self.origin, **options)

    def post(self, path: str, **values: Any) -> TestResponse:
        headers = {"Origin": self.origin}
        values = {"page": PAGE} | values
        return self.client.post(path, base_url=self.origin, headers=headers, json=values)

    def run(self, card: int, **values: Any) -> str:
        response = self.post("/-/run", card=card, **values)
        assert response.status_code == 200
        return response.text


@pytest.fixture(scope="session")
def client(book: Book, runner: Runner) -> Client:
    return Client(create_app(book, runner).test_client(), book.origin)
