import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from subprocess import DEVNULL, Popen, run
from typing import Any

import pytest
from celery import Celery  # type: ignore[import-untyped]
from flask import Flask
from flask.testing import FlaskClient
from kombu.transport.redis import Channel

import tasks
from conftest import HERE, Desk, until
from logins import redis

LogIn = Callable[..., FlaskClient]


def login_id(client: FlaskClient) -> str:
    with client.session_transaction() as session:
        return str(session["login"])


def progress(desk: Desk) -> list[int]:
    return [json.loads(data)["done"] for data in desk.events("account:ada", "progress")]


def outcomes(desk: Desk) -> list[str]:
    """Return how the fetches of ada have ended: ready or failed."""
    return [json.loads(data)["type"] for data in desk.events("account:ada", "contacts")]


def me(client: FlaskClient) -> Any:
    return client.get("/j/me").json


def ready(client: FlaskClient) -> bool:
    return bool(me(client)["ready"])


def contacts(desk: Desk) -> Any:
    return json.loads(desk.redis.get("contacts:ada") or "null")


def fetch(app: Flask, client: FlaskClient) -> None:
    """Run the task in this process."""
    with app.app_context():
        tasks.retrieve_data(login_id(client), "ada")


def confirmed(client: FlaskClient) -> dict[str, str]:
    """Return what claims a login that a phone has confirmed."""
    code: Any = client.post("/j/login/qr").json
    client.post(f"/scan/{code['uuid']}", data={"account": "ada", "action": "confirm"})
    return {"key": code["key"]}


# With a real worker


def test_the_worker_fetches_what_a_login_asks_for(own_desk: Desk, log_in: LogIn) -> None:
    own_desk.worker()
    client = log_in(own_desk.app())
    until(lambda: ready(client))
    assert progress(own_desk) == [50, 100, 150, 200, 250, 262, 282]
    assert outcomes(own_desk) == ["ready"]
    assert me(client)["fetching"] is None


def test_a_worker_starts_before_anybody_has_scanned(own_desk: Desk) -> None:
    own_desk.worker()
    until(lambda: b"ready." in (own_desk.folder / "worker-0.log").read_bytes())


def test_a_killed_workers_task_goes_to_another_with_the_same_end(
    own_desk: Desk, log_in: LogIn
) -> None:
    first = own_desk.worker(BOT_CLASS="bots.SlowBot", VISIBILITY_TIMEOUT="1")
    client = log_in(own_desk.app(VISIBILITY_TIMEOUT=1))
    until(lambda: progress(own_desk))
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert contacts(own_desk) is None  # nothing half done to be seen
    own_desk.worker(VISIBILITY_TIMEOUT="1")
    until(lambda: ready(client))
    after_the_kill = contacts(own_desk)
    client.post("/j/contacts")
    until(lambda: len(outcomes(own_desk)) == 2)
    assert contacts(own_desk) == after_the_kill
    until(lambda: own_desk.redis.hlen("unacked") == 0)


def test_a_worker_that_is_stopped_gives_its_task_back(own_desk: Desk, log_in: LogIn) -> None:
    first = own_desk.worker(BOT_CLASS="bots.SlowBot")
    client = log_in(own_desk.app())
    until(lambda: progress(own_desk))
    first.send_signal(signal.SIGQUIT)
    first.wait(20)
    own_desk.worker()
    until(lambda: ready(client))


def test_a_task_survives_a_redis_that_is_killed(own_desk: Desk, log_in: LogIn) -> None:
    client = log_in(own_desk.app())
    own_desk.server.terminate()  # SIGKILL
    own_desk.server.start()
    own_desk.worker()
    until(lambda: ready(client))


