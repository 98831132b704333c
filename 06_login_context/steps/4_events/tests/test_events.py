import gc
import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import tasks
from conftest import until

Event = dict[str, str]


class Stream:
    """An open stream, as an EventSource reads it."""

    def __init__(self, client: FlaskClient, last: str = "") -> None:
        headers = {"Last-Event-ID": last} if last else {}
        self.response = client.get("/stream", headers=headers, buffered=False)
        assert self.response.status_code == 200
        self.blocks = self.split()
        next(self.blocks)  # the stream has begun

    def split(self) -> Iterator[Event]:
        for text in self.response.iter_encoded():
            for block in text.decode().split("\n\n")[:-1]:
                yield dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)

    def events(self) -> Iterator[Event]:
        return (block for block in self.blocks if "data" in block)

    def event(self) -> Event:
        return next(self.events())

    def close(self) -> None:
        self.response.close()


def publish(client: FlaskClient, number: int) -> None:
    assert client.post(f"/publish/{number}").json == {"number": number}


def connections(client: FlaskClient) -> int:
    answer: Any = client.get("/connections").json
    return int(answer["connections"])


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """End a test that waits for an event in vain, because reading a stream knows no timeout."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("nothing has come"))
    signal.alarm(30)
    yield
    signal.alarm(0)


@pytest.fixture
def ada(client: FlaskClient) -> FlaskClient:
    client.post("/login/ada")
    return client


@pytest.fixture
def article_ada(article_client: FlaskClient) -> FlaskClient:
    article_client.post("/login/ada")
    return article_client


@pytest.fixture(params=["ada", "article_ada"])
def either(request: pytest.FixtureRequest) -> FlaskClient:
    """Ada's browser, with ours and with the article's version."""
    client: FlaskClient = request.getfixturevalue(request.param)
    return client


def test_a_page_that_is_there_hears_its_login_alone(either: FlaskClient) -> None:
    stream = Stream(either)
    lin = either.application.test_client()
    lin.post("/login/lin")
    publish(lin, 1)
    publish(either, 2)
    event = stream.event()
    assert (event["event"], event["data"]) == ("number", "2")
    stream.close()


def numbers_around_a_gap(client: FlaskClient) -> list[str]:
    """Publish 1 to a page, 2 and 3 while it is away, and 4 when it's back; return what it gets."""
    another_page = Stream(client)
    stream = Stream(client)
    publish(client, 1)
    first = stream.event()
    stream.close()

    publish(client, 2)
    publish(client, 3)
    while another_page.event()["data"] != "3":
        pass  # until the server has dealt with all of them
    another_page.close()

    stream = Stream(client, last=first.get("id", ""))
    publish(client, 4)
    got = [first["data"]]
    while got[-1] != "4":
        got.append(stream.event()["data"])
    stream.close()
    return got


def test_trap_an_event_for_a_browser_that_is_away_is_lost(
    ada: FlaskClient, article_ada: FlaskClient
) -> None:
    assert numbers_around_a_gap(article_ada) == ["1", "4"]
    assert numbers_around_a_gap(ada) == ["1", "2", "3", "4"]


def test_trap_every_stream_takes_a_connection(ada: FlaskClient, article_ada: FlaskClient) -> None:
    for client, expected in ((article_ada, 5), (ada, 1)):
        gc.collect()  # or Python may close, only later, what other tests have left
        before = connections(client)
        streams = [Stream(client) for _ in range(5)]
        until(lambda c=client, n=before + expected: connections(c) >= n)  # type: ignore[misc]
        assert connections(client) == before + expected
        for stream in streams:
            stream.close()


def test_progress_arrives_by_event(either: FlaskClient, worker: None) -> None:
    stream = Stream(either)
    assert either.post("/contacts").status_code == 202
    events = stream.events()
    done = []
    while (event := next(events))["event"] == "progress":
        done.append(json.loads(event["data"])["done"])
    assert done == [50, 100, 150, 200, 250, 262, 282]
    assert (event["event"], json.loads(event["data"])) == ("contacts", {"type": "ready"})
    answer: Any = either.get("/contacts").json
    assert answer["contacts"] and answer["fetching"] is None
    stream.close()


def test_a_page_that_is_loaded_meanwhile_learns_how_far_it_is(app: Flask, ada: FlaskClient) -> None:
    with app.app_context():
        tasks.report("ada", "users", 50, 282)
        stream = Stream(ada)  # opened after the event
        answer: Any = ada.get("/contacts").json
        assert answer["fetching"]["done"] == 50
        tasks.fail("ada")
        assert json.loads(stream.event()["data"]) == {"type": "failed"}
    stream.close()
    answer = ada.get("/contacts").json
    assert answer["fetching"] is None


def test_a_logout_ends_the_streams_of_the_login(ada: FlaskClient) -> None:
    stream = Stream(ada)
    ada.post("/logout")
    assert [json.loads(event["data"]) for event in stream.events()] == [{"type": "logged_out"}]


def test_a_login_too_many_ends_the_oldest_with_its_streams(app: Flask, ada: FlaskClient) -> None:
    app.config["LOGINS_PER_ACCOUNT"] = 1
    stream = Stream(ada)
    app.test_client().post("/login/ada")
    assert [json.loads(event["data"]) for event in stream.events()] == [{"type": "logged_out"}]


def test_without_a_login_there_is_nothing_to_hear(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    for browser in (client, article_client):
        for path in ("/stream", "/contacts"):
            assert browser.get(path).status_code == 401
        for path in ("/publish/1", "/contacts"):
            assert browser.post(path).status_code == 401


def test_a_page_asks_what_a_stream_would_answer_without_opening_one(
    app: Flask, client: FlaskClient
) -> None:
    assert client.head("/stream").status_code == 401
    client.post("/login/ada")
    assert client.head("/stream").status_code == 200
    assert not app.extensions["sse"].queues


def test_each_version_has_a_cookie_and_a_page_that_leads_to_the_other(
    ada: FlaskClient, article_ada: FlaskClient
) -> None:
    for client, cookie, shown in ((ada, "session", 8106), (article_ada, "article", 8206)):
        assert client.get_cookie(cookie)
        page = client.get("/", base_url=f"http://127.0.0.1:{shown}/").text
        for port in (8106, 8206):
            assert f'"http://127.0.0.1:{port}/"' in page
        assert f'"http://127.0.0.1:{shown}/" aria-current="true"' in page
