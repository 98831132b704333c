"""Serve the book: ``python reader/run.py``, or ``python reader/run.py --chapter 03``.

From the environment: ``HOST``, ``PORT`` and ``DEBUG=1`` are for the versions of the chapter that is
opened (the article's is at ``PORT`` + 100), ``READER_PORT`` (default 8100) is the reader's own.
With another one, the chapters' ports move along: chapter 03 is at ``READER_PORT`` + 3 and + 103.
The reader itself listens on 127.0.0.1 only.
"""

import argparse
import errno
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

from contents import Book, Chapter
from running import Runner
from werkzeug.serving import WSGIRequestHandler, make_server

from app import create_app

ROOT = Path(__file__).resolve().parent.parent


class Quiet(WSGIRequestHandler):
    """Writes no line for each request, because the logs that matter are the chapters'."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve the book on 127.0.0.1.")
    parser.add_argument("--chapter", help="open the book here, such as 03")
    parser.add_argument("--book", type=Path, default=ROOT, help="the folder with the chapters")
    parser.add_argument("--port", default=os.environ.get("READER_PORT") or "8100")
    parser.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
    parser.add_argument("--chapter-port", default=os.environ.get("PORT") or "")
    parser.add_argument("--debug", action="store_true", default=os.environ.get("DEBUG") == "1")
    found = parser.parse_args()
    for name, port in (("READER_PORT", found.port), ("PORT", found.chapter_port or "1")):
        if not port.isdecimal() or not 0 < int(port) < 65336:  # the article's is 100 above
            cannot_serve(found.host, port, "there is no such port", f"choose one with {name}=8000")
    return found


def cannot_serve(host: str, port: int | str, reason: str, advice: str) -> NoReturn:
    sys.exit(f"Cannot serve on {host}:{port}: {reason}; {advice}")


def check_address(host: str, port: int) -> None:
    """End with one line if a version can't listen there."""
    try:
        socket.getaddrinfo(host, None)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except (socket.gaierror, UnicodeError):
        cannot_serve(host, port, "there is no such host", "choose one with HOST=127.0.0.1")
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            reason = "that isn't an address of this computer"
            cannot_serve(host, port, reason, "choose one with HOST=127.0.0.1")
        reason = os.strerror(error.errno or 0)
        cannot_serve(host, port, reason, "choose another port with PORT=8000")


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
    found = options()
    port = int(found.port)
    moved = {found.chapter: int(found.chapter_port)} if found.chapter and found.chapter_port else {}
    book = Book(found.book, port, moved)
    chapter = next((one for one in book.chapters if one.number == found.chapter), None)
    if found.chapter and not chapter:
        numbers = " ".join(one.number for one in book.chapters)
        sys.exit(f"There is no chapter {found.chapter}; the chapters are {numbers}.")
    path = book.name(chapter.readme) if chapter else ""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        taken(book, path)
    if chapter and chapter.runs:
        check_address(found.host, chapter.ports.ours)
        check_address(found.host, chapter.ports.article)

    runner = Runner(book.chapters, found.host, found.debug)
    app = create_app(book, runner)
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet)
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
