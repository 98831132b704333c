"""How many requests per second does a chapter answer, with the server that it is run with?

wrk keeps eight connections busy. Chapters 01 to 05 run under `flask run`, which is made for
development: it closes the connection after each response. Its log goes to /dev/null here instead of
a terminal. Chapter 06 has one process of gunicorn and a real Valkey, and its requests have the
cookie of a login. wrk and the server share the machine.

Under gevent, the bare app has a small p50 and a large p99. That's because nothing in it waits: a
greenlet continues with its own connection as long as that has a request ready, so the others have
to wait. In chapter 06 each request waits for Redis, and meanwhile another one has its turn.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from flask import Flask

from live import (
    FULL,
    ROOT,
    SETTINGS,
    Browser,
    Desk,
    Ledger,
    Table,
    free_port,
    main,
    nginx,
    process,
    say,
)

SECONDS = 10 if FULL else 2
WARM_UP = 50  # requests
FILE = b"\x89PNG" + bytes(1020)
FLASK = "-m flask --app {app} --no-debug run --no-debugger --no-reload --port {port}"
GUNICORN = "-m gunicorn servers_load:bare() --config ../06_login_context/deploy/gunicorn.conf.py"

# wrk rounds what it prints, and changes the units. It counts every status above 399 as an error.
REPORT = """
done = function(summary, latency)
    local e = summary.errors
    io.stderr:write(string.format(
        '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "refused": %d, "broken": %d}',
        summary.requests, summary.duration / 1e6,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        e.status, e.connect + e.read + e.write + e.timeout))
end
"""


class Row(NamedTuple):
    """A request to measure, and what the response has to be."""

    name: str
    path: str
    part: bytes  # of the body
    status: int = 200


PICTURE = f"{'0' * 64}.png"  # as uploads.save makes names; nothing else is served
CHAPTERS = {
    "01_static_files": [Row("a file", f"/uploads/{PICTURE}", FILE)],
    "03_error_codes": [Row("a contact", "/j/users/1", b"Ada")],
    "04_http_exception_subclass": [Row("a contact", "/j/users/1", b'"error_code"')],
    "05_catch_all": [
        Row("a contact", "/j/users/Ada", b"Ada"),
        Row("an error (404)", "/j/users/9", b"1003", 404),
    ],
}


def bare() -> Flask:
    """An app with one view: what the server itself takes."""
    app = Flask("bare")

    @app.get("/")
    def view() -> dict[str, object]:
        return {"user": {"id": 1, "name": "Ada", "blocked": False}}

    return app


def check_response(port: int, row: Row, headers: dict[str, str]) -> None:
    """End if the response is not what it has to be: then its speed is worth nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", row.path, headers=headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != row.status or row.part not in body:
        sys.exit(f"{row.name}: {row.path} is {response.status} {body[:200]!r}")


def load(folder: Path, port: int, row: Row, cookie: str = "") -> dict[str, float]:
    """Return what wrk measures of *row*."""
    say(row.name)
    headers = {"Cookie": cookie} if cookie else {}
    for _ in range(WARM_UP):
        check_response(port, row, headers)

    script = folder / "report.lua"
    script.write_text(REPORT)
    url = f"http://127.0.0.1:{port}{row.path}"
    options = [f"-H{name}: {value}" for name, value in headers.items()]
    command = ["wrk", "-t1", "-c8", f"-d{SECONDS}s", *options, "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = json.loads(done.stderr)
    refused = seen["requests"] if row.status >= 400 else 0
    if seen["broken"] or seen["refused"] != refused or not seen["requests"]:
        sys.exit(f"{row.name}: wrk has got other responses than {row.status}: {seen}")
    return {
        "requests per second": round(seen["requests"] / seen["seconds"], 1),
        "p50, ms": round(seen["p50"], 2),
        "p99, ms": round(seen["p99"], 2),
    }


@contextmanager
def server(command: str, folder: Path, port: int, **environment: str) -> Iterator[None]:
    """Run a command of this Python until the end of the block."""
    env = os.environ | environment
    with (
        open(os.devnull, "wb") as log,
        process([sys.executable, *command.split()], folder, port, env=env, stdout=log, stderr=log),
    ):
        yield


def measure_nginx(folder: Path) -> dict[str, float]:
    """Measure the file of chapter 01, served by nginx."""
    port = free_port()
    settings = f'listen 127.0.0.1:{port}; location /uploads/ {{ alias "{folder}/uploads/"; }}'
    with nginx(folder, port, f"server {{ {settings} }}"):
        return load(folder, port, Row("01, a file, nginx", f"/uploads/{PICTURE}", FILE))


def measure_chapter(folder: Path, chapter: str) -> Table:
    """Measure both versions of one of the chapters 01 to 05."""
    table = {}
    for app, title in ("app", "ours"), ("article", "article"):
        port = free_port()
        command = FLASK.format(app=app, port=port)
        with server(command, ROOT / chapter, port, FLASK_UPLOAD_FOLDER=str(folder / "uploads")):
            for row in CHAPTERS[chapter]:
                named = row._replace(name=f"{chapter[:2]}, {row.name}, {title}")
                table[named.name] = load(folder, port, named)
    return table


def measure_desk(folder: Path) -> dict[str, float]:
    """Measure a request of somebody who is logged in to chapter 06."""
    with Desk(folder / "06", **SETTINGS) as desk:
        browser = Browser(Ledger(), desk.port, "ada").log_in()
        browser.wait_for_contacts()  # then the worker has nothing to do
        return load(folder, desk.port, Row("06, GET /j/me", "/j/me", b"ada"), browser.cookie)


def measure(folder: Path) -> Table:
    (folder / "uploads").mkdir()
    (folder / "uploads" / PICTURE).write_bytes(FILE)

    table = {}
    here, port = ROOT / "bench", free_port()
    with server(FLASK.format(app="servers_load:bare", port=port), here, port):
        table["bare flask run"] = load(folder, port, Row("bare flask run", "/", b"Ada"))
    for chapter in CHAPTERS:
        table |= measure_chapter(folder, chapter)
    if shutil.which("nginx"):
        table["01, a file, nginx"] = measure_nginx(folder)

    port = free_port()
    with server(GUNICORN, here, port, PORT=str(port)):
        row = Row("bare gunicorn gevent", "/", b"Ada")
        table["bare gunicorn gevent"] = load(folder, port, row)
    table["06, GET /j/me"] = measure_desk(folder)
    return table


if __name__ == "__main__":
    main(measure)
