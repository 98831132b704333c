"""What the benchmarks share that call an app in a process of its own, without a server."""

import logging
import multiprocessing
import timeit
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple
from wsgiref.types import WSGIApplication

from werkzeug.test import create_environ, run_wsgi_app

from scripts import FULL, Table, use_chapter

ROUNDS = 20 if FULL else 1


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
    chapter: str = ""  # the folder whose modules it imports


def compare(versions: dict[str, Version], requests: dict[str, Request]) -> Table:
    """Return the microseconds of each version's fastest calls, by kind of request.

    Each version has new processes, because it mustn't be faster for what another one has imported.
    They take turns, because other processes only ever make some rounds slower.
    """
    table: Table = {row: {} for row in versions}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as new_process:
        for _ in range(ROUNDS):
            for row, version in versions.items():
                fastest = new_process.submit(times, version, requests).result()
                for column, time in fastest.items():
                    table[row][column] = min(time, table[row].get(column, time))
    return table


def times(version: Version, requests: dict[str, Request]) -> dict[str, float]:
    logging.disable()
    if version.chapter:
        use_chapter(version.chapter)
    app = version.build()
    fastest = {}
    for (column, request), text in zip(requests.items(), version.texts, strict=False):
        seconds = timeit.repeat(sender(app, request, text), number=10, repeat=100)
        fastest[column] = 1e6 * min(seconds) / 10
    return fastest


def sender(app: WSGIApplication, request: Request, text: str) -> Callable[[], None]:
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

    def send() -> None:
        body = app(environ.copy(), start_response)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    return send
