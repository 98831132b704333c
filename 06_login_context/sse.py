"""Server-sent events: one Redis stream, read once by every process, a queue per browser.

Settings: ``SSE_MAX_STREAMS`` (open ones per process, default 500), ``SSE_QUEUE`` (events that a
browser may be behind, 100), ``SSE_HEARTBEAT`` (s, 15; a closed browser is released within it),
``SSE_HISTORY`` (events kept for browsers that come back, about 1000).
See https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import contextlib
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask, Response, json, request
from redis import ConnectionPool, Redis

from errors import ServiceUnavailable

KEY = "events"  # its entries have: channel, type, data (JSON), last ("1" ends the streams)
BLOCK = 5  # seconds that the reader waits in Redis at a time
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx reads the latter
DEFAULTS = {"SSE_MAX_STREAMS": 500, "SSE_QUEUE": 100, "SSE_HEARTBEAT": 15, "SSE_HISTORY": 1000}
Entry = tuple[str, dict[str, str]]  # id, fields
Queue = queue.Queue[Entry]  # of one browser


def after(redis: Any, event_id: str) -> list[Entry] | None:
    """Return the entries newer than *event_id*; None if there is none with that id (any more)."""
    if not re.fullmatch(r"\d{1,15}-\d{1,15}", event_id, re.ASCII):
        return None
    entries: list[Entry] = redis.xrange(KEY, event_id)
    # If it is still there, nothing newer has been trimmed either.
    return entries[1:] if entries and entries[0][0] == event_id else None


def order(event_id: str) -> tuple[int, ...]:
    """Return what ids are compared by: as text, 9-0 would be newer than 10-0."""
    return tuple(map(int, event_id.split("-")))


class SSE:
    """The extension. One object serves one app: its reader belongs to the process."""

    def init_app(self, app: Flask, redis: Any, channels: Callable[[], list[str]]) -> None:
        """Add ``GET /stream``. *redis*: ``Redis(decode_responses=True)``; *channels* returns what
        the browser of this request may hear, first the channel that it publishes to."""
        for name, value in DEFAULTS.items():
            app.config.setdefault(name, value)
        self.app, self.redis, self.channels, self.lock = app, redis, channels, threading.Lock()
        self.browsers: dict[Queue, tuple[list[str], socket.socket | None]] = {}
        self.reader: threading.Thread | None = None
        app.add_url_rule("/stream", "stream", self.stream)

    def publish(
        self, data: Any, type: str = "message", channel: str | None = None, last: bool = False
    ) -> str:
        """Send *data* (JSON) to *channel*; return the event's id. *last*: ends the streams that
        hear it. ValueError: *type* is not one ASCII word."""
        if not re.fullmatch("[!-~]+", type):
            raise ValueError(f"{type!r} is no type of event")
        channel = self.channels()[0] if channel is None else channel
        event = {"channel": channel, "type": type, "data": json.dumps(data), "last": int(last)}
        return str(self.redis.xadd(KEY, event, maxlen=self.app.config["SSE_HISTORY"]))

    def newest(self) -> str:
        """Return the newest id. There has to be one to resume from: else an event for nobody."""
        entries = self.redis.xrevrange(KEY, count=1)
        return entries[0][0] if entries else self.publish(None, channel="")

    def stream(self) -> Response:
        """The view. Also takes ``?last_event_id=``: a new EventSource cannot send the header."""
        response = Response(mimetype="text/event-stream", headers=HEADERS)
        if request.method == "HEAD":
            return response
        now = self.newest()  # before the channels: a logout from here on will be found
        channels, browser = self.channels(), Queue(self.app.config["SSE_QUEUE"])
        sock = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
        asked = request.headers.get("Last-Event-ID") or request.args.get("last_event_id") or now
        with self.lock:
            if len(self.browsers) >= self.app.config["SSE_MAX_STREAMS"]:
                raise ServiceUnavailable("too_many_streams", headers={"Retry-After": "5"})
            self.browsers[browser] = channels, sock
            if not (self.reader and self.reader.is_alive()):  # not before: a fork would lose it
                self.reader = threading.Thread(target=self.read, args=[now], daemon=True)
                self.reader.start()
        # Not a finally in the generator: one that is closed before it starts runs none.
        response.call_on_close(lambda: self.browsers.pop(browser, None))
        response.response = self.events(browser, channels, asked, now)
        return response

    def missed(self, channels: list[str], mark: str) -> list[Entry] | None:
        """Return what a browser has missed since *mark*; None if that is lost."""
        entries = after(self.redis, mark)
        if entries is None:  # trimmed, or from before Redis was emptied, or made up
            return None
        return [entry for entry in entries if entry[1].get("channel") in channels]

    def events(self, browser: Queue, channels: list[str], mark: str, now: str) -> Iterator[str]:
        """Yield the stream's text: what Redis has after *mark*, then what the queue gets."""
        yield "retry: 2000\n\n"
        backlog = self.missed(channels, mark)
        if backlog is None:
            mark, backlog = now, self.missed(channels, now) or []
            yield f"id: {now}\nevent: reset\ndata: {{}}\n\n"
        yield f"id: {mark}\n\n"  # or who leaves before the first event could not resume
        while browser in self.browsers:
            try:  # half: the first write to a closed browser succeeds, the second fails
                wait = self.app.config["SSE_HEARTBEAT"] / 2
                event_id, event = backlog.pop(0) if backlog else browser.get(timeout=wait)
            except queue.Empty:
                yield ":\n\n"
                continue
            if event.get("channel") in channels and order(event_id) > order(mark):
                mark = event_id
                yield f"id: {mark}\nevent: {event['type']}\ndata: {event['data']}\n\n"
                if event["last"] == "1":
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
                    self.end(*self.browsers)
                    seen = self.newest()
                for seen, event in entries or []:
                    self.deliver(seen, event)
                redis.xread({KEY: seen}, count=1, block=BLOCK * 1000)  # only to be woken
            except Exception as error:  # never deaf for good, whatever it was
                self.app.logger.warning("No events: %r", error)
                self.end(*self.browsers)  # the page says so, and comes back
                time.sleep(1)

    def deliver(self, event_id: str, event: dict[str, str]) -> None:
        """Queue an event for the browsers that may hear it, and end those that are too slow."""
        for browser, (channels, _) in self.browsers.copy().items():
            try:
                if event.get("channel") in channels:
                    browser.put_nowait((event_id, event))
            except queue.Full:
                self.end(browser)
        time.sleep(0)  # the browsers' turn, under gevent

    def end(self, *browsers: Queue) -> None:
        """End streams. Their browsers come back, and resume or get a reset."""
        for browser in browsers:
            _, sock = self.browsers.pop(browser, ([], None))
            try:
                browser.put_nowait(("", {}))  # wakes it up
            except queue.Full:
                if sock:  # the server may be stuck in a write to it
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
