# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1 and Werkzeug 3.1, or later.
"""Server-sent events: one Redis stream, read once by every process, a queue for each browser.

Settings: ``SSE_MAX_STREAMS`` (open ones per process, default 500), ``SSE_QUEUE`` (events that a
browser may be behind, 100), ``SSE_HEARTBEAT`` (s, 15; a browser that has left or doesn't read is
noticed within it), ``SSE_HISTORY`` (events kept for browsers that come back, about 1000, those for
all users together).
See https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from flask import Flask, Response, request
from redis import BlockingConnectionPool, Redis, RedisError
from werkzeug.exceptions import ServiceUnavailable

DEFAULTS = {"SSE_MAX_STREAMS": 500, "SSE_QUEUE": 100, "SSE_HEARTBEAT": 15, "SSE_HISTORY": 1000}
# Without no-transform a proxy may compress the stream, and hold it back until it ends (RFC 9111,
# 5.2.2.6). nginx reads the other header.
HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

PAGE = 20  # entries that are read from Redis at a time, because each may be large
Entry = tuple[str, dict[str, str]]  # id, event: channel, type, data, last ("1" ends the streams)
Queue = queue.SimpleQueue[list[Entry] | None]  # what a browser hasn't been sent yet; None: the end


@lru_cache  # all streams ask about the same event
def order(event_id: str) -> tuple[int, ...]:
    """Return what ids are compared by: as text, 9-0 would be newer than 10-0."""
    return tuple(map(int, event_id.split("-")))


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
        # Browsers that all come back at once wait for their turn on connections of our own. If
        # they were refused, their EventSource would give up.
        pool = redis.connection_pool
        settings = {**pool.connection_kwargs, "connection_class": pool.connection_class}
        self.redis = Redis.from_pool(BlockingConnectionPool(20, **settings))  # type: ignore[no-untyped-call]

        self.app, self.key = app, key
        self.channels, self.seconds_left = channels, seconds_left
        self.queues: set[Queue] = set()
        self.by_channel: dict[str, set[Queue]] = {}
        # R: while this thread is in add(), Python may close a forgotten generator. That calls
        # remove(), where a Lock would wait for itself.
        self.lock = threading.RLock()
        self.reader: threading.Thread | None = None  # not started yet: a fork would lose it
        app.add_url_rule("/stream", "stream", self.stream)

    def publish(
        self, data: Any, channel: str, type: str = "message", last: bool = False, redis: Any = None
    ) -> Any:
        """Send *data* (JSON) to *channel*; return the event's id. *type*: one word of yours.
        *last*: ends the streams that hear it. *redis*: a pipeline that the event is to be part of.
        """
        # A line break would end the event. In JSON, outside of strings, a space means the same.
        text = re.sub(r"[\r\n]", " ", self.app.json.dumps(data))
        entry: Any = {"channel": channel, "type": type, "data": text, "last": int(last)}
        return (redis or self.redis).xadd(self.key, entry, maxlen=self.app.config["SSE_HISTORY"])

    def after(self, event_id: str) -> list[Entry]:
        """Return the next entries after *event_id*; LookupError if Redis doesn't have it."""
        is_id = re.fullmatch("[0-9]{1,15}-[0-9]{1,15}", event_id)
        entries: Any = self.redis.xrange(self.key, event_id, count=1 + PAGE) if is_id else []
        # If it is still there, nothing newer has been trimmed either.
        if not entries or entries[0][0] != event_id:
            raise LookupError(f"Redis has no event {event_id}")
        return list(entries[1:])

    def stream(self) -> Response:
        """The view."""
        channels = set(self.channels())
        # A new EventSource can't send the header.
        asked = request.headers.get("Last-Event-ID") or request.args.get("lastEventId", "")

        # In this order. A logout before B leaves no seconds, and one after B is newer than A.
        entries: Any = self.redis.xrevrange(self.key, count=1)  # A
        # If Redis is empty, an event for nobody gives the stream an id to resume from.
        newest = entries[0][0] if entries else self.publish(None, channel="")
        end = time.monotonic() + self.seconds_left()  # B

        if len(self.queues) >= self.app.config["SSE_MAX_STREAMS"]:
            raise ServiceUnavailable("Too many streams are open.", retry_after=5)

        # If a browser reads nothing, 64 KiB wait for it, and then a write fails instead of waiting.
        sock = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
        if sock and request.method == "GET":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
            sock.settimeout(self.app.config["SSE_HEARTBEAT"])
        return Response(self.text(channels, asked, newest, end), 200, HEADERS, "text/event-stream")

    def text(self, channels: set[str], asked: str, newest: str, end: float) -> Iterator[str]:
        """Yield what is sent until *end*: the events after *asked*, or else after *newest*."""
        # Here, not in the view: of a response that's never sent, no finally would run.
        waiting: Queue = queue.SimpleQueue()
        self.add(waiting, channels)
        try:
            self.start_reader(newest)
            yield "retry: 2000\n\n"  # ms until the browser comes back
            sent = asked or newest
            try:
                entries: list[Entry] | None = self.after(sent)
            except LookupError:  # nobody knows what this browser has missed
                sent, entries = newest, self.after(newest)
                yield f"id: {sent}\nevent: reset\ndata: {{}}\n\n"
            yield f"id: {sent}\n\n"  # a browser that leaves now can resume

            while entries is not None and time.monotonic() < end:
                for event_id, event in entries:
                    if order(event_id) > order(sent):  # else it was both missed and queued
                        sent = event_id
                        if event.get("channel") in channels:  # after() has everybody's
                            yield f"id: {sent}\nevent: {event['type']}\ndata: {event['data']}\n\n"
                            if event["last"] == "1":
                                return

                if len(entries) == PAGE:  # more was missed
                    entries = self.after(sent)
                    continue
                try:  # half: the first write to a closed browser succeeds, the second notices
                    entries = waiting.get(timeout=self.app.config["SSE_HEARTBEAT"] / 2)
                except queue.Empty:
                    entries = []
                    yield ":\n\n"
        except (LookupError, RedisError) as error:  # while it read what was missed
            self.app.logger.warning("A stream ends: %r", error)
        finally:
            self.remove(waiting, channels)

    def add(self, waiting: Queue, channels: set[str]) -> None:
        """Let *waiting* get what comes to its channels."""
        with self.lock:  # or remove() might delete a set that has just been found here
            self.queues.add(waiting)
            for channel in channels:
                self.by_channel.setdefault(channel, set()).add(waiting)

    def remove(self, waiting: Queue, channels: set[str]) -> None:
        with self.lock:
            self.queues.remove(waiting)
            for channel in channels:
                self.by_channel[channel].remove(waiting)
                if not self.by_channel[channel]:
                    del self.by_channel[channel]

    def start_reader(self, newest: str) -> None:
        """Start the thread that reads for this process, unless it is there."""
        if not (self.reader and self.reader.is_alive()):
            self.reader = reader = threading.Thread(target=self.read, args=[newest], daemon=True)
            reader.start()

    def read(self, seen: str) -> None:
        """Deliver what is newer than *seen*, until something fails or is lost."""
        try:
            # If two streams have started one at the same time, the first of them ends here.
            while self.reader is threading.current_thread():
                for entry in self.after(seen):  # which notices what is lost; xread doesn't
                    self.deliver(entry)
                    seen = entry[0]
                # Only to be woken. In ms, and less than a client's socket_timeout.
                self.redis.xread({self.key: seen}, count=1, block=500)
        except Exception as error:
            self.app.logger.warning("No events: %r", error)
            # All browsers come back, and resume or get a reset. The first one starts a reader.
            self.reader = None
            for waiting in list(self.queues):
                waiting.put(None)

    def deliver(self, entry: Entry) -> None:
        """Put an event into the queues of its channel, or end the streams that are too slow."""
        # No lock, because list() copies a set in one step.
        for waiting in list(self.by_channel.get(entry[1].get("channel", ""), ())):
            waiting.put([entry] if waiting.qsize() < self.app.config["SSE_QUEUE"] else None)
