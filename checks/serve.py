"""What make runs a server with: ``serve.py reader --chapter 03``, ``serve.py 06_login_context``.

A mistake in HOST or PORT gets one line instead of a traceback. The server ends when make ends, and
when its terminal is closed: the terminal tells the first process of its session, and if that is
make, because there is no shell around it, make waits for the server, which is told nothing.
"""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn


def fail(host: str, port: str, reason: str, advice: str) -> NoReturn:
    sys.exit(f"Cannot serve on {host}:{port}: {reason}; {advice}")


def check_address(host: str, port: str) -> None:
    """Exit with one line if a server can't listen there."""
    if not port.isdecimal() or int(port) > 65535:
        fail(host, port, "there is no such port", "choose another one with PORT=8000")
    try:
        socket.getaddrinfo(host, None)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, int(port)), family=family).close()
    except (socket.gaierror, UnicodeError):
        fail(host, port, "there is no such host", "choose another one with HOST=127.0.0.1")
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            advice = "choose one with HOST=127.0.0.1"
            fail(host, port, "that isn't an address of this computer", advice)
        fail(host, port, os.strerror(error.errno or 0), "choose another port with PORT=8000")


def check_folder(app: Path) -> None:
    """Exit with one line if the app can't store anything in its folder."""
    folder = app / "instance" if (app / "instance").exists() else app
    if not os.access(folder, os.W_OK) and "FLASK_UPLOAD_FOLDER" not in os.environ:
        sys.exit(
            f"You may not write to {folder}; name a folder for uploads with FLASK_UPLOAD_FOLDER"
        )


def check_chapter(number: str) -> None:
    """Exit with one line if the reader can't serve both versions of a chapter."""
    reader = os.environ.get("READER_PORT") or "8100"
    if not reader.isdecimal() or not 0 < int(reader) < 65536:
        fail(
            "127.0.0.1", reader, "there is no such port", "choose another one with READER_PORT=9100"
        )
    with suppress(OSError), socket.create_connection(("127.0.0.1", int(reader)), timeout=5):
        return  # what has this port is said by reader/run.py
    host = os.environ.get("HOST") or "127.0.0.1"
    port = os.environ.get("PORT") or str(int(reader) + int(number))
    check_address(host, port)
    check_address(host, str(int(port) + 100))  # the article's
    [chapter] = Path().glob(f"{number}_*")
    if (chapter / "uploads.py").exists():
        check_folder(chapter)


def commands_of_app(app: Path) -> list[list[str]]:
    """Return what serves a chapter or a step; the rest of its settings are in the environment."""
    host = os.environ.get("HOST") or "127.0.0.1"
    port = os.environ.get("PORT") or f"81{app.parts[0][:2]}"
    check_address(host, port)
    check_folder(app)
    os.environ.update(HOST=host, PORT=port)
    if (app / "article.py").exists():
        os.environ["ARTICLE_PORT"] = str(int(port) + 100)
        check_address(host, os.environ["ARTICLE_PORT"])
    if (app / "deploy/Procfile").exists():
        os.environ["FLASK_DEBUG"] = os.environ.get("DEBUG", "")
        return [["deploy/run.py"]]

    # As step 1 of chapter 06 has it.
    debug = "--debug" if os.environ.get("DEBUG") == "1" else "--no-debug"
    options = [debug, "run", "--host", host, "--reload", "--without-threads", "--port"]
    return [
        ["-m", "flask", "--app", "app", *options, port],
        ["-m", "flask", "--app", "article", *options, os.environ["ARTICLE_PORT"]],
    ]


def run(commands: list[list[str]], folder: Path) -> int:
    """Run Python with each of *commands* until one ends, or until make or the terminal is gone."""
    make, terminal = os.getppid(), os.isatty(0)
    servers = [subprocess.Popen([sys.executable, *command], cwd=folder) for command in commands]

    def stop(*_: object) -> None:
        for server in servers:
            server.terminate()

    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the servers
    signal.signal(signal.SIGHUP, lambda *_: None)
    signal.signal(signal.SIGTERM, stop)
    while all(server.poll() is None for server in servers):
        if os.getppid() != make or (terminal and not os.isatty(0)):
            stop()
        time.sleep(0.2)
    stop()
    return max(abs(server.wait()) for server in servers)


def main(what: str, *options: str) -> int:
    if what == "reader":
        if options:
            check_chapter(options[-1])
        return run([["reader/run.py", *options]], Path())
    return run(commands_of_app(Path(what)), Path(what))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
