"""What the benchmarks share that call an app in their own process, without a server.

pyperf starts a script anew for every process that it measures in. So a script only says what is to
be measured, and an app is built by the process that calls it.
"""

import argparse
import atexit
import functools
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.types import WSGIApplication

import pyperf
from flask import Flask, abort
from werkzeug.test import create_environ, run_wsgi_app

HERE = Path(__file__).parent
FULL = os.environ.get("FULL") == "1"  # the long form
Call = Callable[[], object]


class Request(NamedTuple):
    """A kind of request, and how the status of every version's answer to it begins."""

    method: str
    path: str
    status: str
    headers: dict[str, str] | None = None
    again: bool = False  # with the ETag that a first request was answered with


class Version(NamedTuple):
    """How to build the app of one version, and a text in its answer to each kind of request.

    With fewer texts than kinds of requests, it's measured with the first ones alone.
    """

    build: Callable[[], WSGIApplication]
    texts: list[str]


def use_chapter(folder: str) -> None:
    """Make the modules of a chapter importable, before ours of the same name."""
    sys.path.insert(0, str(HERE.parent / folder))


# Files


def keep_files_together() -> None:
    """Let `new_folder` work in this process and in those it starts; remove all files at the end."""
    # Not in the system's temporary folder, which may be in memory: uploads are written to a disk.
    parent = HERE / "instance"
    parent.mkdir(exist_ok=True)
    folder = tempfile.mkdtemp(dir=parent)
    os.environ["BENCH_FOLDER"] = folder

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another script has a folder here
            parent.rmdir()

    atexit.register(remove)
    # SIGTERM would end this process without calling remove(), and Ctrl-C with a traceback.
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, lambda *_: sys.exit(1))


def new_folder() -> Path:
    return Path(tempfile.mkdtemp(dir=os.environ["BENCH_FOLDER"]))


def write_rows(measure: Callable[[], dict[str, dict[str, float]]]) -> None:
    """Write what *measure* returns to the file that ``-o`` names: {"row": {"column": number}}."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--output", type=Path, required=True)
    output = parser.parse_args().output
    logging.disable()
    keep_files_together()
    output.write_text(json.dumps(measure(), indent=2) + "\n", encoding="utf-8")


# Time


def runner(values: int = 100, loops: int = 10) -> Any:
    """Return pyperf's runner. *values*: how many each process measures; *loops*: calls of each."""
    # Many short values instead of a few long ones: other processes disturb only some of them.
    made = pyperf.Runner(processes=1, values=values, warmups=2, loops=loops)
    args = made.parse_args()
    logging.disable()
    if args.worker:
        return made

    if "BENCH_FOLDER" not in os.environ:
        keep_files_together()
    if args.output:
        run_rounds(args.output)
        sys.exit()
    args.inherit_environ = ["BENCH_FOLDER"]
    args.quiet = True  # one line for each benchmark
    sys.stdout = sys.stderr
    return made


def run_rounds(output: str) -> None:
    """Run this script again and again; each time, its benchmarks are measured in new processes.

    pyperf alone would measure one version for a second and then the next one. If something else
    keeps the machine busy in that second, only one version would look slow.
    """
    for _ in range(10 if FULL else 2):
        subprocess.run([sys.executable, sys.argv[0], "--append", output], check=True)


# Calls


def call(version: Version, request: Request, text: str) -> Call:
    """Build an app; return a function that sends it *request*, as a server does, and reads all.

    AssertionError: the status is another one, or *text* is neither in the headers nor in the body.
    """
    app = version.build()
    environ = create_environ(request.path, method=request.method, headers=request.headers)
    # A benchmark of a wrong answer is worth nothing.
    body, status, headers = run_wsgi_app(app, environ.copy(), buffered=True)
    if request.again:
        environ["HTTP_IF_NONE_MATCH"] = headers["ETag"]
        body, status, headers = run_wsgi_app(app, environ.copy(), buffered=True)
    found = f"{status}\n{headers}\n{b''.join(body).decode('utf-8', 'replace')}"
    assert status.startswith(request.status) and text in found, f"{request}: {text}\n{found}"

    def start_response(*status_and_headers: Any) -> Callable[[bytes], object]:
        return lambda data: None

    def send() -> None:
        body = app(environ.copy(), start_response)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    return send


def compare(rows: dict[str, Version], columns: dict[str, Request]) -> None:
    """Measure each kind of request in *columns* with each version in *rows*.

    The versions take turns, because the machine isn't equally fast all the time.
    """
    pyperf_runner = runner()
    for number, (column, request) in enumerate(columns.items()):
        for row, version in rows.items():
            if number < len(version.texts):
                prepare = functools.partial(call, version, request, version.texts[number])
                pyperf_runner.bench_time_func(
                    f"{row} | {column}", seconds, functools.cache(prepare)
                )


def seconds(loops: int, prepare: Callable[[], Call]) -> float:
    """Return how long *loops* calls take of what *prepare* returns."""
    send = prepare()
    start = time.perf_counter()
    for _ in range(loops):
        send()
    return time.perf_counter() - start


# What the benchmarks of chapters 03 to 05 have in common

USERS = {1: {"id": 1, "name": "Ada", "blocked": False}}
ERRORS = {
    "success": Request("GET", "/j/users/1", "200"),
    "raised 404": Request("GET", "/j/users/9", "404"),
    "unknown URL": Request("GET", "/j/nope", "404"),
    "405": Request("PUT", "/j/users/1", "405"),
}
HTML = "<!doctype html>"


def build_bare() -> Flask:
    """Build the app without any technique: its errors are Werkzeug's."""
    app = Flask("bench")

    @app.get("/j/users/<int:user_id>")
    def show_user(user_id: int) -> dict[str, Any]:
        if user_id not in USERS:
            abort(404)
        return {"user": USERS[user_id]}

    return app


BARE = Version(build_bare, ["Ada", HTML, HTML, HTML])
