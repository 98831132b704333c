"""What the benchmarks share that call an app in their own process, without a server."""

import functools
import logging
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple
from wsgiref.types import WSGIApplication

from flask import Flask, abort
from werkzeug.test import create_environ, run_wsgi_app

from scripts import FULL, Table

ROUNDS = 10 if FULL else 1
LOOPS = 10  # calls that are timed at once
Timers = dict[str, Callable[[], float]]  # by column: call once or more; return the seconds of one


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


def measure(
    prepare: Callable[[str], Timers],
    rows: list[str],
    values: int = 100,
    of: Callable[[list[float]], float] = min,
) -> Table:
    """Return microseconds by row and column: *of* the *values* of all rounds.

    Each row has new processes, because a version mustn't be faster for what another one has
    imported. They take turns, and the values are many and short, because other processes only ever
    make some of them slower.
    """
    seen = defaultdict(list)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as new_process:
        for _ in range(ROUNDS):
            for row in rows:
                for column, seconds in new_process.submit(
                    take_turns, prepare, row, values
                ).result():
                    seen[row, column].append(seconds)
    table: Table = {row: {} for row in rows}
    for (row, column), all_seconds in seen.items():
        table[row][column] = 1e6 * of(all_seconds)
    return table


def take_turns(prepare: Callable[[str], Timers], row: str, values: int) -> list[tuple[str, float]]:
    logging.disable()
    timers = prepare(row)
    for timer in timers.values():
        timer()  # the first call takes longer
    return [(column, timer()) for _ in range(values) for column, timer in timers.items()]


def call(app: WSGIApplication, request: Request, text: str) -> Callable[[], float]:
    """Return a function that sends *request* to *app* as a server does, and reads all of it.

    AssertionError: the status is another one, or *text* is neither in the headers nor in the body.
    """
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

    def send() -> float:
        start = time.perf_counter()
        for _ in range(LOOPS):
            body = app(environ.copy(), start_response)
            for _ in body:
                pass
            if hasattr(body, "close"):
                body.close()
        return (time.perf_counter() - start) / LOOPS

    return send


def compare(versions: dict[str, Version], requests: dict[str, Request]) -> Table:
    """Measure each kind of request with each version."""
    return measure(functools.partial(calls_of, versions, requests), list(versions))


def calls_of(versions: dict[str, Version], requests: dict[str, Request], row: str) -> Timers:
    app, texts = versions[row].build(), versions[row].texts
    return {
        column: call(app, request, text)
        for (column, request), text in zip(requests.items(), texts, strict=False)
    }


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
