"""The reader as a real process, the chapters that it runs, and their ports."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import book_pages  # noqa: F401 (from here on, the modules of the reader can be imported)
from book import ONE_TECHNIQUE, ROOT, chapter_number
from contents import Ports
from servers import free_port, process

CHAPTERS = ONE_TECHNIQUE


def free_ports() -> int:
    """Return a port for a reader whose chapters' ports are free as well.

    They have four digits as the book's, and no browser refuses one of them, as it does 6679
    (https://fetch.spec.whatwg.org/#port-blocking).
    """
    for port in random.sample(range(7000, 7800), 200):
        with suppress(OSError):
            for one in (port, *range(port + 1, port + 6), *range(port + 101, port + 106)):
                free_port([one])
            return port
    raise OSError("no free ports")


def ports_of(app: Path) -> Ports:
    """Return free ports for the two versions of a chapter or a step.

    They have four digits as the book's, or each Content-Length would be another.
    """
    ours = free_port(random.sample(range(2000, 5000), 50))
    article = free_port(random.sample(range(5000, 8000), 50))
    return Ports(int(chapter_number(app)), 8100, ours, article)


@contextmanager
def reader(uploads: Path, folder: Path = ROOT) -> Iterator[str]:
    """Run the reader of *folder*, with chapter 01's *uploads* elsewhere; yield its origin."""
    port = free_ports()
    origin = f"http://127.0.0.1:{port}"
    env = os.environ | {"READER_PORT": str(port), "FLASK_CORS_ORIGINS": f'["{origin}"]'}
    env["FLASK_UPLOAD_FOLDER"] = str(uploads)
    command = [sys.executable, "reader/run.py"]
    with process(command, folder, port, env=env, stdout=subprocess.DEVNULL):
        yield origin
