import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery  # type: ignore[import-untyped]
from flask import Flask, g
from flask.testing import FlaskClient
from kombu.transport.redis import Channel
from werkzeug.exceptions import Unauthorized

import tasks
from app import create_app
from conftest import SETTINGS, Worker, start_worker, until
from logins import redis
from wx import DemoBot


def fetch(client: FlaskClient) -> None:
    assert client.post("/contacts").status_code == 202


def state(client: FlaskClient) -> Any:
    return client.get("/contacts").json


def contacts(client: FlaskClient) -> Any:
    return state(client)["contacts"]


def progress(client: FlaskClient) -> Any:
    """Return the state, once the fetch has begun."""
    now = state(client)
    return now if (now["fetching"] or {}).get("done") else None


def in_redis(client: FlaskClient) -> int:
    return sum(state(client)[name] for name in ("waiting", "unacknowledged"))


def login_id(client: FlaskClient) -> str:
    with client.session_transaction() as session:
        return str(session["login"])


@pytest.fixture(autouse=True)
def clean(app: Flask) -> Iterator[None]:
    """Leave nothing to the next test: accounts are the same in all of them."""
    yield
    with app.app_context():
        for key in redis.keys("*fetching:*") + redis.keys("*contacts:*") + redis.keys("tries:*"):
            redis.delete(key)


@pytest.fixture
def ada(client: FlaskClient) -> FlaskClient:
    client.post("/login/ada")
    return client


@pytest.fixture
def article_ada(article_client: FlaskClient) -> FlaskClient:
    article_client.post("/login/ada")
    return article_client


# With a worker


@pytest.mark.parametrize("version", ["ada", "article_ada"])
def test_the_worker_fetches_while_the_page_asks_how_far_it_is(
    request: pytest.FixtureRequest, worker: Worker, version: str
) -> None:
    client: FlaskClient = request.getfixturevalue(version)
    fetch(client)
    seen = until(lambda: progress(client))
    assert int(seen["process"]) != worker.pid
    assert 0 < seen["fetching"]["done"] < seen["fetching"]["total"] == 282
    found = until(lambda: contacts(client))
    of_all_kinds = (
        found if isinstance(found, list) else [one for kind in found.values() for one in kind]
    )
    names = [contact["name"] for contact in of_all_kinds]
    assert len(names) == 282 and "林徽因" in names
    until(lambda: state(client)["fetching"] is None)
    until(lambda: in_redis(client) == 0)


def test_trap_a_task_dies_with_the_process_that_runs_it(
    article_ada: FlaskClient, ada: FlaskClient, worker: Worker
) -> None:
    for client in (article_ada, ada):
        fetch(client)
    until(lambda: progress(article_ada) and progress(ada))
    assert (in_redis(article_ada), in_redis(ada)) == (0, 1)
    for client in (article_ada, ada):
        client.post("/kill/process")
    until(lambda: contacts(ada))
    assert contacts(article_ada) is None and in_redis(article_ada) == 0


def test_trap_the_task_of_a_killed_worker_waits_for_an_hour(
    app: Flask, ada: FlaskClient, article_ada: FlaskClient, worker: Worker, workers: list[Worker]
) -> None:
    assert Channel.visibility_timeout == 3600  # seconds, unless an option says otherwise
    assert Channel.unacked_restore_interval * Channel.unacked_restore_throttle == 100
    options = app.extensions["celery"].conf.broker_transport_options
    assert options["unacked_restore_interval"] * options["unacked_restore_throttle"] == 1
    for client in (article_ada, ada):
        fetch(client)
    until(lambda: progress(article_ada) and progress(ada))
    for client in (article_ada, ada):
        client.post("/kill/worker")
    assert worker.wait() == -signal.SIGKILL
    assert (in_redis(article_ada), in_redis(ada)) == (0, 1)

    workers.append(start_worker(app.config["REDIS_URL"]))
    until(lambda: contacts(ada))  # within 30 seconds
    assert contacts(article_ada) is None and in_redis(article_ada) == 0


# Without a worker


@pytest.fixture
def no_worker(workers: list[Worker]) -> None:
    for worker in workers:
        worker.kill()
        worker.wait()


def test_an_account_has_one_fetch_at_a_time(
    app: Flask, ada: FlaskClient, article_ada: FlaskClient, no_worker: None
) -> None:
    another_browser = app.test_client()
    another_browser.post("/login/ada")
    for client in [ada, another_browser, article_ada] * 5:
        fetch(client)
    assert [in_redis(client) for client in (ada, another_browser, article_ada)] == [1, 0, 5]


