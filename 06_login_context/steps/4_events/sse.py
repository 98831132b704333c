"""Server-sent events: one Redis stream, read once by every process, a queue for each browser.

Settings: ``SSE_MAX_STREAMS`` (open ones per process, default 500), ``SSE_QUEUE`` (events that a
browser may be behind, 100), ``SSE_HEARTBEAT`` (s, 15; a closed browser is released within it),
``SSE_HISTORY`` (events kept for browsers that come back, about 1000).
See https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import contextlib
import queue
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from flask import Flask, Response, json, request
from redis import ConnectionPool, Redis, RedisError
from werkzeug.exceptions import ServiceUnavailable

KEY = "events"  # its entries have: channel, type, data (JSON), last ("1" ends the streams)
BLOCK = 5  # seconds that the reader waits in Redis at a time
PAGE = 20  # entries that are read from Redis at a time, because each may be large
OPENING = 20  # streams at once; when more browsers come back together, they wait their turn
SEND_BUFFER = 64 * 1024  # bytes that the kernel keeps for a browser that doesn't read
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing the socket throws away what it still holds
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx reads the latter
DEFAULTS = {"SSE_MAX_STREAMS": 500, "SSE_QUEUE": 100, "SSE_HEARTBEAT": 15, "SSE_HISTORY": 1000}
Entry = tuple[str, dict[str, str]]  # id, fields


class Event(NamedTuple):
    """An entry as browsers get it, encoded once for all of them."""

    order: tuple[int, ...]  # of ids: as text, 9-0 would be newer than 10-0
    text: bytes
    last: bool


class Stream(queue.Queue[Event | None]):
    """The open stream of one browser, and the events that it hasn't sent yet (None: it ends)."""

    def __init__(self, channels: list[str], sock: socket.socket | None, size: int) -> None:
        super().__init__(size)
        self.channels = channels
        self.sock = sock
        if sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def cut(self) -> None:
        """Close the connection although the server may be stuck in a write to it."""
        if not self.sock:
            return
        with contextlib.suppress(OSError):
            # A copy, because gevent turns shutdown() into an error for the greenlet that writes.
            copy = socket.fromfd(self.sock.fileno(), self.sock.family, self.sock.type)
            with copy:
                copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                copy.shutdown(socket.SHUT_RDWR)


def after(redis: Any, event_id: str) -> list[Entry] | None:
    """Return the next entries after *event_id*; None if there is none with that id (any more)."""
    if not re.fullmatch(r"\d{1,15}-\d{1,15}", event_id, re.ASCII):
        return None
    entries: list[Entry] = redis.xrange(KEY, event_id, count=1 + PAGE)
    # If it is still there, nothing newer has been trimmed either.
    return entries[1:] if entries and entries[0][0] == event_id else None


def order(event_id: str) -> tuple[int, ...]:
    return tuple(map(int, event_id.split("-")))


def encode(event_id: str, entry: dict[str, str]) -> Event:
    text = f"id: {event_id}\nevent: {entry['type']}\ndata: {entry['data']}\n\n"
    return Event(order(event_id), text.encode(), entry["last"] == "1")


