# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1 and Werkzeug 3.1, or later.
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

from flask import Flask, Response, request
from redis import BlockingConnectionPool, Redis, RedisError
from werkzeug.exceptions import ServiceUnavailable

BLOCK = 5  # seconds that the reader waits in Redis at a time
PAGE = 20  # entries that are read from Redis at a time, because each may be large
# Without no-transform a proxy may compress the stream, and hold it back until it ends (RFC 9111,
# 5.2.2.6). nginx reads the other header.
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
DEFAULTS = {"SSE_MAX_STREAMS": 500, "SSE_QUEUE": 100, "SSE_HEARTBEAT": 15, "SSE_HISTORY": 1000}
Entry = tuple[str, dict[str, str]]  # id, fields: channel, type, data, last ("1" ends the streams)


class Event(NamedTuple):
    """An entry as browsers get it, encoded once for all of them."""

    order: tuple[int, ...]
    text: bytes
    last: bool


def order(event_id: str) -> tuple[int, ...]:
    """Return what ids are compared by: as text, 9-0 would be newer than 10-0."""
    return tuple(int(part) for part in event_id.split("-"))


def encode(event_id: str, entry: dict[str, str]) -> Event:
    text = f"id: {event_id}\nevent: {entry['type']}\ndata: {entry['data']}\n\n"
    return Event(order(event_id), text.encode(), entry["last"] == "1")


def client_like(redis: Any, connections: int, **settings: Any) -> Redis:
    """Return a client with *connections* of its own, for which its callers wait their turn."""
    pool = redis.connection_pool
    settings = {**pool.connection_kwargs, **settings}
    own: Any = BlockingConnectionPool
    return Redis(connection_pool=own(connections, None, pool.connection_class, **settings))


class Stream(queue.Queue[Event | None]):
    """The open stream of one browser: the events that it hasn't sent yet (None: it ends)."""

    def __init__(self, channels: list[str], sock: socket.socket | None, size: int) -> None:
        super().__init__(size)
        self.channels = channels
        self.sock = sock
        if sock:  # the kernel keeps 64 KiB for a browser that doesn't read
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)

    def wait(self, seconds: float) -> Event | None:
        """Return the next event; None if none comes within *seconds*."""
        try:
            return self.get(timeout=seconds)
        except queue.Empty:
            return None

    def end(self) -> None:
        """Wake the stream up; if it is full, the server may be stuck in a write to the browser, and
        the connection is closed, with all that it still holds."""
        try:
            self.put_nowait(None)
        except queue.Full:
            if self.sock:
                cut(self.sock)


def cut(sock: socket.socket) -> None:
    """Close a connection in which another thread or greenlet writes."""
    with contextlib.suppress(OSError):  # it's closed already
        # A copy, because gevent turns shutdown() into an error for the greenlet that writes.
        copy = socket.fromfd(sock.fileno(), sock.family, sock.type)
        with copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            copy.shutdown(socket.SHUT_RDWR)


