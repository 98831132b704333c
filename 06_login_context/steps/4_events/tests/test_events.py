import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from conftest import until

ARTICLE = "?version=article"
Event = dict[str, str]


class Stream:
    """An open stream, as an EventSource reads it."""

    def __init__(self, client: FlaskClient, query: str = "", last: str = "") -> None:
        headers = {"Last-Event-ID": last} if last else {}
        self.response = client.get(f"/stream{query}", headers=headers, buffered=False)
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


def publish(client: FlaskClient, number: int, query: str = "") -> None:
    assert client.post(f"/publish/{number}{query}").json == {"number": number}


def connections(client: FlaskClient, query: str = "") -> int:
    answer: Any = client.get(f"/connections{query}").json
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
def lin(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.post("/login/lin")
    return client


@pytest.mark.parametrize("query", ["", ARTICLE])
def test_a_page_that_is_there_hears_its_login_alone(
    ada: FlaskClient, lin: FlaskClient, query: str
) -> None:
    stream = Stream(ada, query)
    publish(lin, 1, query)
    publish(ada, 2, query)
    event = stream.event()
    assert (event["event"], event["data"]) == ("number", "2")
    stream.close()


def numbers_around_a_gap(client: FlaskClient, query: str) -> list[str]:
    """Publish 1 to a page, 2 and 3 while it is away, and 4 when it's back; return what it gets."""
    another_page = Stream(client, query)
    stream = Stream(client, query)
    publish(client, 1, query)
    first = stream.event()
    stream.close()

    publish(client, 2, query)
    publish(client, 3, query)
    while another_page.event()["data"] != "3":
        pass  # until the server has dealt with all of them
    another_page.close()

    stream = Stream(client, query, last=first.get("id", ""))
    publish(client, 4, query)
    got = [first["data"]]
    while got[-1] != "4":
        got.append(stream.event()["data"])
    stream.close()
    return got


def test_trap_an_event_for_a_browser_that_is_away_is_lost(ada: FlaskClient) -> None:
    assert numbers_around_a_gap(ada, ARTICLE) == ["1", "4"]
    assert numbers_around_a_gap(ada, "") == ["1", "2", "3", "4"]


def test_trap_every_stream_takes_a_connection(ada: FlaskClient) -> None:
    for query, expected in ((ARTICLE, 5), ("", 1)):
        before = connections(ada, query)
        streams = [Stream(ada, query) for _ in range(5)]
        until(lambda q=query, n=before + expected: connections(ada, q) >= n)  # type: ignore[misc]
        assert connections(ada, query) == before + expected
        for stream in streams:
            stream.close()


@pytest.mark.parametrize("query", ["", ARTICLE])
def test_progress_arrives_by_event(ada: FlaskClient, worker: None, query: str) -> None:
    stream = Stream(ada, query)
    assert ada.post(f"/contacts{query}").status_code == 202
    events = stream.events()
    done = []
    while (event := next(events))["event"] == "progress":
        done.append(json.loads(event["data"])["done"])
    assert done == [50, 100, 150, 200, 250, 262, 282] and event["event"] == "ready"
    answer: Any = ada.get("/contacts").json
    assert len(answer["contacts"]["names"]) == 282 and answer["fetching"] is None
    stream.close()


def test_a_logout_ends_the_streams_of_the_login(ada: FlaskClient) -> None:
    stream = Stream(ada)
    ada.post("/logout")
    assert [event["event"] for event in stream.events()] == ["logged_out"]


def test_without_a_login_there_is_nothing_to_hear(client: FlaskClient) -> None:
    for path in ("/stream", f"/stream{ARTICLE}", "/contacts"):
        assert client.get(path).status_code == 401
    for query in ("", ARTICLE):
        assert client.post(f"/publish/1{query}").status_code == 401


def test_the_page_knows_its_addresses(ada: FlaskClient) -> None:
    assert b'data-stream="/stream"' in ada.get("/").data
    assert b'data-stream="/stream?version=article"' in ada.get(f"/{ARTICLE}").data
