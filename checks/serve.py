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

HOST = os.environ.get("HOST") or "127.0.0.1"


def fail(port: int | str, reason: str) -> NoReturn:
    sys.exit(f"Cannot serve on {HOST}:{port}: {reason}")


def port_of(name: str, default: int) -> int:
    """Return the port that a variable holds. SystemExit: it's none."""
    value = os.environ.get(name) or str(default)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        fail(value, f"there is no such port; choose another one with {name}=9100")
    return int(value)


def check(app: Path, port: int) -> None:
    """Exit with one line if an app can't listen on its ports, or store what it gets."""
    ports = [port, port + 100] if (app / "article.py").exists() else [port]
    for used in ports:
        try:
            socket.getaddrinfo(HOST, None)
            family = socket.AF_INET6 if ":" in HOST else socket.AF_INET
            socket.create_server((HOST, used), family=family).close()
        except (socket.gaierror, UnicodeError):
            fail(used, "there is no such host; choose another one with HOST=127.0.0.1")
        except OverflowError:
            fail(used, "there is no such port; choose another one with PORT=8000")
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                fail(used, "that isn't an address of this computer; choose one with HOST=127.0.0.1")
            fail(used, f"{os.strerror(error.errno or 0)}; choose another port with PORT=8000")

    folder = app / "instance" if (app / "instance").exists() else app
    stores = (app / "uploads.py").exists() or (app / "deploy").exists()
    if stores and not os.access(folder, os.W_OK) and "FLASK_UPLOAD_FOLDER" not in os.environ:
        advice = "name a folder for uploads with FLASK_UPLOAD_FOLDER"
        sys.exit(f"You may not write to {folder}; {advice}")


def check_chapter(number: str) -> None:
    """Exit with one line if the reader can't serve both versions of a chapter."""
    reader = port_of("READER_PORT", 8100)
    with suppress(OSError), socket.create_connection(("127.0.0.1", reader), timeout=5):
        return  # what has this port is said by reader/run.py
    [chapter] = Path().glob(f"{number}_*")
    check(chapter, port_of("PORT", reader + int(number)))


def commands_of_app(app: Path) -> list[list[str]]:
    """Return what serves chapter 06 or a step; the rest of its settings are in the environment."""
    port = port_of("PORT", int(f"81{app.parts[0][:2]}"))
    check(app, port)
    os.environ.update(HOST=HOST, PORT=str(port))
    if (app / "article.py").exists():
        os.environ["ARTICLE_PORT"] = str(port + 100)
    if (app / "deploy/Procfile").exists():
        os.environ["FLASK_DEBUG"] = os.environ.get("DEBUG", "")
        return [["deploy/run.py"]]

    # As step 1 of chapter 06 has it.
    debug = "--debug" if os.environ.get("DEBUG") == "1" else "--no-debug"
    options = [debug, "run", "--host", HOST, "--reload", "--without-threads", "--port"]
    return [
        ["-m", "flask", "--app", "app", *options, str(port)],
        ["-m", "flask", "--app", "article", *options, str(port + 100)],
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


if __name__ == "__main__":
    what, *options = sys.argv[1:]
    if what == "reader":
        if options:
            check_chapter(options[-1])
        sys.exit(run([["reader/run.py", *options]], Path()))
    sys.exit(run(commands_of_app(Path(what)), Path(what)))