class SSE:
    """The extension. One object serves one app: its reader belongs to the process."""

    def init_app(
        self,
        app: Flask,
        redis: Any,
        channels: Callable[[], list[str]],
        seconds_left: Callable[[], float] = lambda: float("inf"),
        key: str = "events",
    ) -> None:
        """Add ``GET /stream``. *redis*: ``Redis(decode_responses=True)``, otherwise a ValueError;
        *channels* returns what the browser of this request may hear, *seconds_left* for how long;
        both may raise. *key*: of the stream in Redis; apps with the same one hear each other.
        """
        if not redis.get_encoder().decode_responses:
            raise ValueError("sse.py needs a Redis client with decode_responses=True")
        for name, value in DEFAULTS.items():
            app.config.setdefault(name, value)
        self.app, self.redis, self.key = app, redis, key
        self.channels, self.seconds_left = channels, seconds_left
        self.opening = client_like(redis, 20)  # when more browsers come back at once, they wait
        # Nothing waits inside: under gevent, that could be for ever. R, because Python may end a
        # stream that a server has forgotten at any time, and so in here as well.
        self.lock = threading.RLock()
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
        # JSON breaks lines between its values alone, where a space does as well.
        text = re.sub(r"[\r\n]", " ", self.app.json.dumps(data))
        entry = {"channel": channel, "type": type, "data": text, "last": int(last)}
        client = self.redis if redis is None else redis  # an empty pipeline is false
        return client.xadd(self.key, entry, maxlen=self.app.config["SSE_HISTORY"])

    def newest(self) -> str:
        """Return the newest id. There has to be one to resume from: else an event for nobody."""
        entries: Any = self.opening.xrevrange(self.key, count=1)
        return str(entries[0][0] if entries else self.publish(None, "", redis=self.opening))

    def after(self, event_id: str) -> list[Entry] | None:
        """Return the next entries after *event_id*; None if Redis doesn't have it (any more)."""
        if not re.fullmatch("[0-9]{1,15}-[0-9]{1,15}", event_id):
            return None
        entries: Any = self.opening.xrange(self.key, event_id, count=1 + PAGE)
        # If it is still there, nothing newer has been trimmed either.
        return entries[1:] if entries and entries[0][0] == event_id else None

    def stream(self) -> Response:
        """The view."""
        channels = self.channels()
        asked = (
            request.headers.get("Last-Event-ID")
            or request.args.get("last_event_id")  # a new EventSource cannot send the header
            or request.args.get("lastEventId", "")  # what polyfills send instead
        )

        # In this order: seconds_left() knows of a logout before newest(), and a later one is among
        # the events that the stream sends.
        newest = self.newest()
        known = self.after(asked) is not None
        end = time.monotonic() + self.seconds_left()
        if not (self.reader and self.reader.is_alive()):  # not before: a fork would lose it
            self.reader = threading.Thread(target=self.read, args=[newest], daemon=True)
            self.reader.start()

        if len(self.streams) >= self.app.config["SSE_MAX_STREAMS"]:
            raise ServiceUnavailable("Too many streams are open.", retry_after=5)
        sock = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
        stream = Stream(channels, sock, self.app.config["SSE_QUEUE"])
        text = self.text(stream, asked if known else newest, end, reset=bool(asked) and not known)
        return Response(text, mimetype="text/event-stream", headers=HEADERS)

    def text(self, stream: Stream, start: str, end: float, reset: bool) -> Iterator[bytes]:
        """Yield what is sent: the events after *start*, until *end*. *reset*: nobody knows what
        the browser has missed."""
        # Not in the view: of a response that is never sent, no finally runs.
        self.add(stream)
        try:
            yield b"retry: 2000\n\n"
            if reset:
                yield f"id: {start}\nevent: reset\ndata: {{}}\n\n".encode()
            yield f"id: {start}\n\n".encode()  # a browser that leaves now can resume

            newest = order(start)
            missed = self.missed(stream, start)
            # Half: the first write to a closed browser succeeds, the second one fails.
            heartbeat = self.app.config["SSE_HEARTBEAT"] / 2
            while True:
                event = next(missed, None) or stream.wait(heartbeat)
                if stream not in self.streams or time.monotonic() > end:
                    return
                if not event:
                    yield b":\n\n"
                elif event.order > newest:  # otherwise it was among those that were missed
                    newest = event.order
                    yield event.text
                    if event.last:
                        return
        except RedisError:
            pass  # the browser comes back, and the view says what is wrong
        finally:
            self.remove(stream)

    def missed(self, stream: Stream, start: str) -> Iterator[Event]:
        """Yield what has come after *start*, one page at a time, because a browser that doesn't
        read would keep all of it in memory."""
        page = self.after(start)
        while page:
            for event_id, entry in page:
                if entry.get("channel") in stream.channels:
                    yield encode(event_id, entry)
            page = self.after(page[-1][0])
        if page is None:  # the rest was trimmed while the browser read: it gets a reset
            self.end(stream)

    def add(self, stream: Stream) -> None:
        """Let *stream* hear its channels."""
        with self.lock:
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

    def read(self, seen: str) -> None:
        """Deliver what is newer than *seen*, as long as the process lives."""
        redis = client_like(self.redis, 1, socket_timeout=BLOCK + 1)  # else a wait is an error
        while self.reader is threading.current_thread():
            try:
                entries = self.after(seen)
                if entries is None:  # something is lost: all come back, and get their reset
                    self.end(*self.streams)
                    seen = self.newest()
                for event_id, entry in entries or []:
                    seen = event_id
                    self.deliver(event_id, entry)
                redis.xread({self.key: seen}, count=1, block=BLOCK * 1000)  # only to be woken
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
            stream.end()
