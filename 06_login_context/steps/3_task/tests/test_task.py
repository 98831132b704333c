import signal
import socket
from typing import Any

import pytest
from celery import Celery  # type: ignore[import-untyped]
from flask import Flask
from flask.testing import FlaskClient
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel

import tasks
from app import create_app
from conftest import Worker, start_worker, until
from logins import redis

ARTICLE = "?version=article"


def fetch(client: FlaskClient, version: str = "") -> None:
    assert client.post(f"/contacts{version}").status_code == 202


def state(client: FlaskClient) -> Any:
    return client.get("/contacts").json


def contacts(client: FlaskClient) -> Any:
    return state(client)["contacts"]


def progress(client: FlaskClient) -> Any:
    """Return how far the fetch is, once it has begun."""
    return (state(client)["fetching"] or {}).get("done") and state(client)["fetching"]


def in_redis(client: FlaskClient) -> int:
    return sum(state(client)["queue"].values())


def login_id(client: FlaskClient) -> str:
    with client.session_transaction() as session:
        return str(session["login"])


@pytest.fixture
def ada(client: FlaskClient) -> FlaskClient:
    client.post("/login/ada")
    return client


@pytest.fixture
def lin(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.post("/login/lin")
    return client


# With a worker


@pytest.mark.parametrize("version", ["", ARTICLE])
def test_the_worker_fetches_while_the_page_asks_how_far_it_is(
    ada: FlaskClient, worker: Worker, version: str
) -> None:
    fetch(ada, version)
    seen = until(lambda: progress(ada))
    assert seen["worker"] == worker.pid and seen["process"] != worker.pid
    assert 0 < seen["done"] < seen["total"] == 282
    names = until(lambda: contacts(ada))["names"]
    assert len(names) == 282 and "林徽因" in names
    assert state(ada)["fetching"] is None
    until(lambda: in_redis(ada) == 0)


def test_trap_a_task_dies_with_the_process_that_runs_it(
    ada: FlaskClient, lin: FlaskClient, worker: Worker
) -> None:
    fetch(ada, ARTICLE)
    fetch(lin)
    until(lambda: progress(ada) and progress(lin))
    assert (in_redis(ada), in_redis(lin)) == (0, 1)
    for client in (ada, lin):
        client.post("/kill/process")
    until(lambda: contacts(lin))
    assert contacts(ada) is None and in_redis(ada) == 0


def test_trap_the_task_of_a_killed_worker_waits_for_an_hour(
    app: Flask, ada: FlaskClient, lin: FlaskClient, worker: Worker, workers: list[Worker]
) -> None:
    assert Channel.visibility_timeout == 3600  # seconds, unless an option says otherwise
    assert Channel.unacked_restore_interval * Channel.unacked_restore_throttle == 100
    options = app.extensions["celery"].conf.broker_transport_options
    assert options["unacked_restore_interval"] * options["unacked_restore_throttle"] == 1
    fetch(ada, ARTICLE)
    fetch(lin)
    until(lambda: progress(ada) and progress(lin))
    for client in (ada, lin):
        client.post("/kill/worker")
    assert worker.wait() == -signal.SIGKILL
    assert (in_redis(ada), in_redis(lin)) == (0, 1)

    workers.append(start_worker(app.config["REDIS_URL"]))
    until(lambda: contacts(lin))  # within 30 seconds
    assert contacts(ada) is None and in_redis(ada) == 0


# Without a worker


def test_a_login_has_one_fetch_at_a_time(ada: FlaskClient, workers: list[Worker]) -> None:
    for worker in workers:  # or the one of the tests above may have done the first before the last
        worker.kill()
        worker.wait()
    for _ in range(10):
        fetch(ada)
    assert in_redis(ada) == 1


def test_a_fetch_that_is_silent_can_be_asked_for_again(app: Flask, ada: FlaskClient) -> None:
    with app.app_context():
        tasks.report(login_id(ada), 50, 282)
        assert state(ada)["fetching"]["done"] == 50
        assert 0 < redis.ttl(f"fetching:{login_id(ada)}") <= 2 * app.config["VISIBILITY_TIMEOUT"]


def test_for_a_login_that_has_ended_it_stops_quietly(app: Flask, ada: FlaskClient) -> None:
    login = login_id(ada)
    ada.post("/logout")
    tasks.retrieve_data(login)
    with app.app_context():
        assert not redis.exists(f"contacts:{login}")


def test_a_broker_that_never_answers_is_not_waited_for(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        broker = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        config = {"SECRET_KEY": "for the tests", "REDIS_URL": redis_url}
        create_app({**config, "CELERY_BROKER_URL": broker})
        with pytest.raises(OperationalError):  # Celery's own settings: over 150 s
            tasks.retrieve_data.delay("nobody's")


def test_a_task_without_the_app_context_knows_no_redis(app: Flask) -> None:
    def ping() -> bool:
        return bool(redis.ping())

    with pytest.raises(RuntimeError, match="application context"):
        Celery("plain", set_as_current=False).task(ping)()
    assert app.extensions["celery"].task(ping)()


def test_without_a_login_there_is_nothing_to_fetch(client: FlaskClient) -> None:
    for response in (client.get("/contacts"), client.post("/contacts"), client.post("/kill/x")):
        assert response.status_code == 401


def test_nothing_is_killed_while_nothing_is_under_way(ada: FlaskClient) -> None:
    assert ada.post("/kill/worker").status_code == 200


def test_the_page_shows_the_contacts_of_a_login(client: FlaskClient) -> None:
    assert b"data-contacts" not in client.get("/").data
    client.post("/login/ada")
    assert b'data-contacts="/contacts"' in client.get("/").data
    assert b'data-contacts="/contacts?version=article"' in client.get(f"/{ARTICLE}").data