def test_a_fetch_that_is_silent_can_be_asked_for_again(app: Flask, ada: FlaskClient) -> None:
    with app.app_context():
        tasks.report("ada", "users", 50, 282)
        assert state(ada)["fetching"]["done"] == 50
        assert 0 < redis.ttl("fetching:ada") <= 2 * app.config["VISIBILITY_TIMEOUT"]


class AwayBot(DemoBot):
    """Its network never answers. Notes for each try whether that is known to be under way."""

    under_way: list[bool] = []  # noqa: RUF012

    def count(self) -> int:
        self.under_way.append(bool(redis.exists("fetching:ada")))
        raise ConnectionResetError("the network is away")


def test_a_fetch_is_under_way_until_the_last_try_has_failed(redis_url: str) -> None:
    config = {"REDIS_URL": redis_url, **SETTINGS, "BOT_CLASS": "test_task.AwayBot"}
    app = create_app({"TESTING": True, **config})
    client = app.test_client()
    client.post("/login/ada")
    fetch(client)
    task: Any = tasks.retrieve_data
    task.apply([login_id(client), "ada"])  # in this process, without waiting between the tries
    assert AwayBot.under_way == [True] * (1 + task.max_retries)
    assert state(client)["fetching"] is None


def test_a_lost_fetch_leaves_no_contacts_that_look_like_its_own(
    app: Flask, ada: FlaskClient, article_ada: FlaskClient, no_worker: None
) -> None:
    for client, prefix in ((ada, ""), (article_ada, "article:")):
        with app.app_context():
            redis.set(f"{prefix}contacts:ada", '{"users": []}')  # of an earlier fetch
        assert contacts(client)
        fetch(client)
        assert contacts(client) is None


def test_a_task_that_kills_its_workers_is_given_up(app: Flask, ada: FlaskClient) -> None:
    fetch(ada)
    with app.app_context():
        redis.set("tries:ada", tasks.TRIES)  # so often it was delivered and never ended
        tasks.retrieve_data(login_id(ada), "ada")
    assert (contacts(ada), state(ada)["fetching"]) == (None, None)


def test_if_its_login_has_ended_before_another_one_can_ask(app: Flask, ada: FlaskClient) -> None:
    fetch(ada)
    ended = login_id(ada)
    ada.post("/login/ada")
    assert state(ada)["fetching"] == {}
    with app.app_context(), pytest.raises(Unauthorized):
        tasks.start_fetch(ended)
    with app.app_context():
        tasks.retrieve_data(ended, "ada")
    assert (contacts(ada), state(ada)["fetching"]) == (None, None)


def test_a_broker_that_never_answers_is_not_waited_for(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        broker = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        config = {"REDIS_URL": redis_url, **SETTINGS, "CELERY_BROKER_URL": broker}
        client = create_app(config).test_client()
        client.post("/login/ada")
        answer = client.post("/contacts")  # with Celery's own settings: over 150 s
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


def test_a_task_without_the_app_context_knows_no_redis(app: Flask) -> None:
    def ping() -> bool:
        return bool(redis.ping())

    with pytest.raises(RuntimeError, match="application context"):
        Celery("plain", set_as_current=False).task(ping)()
    assert app.extensions["celery"].task(ping)()


def test_a_task_has_an_app_context_of_its_own_even_if_it_is_called_directly(app: Flask) -> None:
    def is_marked(login_id: str) -> bool:
        return "mark" in g

    task = app.extensions["celery"].task(is_marked)
    with app.app_context():
        g.mark = True
        assert is_marked("nobodys")
        assert (task("nobodys"), task.apply(["nobodys"]).result) == (False, False)


def test_without_a_login_there_is_nothing_to_fetch(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    for browser in (client, article_client):
        assert browser.get("/contacts").status_code == 401
        assert browser.post("/contacts").status_code == 401
        assert browser.post("/kill/worker").status_code == 401


def test_nothing_is_killed_while_nothing_is_under_way(ada: FlaskClient) -> None:
    answer: Any = ada.post("/kill/worker").json
    assert answer["killed"] is False


def test_each_version_has_a_cookie_and_a_page_that_leads_to_the_other(
    ada: FlaskClient, article_ada: FlaskClient
) -> None:
    for client, cookie, shown in ((ada, "session", 8106), (article_ada, "article", 8206)):
        assert client.get_cookie(cookie)
        page = client.get("/", base_url=f"http://127.0.0.1:{shown}/").text
        for port in (8106, 8206):
            assert f'"http://127.0.0.1:{port}/"' in page
        assert f'"http://127.0.0.1:{shown}/" aria-current="true"' in page
