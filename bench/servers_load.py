"""How many requests per second does a server answer, under which a chapter is run?

wrk keeps eight connections busy. Chapter 01 runs under `flask run`, which is made for development:
it closes the connection after each response. Its log goes to /dev/null here instead of a terminal.
Chapter 06 has one process of gunicorn and a real Valkey, and its requests have the cookie of a
login. wrk and the server share the machine.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL
from urllib.request import Request, urlopen

from flask import Flask

from live import SETTINGS, Browser, Desk, Ledger, free_port, nginx, process
from scripts import FULL, HERE, ROOT, Table, main, say

SECONDS = 10 if FULL else 2
WARM_UP = 50  # requests
PICTURE = f"{'0' * 64}.png"  # as uploads.save makes names; nothing else is served
FILE = b"\x89PNG" + bytes(1020)
FLASK = "-m flask --app {app} --no-debug run --no-debugger --no-reload --port {port}"
GUNICORN = "-m gunicorn servers_load:bare() --config ../06_login_context/deploy/gunicorn.conf.py"

# wrk rounds what it prints, and changes the units. It counts every status above 399 as an error.
REPORT = """
done = function(summary, latency)
    local e = summary.errors
    io.stderr:write(string.format(
        '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}',
        summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        e.status + e.connect + e.read + e.write + e.timeout))
end
"""


def bare() -> Flask:
    """An app with one view: what the server itself takes."""
    app = Flask("bare")

    @app.get("/")
    def view() -> dict[str, object]:
        return {"user": {"id": 1, "name": "Ada", "blocked": False}}

    return app


def load(folder: Path, port: int, path: str, part: bytes, cookie: str = "") -> dict[str, float]:
    """Return what wrk measures. The body of a response has to have *part* in it."""
    url = f"http://127.0.0.1:{port}{path}"
    for _ in range(WARM_UP):
        with urlopen(Request(url, headers={"Cookie": cookie}), timeout=30) as response:
            assert part in response.read(), f"{url} isn't what it has to be"

    script = folder / "report.lua"
    script.write_text(REPORT)
    command = ["wrk", "-t1", "-c8", f"-d{SECONDS}s", f"-HCookie: {cookie}", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = json.loads(done.stderr)
    if seen["errors"] or not seen["requests"]:
        sys.exit(f"{url}: wrk has got other responses: {seen}")
    return {
        "requests per second": seen["requests"] / seen["seconds"],
        "p50, ms": seen["p50"],
        "p99, ms": seen["p99"],
    }


@contextmanager
def server(command: str, folder: Path, port: int, **env: str) -> Iterator[None]:
    """Run a command of this Python until the end of the block."""
    words = [sys.executable, *command.split()]
    with process(words, folder, port, env=os.environ | env, stdout=DEVNULL, stderr=DEVNULL):
        yield


def measure(folder: Path) -> Table:
    uploads, url = folder / "uploads", f"/uploads/{PICTURE}"
    uploads.mkdir()
    (uploads / PICTURE).write_bytes(FILE)
    table, port = {}, free_port()

    say("flask run")
    with server(FLASK.format(app="servers_load:bare", port=port), HERE, port):
        table["bare flask run"] = load(folder, port, "/", b"Ada")
    command, env = FLASK.format(app="app", port=port), {"FLASK_UPLOAD_FOLDER": str(uploads)}
    with server(command, ROOT / "01_static_files", port, **env):
        table["01, a file"] = load(folder, port, url, FILE)

    if shutil.which("nginx"):
        say("nginx")
        location = f'location /uploads/ {{ alias "{uploads}/"; }}'
        with nginx(folder, port, f"server {{ listen 127.0.0.1:{port}; {location} }}"):
            table["01, a file, nginx"] = load(folder, port, url, FILE)

    say("gunicorn")
    with server(GUNICORN, HERE, port, PORT=str(port)):
        table["bare gunicorn gevent"] = load(folder, port, "/", b"Ada")
    with Desk(folder / "06", **SETTINGS) as desk:
        browser = Browser(Ledger(), desk.port, "ada").log_in()
        browser.wait_for_contacts()  # then the worker has nothing to do
        table["06, GET /j/me"] = load(folder, desk.port, "/j/me", b"ada", browser.cookie)
    return table


if __name__ == "__main__":
    main(measure)