class SSE:
    """The extension. One object serves one app: its reader belongs to the process."""

    def init_app(
        self,
        app: Flask,
        redis: Any,
        channels: Callable[[], list[str]],
        seconds_left: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        """Add ``GET /stream``. *redis*: ``Redis(decode_responses=True)``; *channels* returns what
        the browser of this request may hear, *seconds_left* for how long; both may raise."""
        for name, value in DEFAULTS.items():
            app.config.setdefault(name, value)
        self.app, self.redis, self.channels, self.seconds_left = app, redis, channels, seconds_left
        self.lock = threading.Lock()
        self.turns = threading.BoundedSemaphore(OPENING)
        self.streams: set[Stream] = set()
        self.by_channel: dict[str, set[Stream]] = {}
        self.reader: threading.Thread | None = None
        app.add_url_rule("/stream", "stream", self.stream)

    def publish(
        self, data: Any, channel: str, type: str = "message", last: bool = False, redis: Any = None
    ) -> Any:
        """Send *data* (JSON) to *channel*; return the event's id. *last*: ends the streams that
        hear it. *redis*: a pipeline, if the event is to be part of a transaction.

        ValueError: *type* is not one ASCII word.
        """
        if not re.fullmatch("[!-~]+", type):
            raise ValueError(f"{type!r} is no type of event")
        event = {"channel": channel, "type": type, "data": json.dumps(data), "last": int(last)}
        client = self.redis if redis is None else redis  # an empty pipeline is false
        return client.xadd(KEY, event, maxlen=self.app.config["SSE_HISTORY"])

    def newest(self) -> str:
        """Return the newest id. There has to be one to resume from: else an event for nobody."""
        entries = self.redis.xrevrange(KEY, count=1)
        return str(entries[0][0] if entries else self.publish(None, channel=""))

    def stream(self) -> Response:
        """The view. Also takes ``?last_event_id=``: a new EventSource cannot send the header."""
        response = Response(mimetype="text/event-stream", headers=HEADERS)
        if request.method == "HEAD":
            return response
        sock = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
        asked = request.headers.get("Last-Event-ID") or request.args.get("last_event_id")
        stream = Stream(self.channels(), sock, self.app.config["SSE_QUEUE"])

        # In this order, because a logout may happen between any two of these steps: what happens
        # after add() is queued, and what happened before newest() is known to seconds_left().
        self.add(stream)
        try:
            with self.turns:
                missed = after(self.redis, asked) if asked else []
                start = asked if asked and missed is not None else self.newest()
                end = time.monotonic() + self.seconds_left()
        except Exception:
            self.remove(stream)
            raise

        # Not a finally in the generator: one that is closed before it starts runs none.
        response.call_on_close(lambda: self.remove(stream))
        backlog = None if missed is None else self.backlog(stream, missed)
        response.response = self.events(stream, start, backlog, end)
        return response

    def add(self, stream: Stream) -> None:
        """Let *stream* hear its channels; ServiceUnavailable if too many are open."""
        with self.lock:
            if len(self.streams) >= self.app.config["SSE_MAX_STREAMS"]:
                raise ServiceUnavailable("Too many streams are open.", retry_after=5)
            if not (self.reader and self.reader.is_alive()):  # not before: a fork would lose it
                seen = self.newest()
                self.reader = threading.Thread(target=self.read, args=[seen], daemon=True)
                self.reader.start()
            self.streams.add(stream)
            for channel in stream.channels:
                self.by_channel.setdefault(channel, set()).add(stream)

    def remove(self, stream: Stream) -> None:
        with self.lock:
            self.streams.discard(stream)
            for channel in stream.channels:
                others = self.by_channel.get(channel, set())
                others.discard(stream)
                if not others:
                    self.by_channel.pop(channel, None)

    def backlog(self, stream: Stream, page: list[Entry]) -> Iterator[Event]:
        """Yield what *stream* has missed; *page* has the first entries of that.

        One page at a time, because a browser that doesn't read would keep all of them in memory.
        """
        while page:
            for event_id, entry in page:
                if entry.get("channel") in stream.channels:
                    yield encode(event_id, entry)
            try:
                next_page = after(self.redis, page[-1][0])
            except RedisError:
                next_page = None
            if next_page is None:  # Redis is away, or the rest was trimmed while the browser read
                self.end(stream)  # it comes back, and resumes or gets a reset
            page = next_page or []

    def events(
        self, stream: Stream, start: str, missed: Iterator[Event] | None, end: float
    ) -> Iterator[bytes]:
        """Yield the stream's text: what was *missed* until now (None: nobody knows), then what is
        queued, until *end*."""
        yield b"retry: 2000\n\n"
        if missed is None:
            yield f"id: {start}\nevent: reset\ndata: {{}}\n\n".encode()
        yield f"id: {start}\n\n".encode()  # otherwise a browser that leaves now could not resume

        newest = order(start)
        for event in missed or ():
            if stream not in self.streams or time.monotonic() > end:
                return
            newest = event.order
            yield event.text
            if event.last:
                return

        # Half: the first write to a closed browser succeeds, the second one fails.
        heartbeat = self.app.config["SSE_HEARTBEAT"] / 2
        while stream in self.streams:
            wait = min(heartbeat, end - time.monotonic())
            if wait <= 0:
                return
            try:
                queued = stream.get(timeout=wait)
            except queue.Empty:
                yield b":\n\n"
                continue
            if queued and queued.order > newest:
                newest = queued.order
                yield queued.text
                if queued.last:
                    return

    def read(self, seen: str) -> None:
        """Deliver what is newer than *seen*, as long as the process lives."""
        pool = self.redis.connection_pool
        kwargs = pool.connection_kwargs | {"socket_timeout": BLOCK + 1}  # else a wait is an error
        redis = Redis(connection_pool=ConnectionPool(pool.connection_class, 1, **kwargs))
        while self.reader is threading.current_thread():
            try:
                entries = after(redis, seen)
                if entries is None:  # something is lost: all come back, and get their reset
                    self.end(*self.streams)
                    seen = self.newest()
                for seen, entry in entries or []:
                    self.deliver(seen, entry)
                redis.xread({KEY: seen}, count=1, block=BLOCK * 1000)  # only to be woken
            except Exception as error:  # never deaf for good, whatever it was
                self.app.logger.warning("No events: %r", error)
                self.end(*self.streams)  # the page says so, and comes back
                time.sleep(1)

    def deliver(self, event_id: str, entry: dict[str, str]) -> None:
        """Queue an event for the streams that hear its channel, and end those that are too slow."""
        with self.lock:
            listening = list(self.by_channel.get(entry.get("channel", ""), ()))
        event = encode(event_id, entry) if listening else None
        for stream in listening:
            try:
                stream.put_nowait(event)
            except queue.Full:
                self.end(stream)
        time.sleep(0)  # the browsers' turn, under gevent

    def end(self, *streams: Stream) -> None:
        """End streams. Their browsers come back, and resume or get a reset."""
        for stream in streams:
            self.remove(stream)
            try:
                stream.put_nowait(None)  # wakes it up
            except queue.Full:
                stream.cut()
