"""Serve the book: ``python reader/run.py``, or ``python reader/run.py --chapter 03``.

From the environment: ``HOST``, ``PORT`` and ``DEBUG=1`` are for the versions of the chapter that is
opened (the article's is at ``PORT`` + 100), ``READER_PORT`` (default 8100) is the reader's own.
With another one, the chapters' ports move along: chapter 03 is at ``READER_PORT`` + 3 and + 103.
The reader itself listens on 127.0.0.1 only. make runs it by checks/serve.py, which checks these.
"""

import argparse
import json
import os
import signal
import socket
import sys
import threading
import urllib.request
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from werkzeug.serving import WSGIRequestHandler, make_server

from app import create_app
from contents import Book, Chapter
from running import Runner

ROOT = Path(__file__).resolve().parent.parent


class Quiet(WSGIRequestHandler):
    """Writes no line for each request, because the logs that matter are the chapters'."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def taken(book: Book, path: str) -> NoReturn:
    """Say what has the reader's port, and end."""
    port, url = book.port, book.origin
    with suppress(OSError, ValueError, KeyError):
        with urllib.request.urlopen(f"{url}/-/reader", timeout=5) as response:  # noqa: S310
            where = json.load(response)["reader"]
        if where == str(book.root):
            sys.exit(f"The reader is running already: {url}/{path}")
        sys.exit(
            f"Another checkout's reader has port {port}: {where}. Stop it, or set READER_PORT."
        )
    sys.exit(f"Port {port} is in use by another program. Stop it, or set READER_PORT=9100.")


def show_addresses(book: Book, chapter: Chapter | None, path: str) -> None:
    print(f"The book:              {book.origin}/{path}")
    if chapter and chapter.runs:
        print(f"Ours:                  http://127.0.0.1:{chapter.ports.ours}")
        print(f"The article's version: http://127.0.0.1:{chapter.ports.article}")
    print("Ctrl-C stops it.", flush=True)


def open_browser(url: str) -> None:
    """Open the book where somebody sits at a screen; otherwise the printed address has to do."""
    screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY")
    if sys.stdout.isatty() and (screen or os.environ.get("WAYLAND_DISPLAY")):
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the book on 127.0.0.1.")
    parser.add_argument("--chapter", help="start this one and open the book there, such as 03")
    parser.add_argument("--book", type=Path, default=ROOT, help="the folder with the chapters")
    options = parser.parse_args()
    port, own = os.environ.get("READER_PORT") or "8100", os.environ.get("PORT")
    moved = {options.chapter: int(own)} if options.chapter and own else {}
    book = Book(options.book, int(port), moved)
    chapter = next((one for one in book.chapters if one.number == options.chapter), None)
    path = book.name(chapter.readme) if chapter else ""
    try:
        socket.create_server(("127.0.0.1", book.port)).close()
    except OSError:
        taken(book, path)

    host = os.environ.get("HOST") or "127.0.0.1"
    runner = Runner(book.chapters, host, os.environ.get("DEBUG") == "1")
    app = create_app(book, runner)
    server = make_server("127.0.0.1", book.port, app, threaded=True, request_handler=Quiet)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if chapter and chapter.runs:
        runner.start(chapter.number)
    show_addresses(book, chapter, path)
    open_browser(f"{book.origin}/{path}")
    with suppress(KeyboardInterrupt):
        server.serve_forever()
    runner.stop()


if __name__ == "__main__":
    main()