def test_a_fetch_is_not_lost_if_redis_does_not_answer_for_a_while(
    own_desk: Desk, log_in: LogIn
) -> None:
    own_desk.worker(BOT_CLASS="bots.SlowBot")
    client = log_in(own_desk.app())
    until(lambda: progress(own_desk))
    with own_desk.frozen(30):  # until Celery can't send the message that asks for a retry either
        until(lambda: b"] reject requeue=" in (own_desk.folder / "worker-0.log").read_bytes())
    until(lambda: ready(client))
    assert outcomes(own_desk) == ["ready"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A function that counts how often a FlakyBot was asked for contacts, in any process."""
    path = tmp_path / "runs"
    monkeypatch.setenv("FLAKY_RUNS", str(path))
    return lambda: path.stat().st_size if path.exists() else 0


def test_while_a_retry_waits_the_fetch_is_under_way(
    own_desk: Desk, log_in: LogIn, runs: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAKY_FAILS", "3")
    own_desk.worker(BOT_CLASS="bots.FlakyBot")
    client = log_in(own_desk.app())
    until(lambda: runs() > 0)
    while not ready(client):
        assert me(client)["fetching"] is not None or ready(client)
        assert client.post("/j/contacts").status_code == 202
    until(lambda: me(client)["fetching"] is None)
    # What was asked for when the contacts had come is a fetch of its own.
    assert outcomes(own_desk) in (["ready"], ["ready", "ready"])
    assert runs() == 3 + len(outcomes(own_desk))


def test_a_fetch_has_failed_when_the_last_try_has(
    own_desk: Desk, log_in: LogIn, runs: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAKY_FAILS", "1000")
    own_desk.worker(BOT_CLASS="bots.FlakyBot")
    client = log_in(own_desk.app())
    until(lambda: outcomes(own_desk))
    assert runs() == 1 + tasks.retrieve_data.max_retries
    assert outcomes(own_desk) == ["failed"]
    assert (me(client)["ready"], me(client)["fetching"]) == (False, None)


# The task itself


def test_a_reader_sees_the_old_list_until_the_new_one_is_whole(
    own_desk: Desk, log_in: LogIn
) -> None:
    app = own_desk.app(BOT_CLASS="bots.SteadyBot")
    client = log_in(app)
    fetch(app, client)
    whole = contacts(own_desk)
    own_desk.redis.set("contacts:ada", '"old"')
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(fetch, app, client)
        seen = [contacts(own_desk)]
        while not done.done():
            seen.append(contacts(own_desk))
    done.result()
    seen.append(contacts(own_desk))
    assert (seen[0], seen[-1]) == ("old", whole)
    assert all(value in ("old", whole) for value in seen)


def test_run_twice_it_ends_in_the_same_state(own_desk: Desk, log_in: LogIn) -> None:
    app = own_desk.app()
    client = log_in(app)
    fetch(app, client)
    once = contacts(own_desk)
    fetch(app, client)
    assert contacts(own_desk) == once


def test_contacts_go_when_the_last_login_would(own_desk: Desk, log_in: LogIn) -> None:
    app = own_desk.app()
    fetch(app, log_in(app))
    lifetime = app.permanent_session_lifetime.total_seconds()
    assert lifetime - 60 < own_desk.redis.ttl("contacts:ada") <= lifetime


def test_if_its_login_has_ended_before_another_one_can_ask(own_desk: Desk, log_in: LogIn) -> None:
    app = own_desk.app()
    first, second = log_in(app), log_in(app)
    assert own_desk.redis.llen("celery") == 1
    login = login_id(first)
    first.post("/j/logout")
    with app.app_context():
        tasks.retrieve_data(login, "ada")
    assert (contacts(own_desk), outcomes(own_desk)) == (None, ["failed"])
    assert me(second)["fetching"] is None


def test_a_logout_meanwhile_leaves_it_to_the_other_logins(own_desk: Desk, log_in: LogIn) -> None:
    app = own_desk.app(BOT_CLASS="bots.SteadyBot")
    first, second = log_in(app), log_in(app)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(fetch, app, first)
        until(lambda: progress(own_desk))
        first.post("/j/logout")
        done.result()
    assert ready(second)


# How far it is


def test_a_page_that_is_loaded_meanwhile_learns_how_far_it_is(
    own_desk: Desk, log_in: LogIn
) -> None:
    app = own_desk.app()
    client = log_in(app)
    assert (me(client)["ready"], me(client)["fetching"]) == (False, {})
    with app.app_context():
        tasks.report("ada", "users", 50, 282)
    assert me(client)["fetching"] == {"kind": "users", "done": 50, "total": 282}
    with app.app_context():
        tasks.swap_in("ada", {"users": []})
    assert (me(client)["ready"], me(client)["fetching"]) == (True, None)


def test_trap_a_failure_that_is_an_event_alone_is_never_seen_again(
    own_desk: Desk, log_in: LogIn
) -> None:
    app = own_desk.app()
    client = log_in(app)
    with app.app_context():
        tasks.fail("ada")
    opened_now = client.get("/stream", buffered=False)
    said = b"".join(islice(opened_now.iter_encoded(), 2))
    assert b"failed" not in said  # the event has been sent already
    assert (me(client)["ready"], me(client)["fetching"]) == (False, None)


def test_a_fetch_that_nobody_hears_of_any_more_is_not_under_way(
    own_desk: Desk, log_in: LogIn
) -> None:
    app = own_desk.app(VISIBILITY_TIMEOUT=1)
    client = log_in(app)
    assert me(client)["fetching"] == {}
    until(lambda: me(client)["fetching"] is None)  # its worker is gone, or its retry
    client.post("/j/contacts")
    assert me(client)["fetching"] == {}


def test_an_account_has_one_fetch_at_a_time_whoever_asks(own_desk: Desk, log_in: LogIn) -> None:
    app = own_desk.app()
    for client in [log_in(app) for _ in range(10)]:
        for _ in range(10):
            assert client.post("/j/contacts").status_code == 202
    assert own_desk.redis.llen("celery") == 1
    log_in(app, "lin")
    assert own_desk.redis.llen("celery") == 2


def test_a_fetch_that_could_not_be_asked_for_is_not_under_way(
    own_desk: Desk, log_in: LogIn
) -> None:
    client = log_in(own_desk.app())
    dead = own_desk.app(CELERY_BROKER_URL="redis://127.0.0.1:1").test_client()
    cookie = client.get_cookie("desk")
    assert cookie
    dead.set_cookie("desk", cookie.value)
    own_desk.redis.delete("fetching:ada")
    assert dead.post("/j/contacts").status_code == 503
    until(lambda: me(client)["fetching"] is None)  # soon, whatever else has failed


def test_what_cannot_be_fetched_is_told_and_can_be_asked_for_again(
    own_desk: Desk, log_in: LogIn
) -> None:
    app = own_desk.app(BOT_CLASS="bots.BrokenBot")
    client = log_in(app)
    with pytest.raises(ValueError, match="a bug of the client"):
        fetch(app, client)
    assert outcomes(own_desk) == ["failed"]
    assert me(client)["fetching"] is None
    assert client.post("/j/contacts").status_code == 202
    assert me(client)["fetching"] == {}


def test_a_task_that_kills_its_workers_is_given_up(own_desk: Desk, log_in: LogIn) -> None:
    app = own_desk.app()
    client = log_in(app)
    own_desk.redis.set("tries:ada", tasks.TRIES)  # so often it was delivered and never ended
    fetch(app, client)
    assert (contacts(own_desk), outcomes(own_desk)) == (None, ["failed"])
    assert me(client)["fetching"] is None
    fetch(app, client)  # whoever asks again means it
    assert ready(client)


# Traps


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a broker that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


def test_trap_a_silent_broker_is_waited_for(desk: Desk, log_in: LogIn, silent: str) -> None:
    send = f"from celery import Celery; Celery(broker={silent!r}).send_task('x')"
    wrong = Popen([sys.executable, "-c", send], stderr=DEVNULL)
    client = desk.app(CELERY_BROKER_URL=silent).test_client()
    answer: Any = client.post("/j/login", json=confirmed(client))
    assert (answer.status_code, answer.json["error_code"]) == (503, 1009)
    assert wrong.poll() is None  # Celery's own settings: over 150 s
    wrong.kill()
    wrong.wait()


def test_trap_the_visibility_timeout_alone_is_no_bound(desk: Desk, app: Flask) -> None:
    by_default = Channel.unacked_restore_interval * Channel.unacked_restore_throttle
    assert by_default == 100  # seconds between two looks, whatever the timeout is
    options = app.extensions["celery"].conf.broker_transport_options
    ours = options["unacked_restore_interval"] * options["unacked_restore_throttle"]
    assert options["visibility_timeout"] + ours <= 70


def test_trap_with_a_result_backend_a_dead_broker_is_another_error_after_19_seconds(
    desk: Desk, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = "redis://127.0.0.1:1"
    monkeypatch.setenv("CELERY_RESULT_BACKEND", dead)  # which Celery reads by itself
    wrong = Celery("wrong", broker=dead, set_as_current=False)
    wrong.conf.update(task_publish_retry_policy={"max_retries": 0})
    policy = {"max_retries": 0}  # or the test takes the 19 seconds
    wrong.conf.update(result_backend_transport_options={"retry_policy": policy})

    @wrong.task  # type: ignore[untyped-decorator]
    def nothing() -> None: ...

    with pytest.raises(RuntimeError, match="result store"):
        nothing.delay()
    client = desk.app(CELERY_BROKER_URL=dead).test_client()
    assert client.post("/j/login", json=confirmed(client)).status_code == 503


ACKNOWLEDGE = """
import os, signal, sys
from deploy import worker
from kombu.transport import redis
from redis import RedisError

channel = worker.celery.connection().default_channel
for multiplier in 1, worker.celery.conf.worker_prefetch_multiplier:
    places = redis.QoS(channel, prefetch_count=multiplier)
    places._quick_append("tag", "a task")
    os.kill(int(sys.argv[1]), signal.SIGSTOP)
    try:
        places.ack("tag")
    except RedisError:
        print(places.can_consume())
    os.kill(int(sys.argv[1]), signal.SIGCONT)
"""


def test_trap_a_task_that_could_not_be_acknowledged_keeps_its_place(own_desk: Desk) -> None:
    command = [sys.executable, "-c", ACKNOWLEDGE, str(own_desk.server._process.pid)]
    env = os.environ | {"REDIS_URL": own_desk.url, "FLASK_SECRET_KEY": "a key for the tests alone"}
    env["FLASK_UPLOAD_FOLDER"] = str(own_desk.folder / "uploads")
    done = run(command, cwd=HERE, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "True"], done.stderr  # with 1 it takes no more tasks


def test_trap_a_task_without_the_app_context_does_not_know_redis(app: Flask) -> None:
    def ping() -> bool:
        return bool(redis.ping())

    with pytest.raises(RuntimeError, match="application context"):
        Celery("plain").task(ping)()
    assert app.extensions["celery"].task(ping)()


def test_trap_a_unix_socket_has_another_address_in_celery(desk: Desk) -> None:
    with desk.app().extensions["celery"].connection() as right:
        assert right.connect()
    with pytest.raises(KeyError, match="No such transport: unix"):  # what redis-py takes
        Celery(broker=desk.url, set_as_current=False).connection().connect()
