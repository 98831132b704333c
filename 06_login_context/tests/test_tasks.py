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


def progress(desk: Desk, login: str) -> list[int]:
    return [json.loads(data)["done"] for data in desk.events(f"login:{login}", "progress")]


def me(client: FlaskClient) -> Any:
    return client.get("/j/me").json


def ready(client: FlaskClient) -> bool:
    return bool(me(client)["ready"])


def contacts(desk: Desk, login: str) -> Any:
    return json.loads(desk.redis.hget(f"login:{login}", "contacts") or "null")


def confirmed(client: FlaskClient) -> dict[str, str]:
    """Return what claims a login that a phone has confirmed."""
    code: Any = client.post("/j/login/qr").json
    client.post(f"/scan/{code['uuid']}", data={"account": "ada", "action": "confirm"})
    return {"key": code["key"]}


# With a real worker


def test_the_worker_fetches_what_a_login_asks_for(
    desk: Desk, app: Flask, log_in: LogIn, worker: Popen[bytes]
) -> None:
    client = log_in(app)
    until(lambda: ready(client))
    assert progress(desk, login_id(client)) == [50, 100, 150, 200, 250, 262, 282]
    assert desk.events(f"login:{login_id(client)}", "contacts") == ['{"type": "ready"}']
    assert me(client)["fetching"] is None


def test_a_worker_starts_before_anybody_has_scanned(own_desk: Desk) -> None:
    own_desk.worker()
    until(lambda: b"ready." in (own_desk.folder / "worker-0.log").read_bytes())


def test_a_killed_workers_task_goes_to_another_with_the_same_end(
    own_desk: Desk, log_in: LogIn
) -> None:
    first = own_desk.worker(BOT_CLASS="bots.SlowBot", VISIBILITY_TIMEOUT="1")
    client = log_in(own_desk.app(VISIBILITY_TIMEOUT=1))
    login = login_id(client)
    until(lambda: progress(own_desk, login))
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert contacts(own_desk, login) is None  # nothing half done to be seen
    own_desk.worker(VISIBILITY_TIMEOUT="1")
    undisturbed = log_in(own_desk.app())
    until(lambda: ready(client) and ready(undisturbed))
    assert contacts(own_desk, login) == contacts(own_desk, login_id(undisturbed))
    until(lambda: own_desk.redis.hlen("unacked") == 0)


def test_a_worker_that_is_stopped_gives_its_task_back(own_desk: Desk, log_in: LogIn) -> None:
    first = own_desk.worker(BOT_CLASS="bots.SlowBot")
    client = log_in(own_desk.app())
    until(lambda: progress(own_desk, login_id(client)))
    first.send_signal(signal.SIGQUIT)
    first.wait(20)
    own_desk.worker()
    until(lambda: ready(client))


def test_a_network_that_fails_is_tried_again(
    own_desk: Desk, log_in: LogIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAKY_MARKER", str(tmp_path / "failed"))
    own_desk.worker(BOT_CLASS="bots.FlakyBot")
    client = log_in(own_desk.app())
    until(lambda: ready(client))
    assert (tmp_path / "failed").exists()


def test_a_task_survives_a_redis_that_is_killed(own_desk: Desk, log_in: LogIn) -> None:
    client = log_in(own_desk.app())
    own_desk.server.terminate()  # SIGKILL
    own_desk.server.start()
    own_desk.worker()
    until(lambda: ready(client))


# The task itself


def test_a_reader_sees_the_old_list_until_the_new_one_is_whole(
    own_desk: Desk, log_in: LogIn
) -> None:
    app = own_desk.app(BOT_CLASS="bots.SteadyBot")
    login = login_id(log_in(app))
    with app.app_context():
        tasks.retrieve_data(login)
    whole = contacts(own_desk, login)
    own_desk.redis.hset(f"login:{login}", "contacts", '"old"')
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(tasks.retrieve_data, login)
        seen = [contacts(own_desk, login)]
        while not done.done():
            seen.append(contacts(own_desk, login))
    done.result()
    seen.append(contacts(own_desk, login))
    assert (seen[0], seen[-1]) == ("old", whole)
    assert all(value in ("old", whole) for value in seen)


def test_run_twice_it_ends_in_the_same_state(desk: Desk, app: Flask, log_in: LogIn) -> None:
    login = login_id(log_in(app))
    with app.app_context():
        tasks.retrieve_data(login)
        once = contacts(desk, login)
        tasks.retrieve_data(login)
    assert contacts(desk, login) == once


def test_for_a_login_that_has_ended_it_stops_quietly(own_desk: Desk, log_in: LogIn) -> None:
    client = log_in(own_desk.app())
    login = login_id(client)
    client.post("/j/logout")
    tasks.retrieve_data(login)
    assert contacts(own_desk, login) is None
    assert progress(own_desk, login) == []


def test_a_logout_meanwhile_stops_it(own_desk: Desk, log_in: LogIn) -> None:
    client = log_in(own_desk.app(BOT_CLASS="bots.SlowBot"))
    login = login_id(client)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(tasks.retrieve_data, login)
        until(lambda: progress(own_desk, login))
        client.post("/j/logout")
        done.result()
    assert contacts(own_desk, login) is None
    assert len(progress(own_desk, login)) < 7


def test_what_comes_in_after_the_logout_is_not_kept(desk: Desk, app: Flask, log_in: LogIn) -> None:
    client = log_in(app)
    login = login_id(client)
    client.post("/j/logout")
    with app.app_context():
        tasks.swap_in(login, {"users": []})
    assert contacts(desk, login) is None


def test_contacts_go_when_their_login_does(own_desk: Desk, log_in: LogIn) -> None:
    app = own_desk.app()
    client = log_in(app)
    login = login_id(client)
    with app.app_context():
        tasks.retrieve_data(login)
    client.post("/j/logout")
    assert own_desk.redis.keys(f"*{login}*") == []


# How far it is


def test_a_page_that_is_loaded_meanwhile_learns_how_far_it_is(
    own_desk: Desk, log_in: LogIn
) -> None:
    app = own_desk.app()
    client = log_in(app)
    assert (me(client)["ready"], me(client)["fetching"]) == (False, {})
    with app.app_context():
        tasks.report(login_id(client), "users", 50, 282)
    assert me(client)["fetching"] == {"kind": "users", "done": 50, "total": 282}
    with app.app_context():
        tasks.swap_in(login_id(client), {"users": []})
    assert (me(client)["ready"], me(client)["fetching"]) == (True, None)


def test_trap_a_failure_that_is_an_event_alone_is_never_seen_again(
    own_desk: Desk, log_in: LogIn
) -> None:
    app = own_desk.app()
    client = log_in(app)
    with app.app_context():
        tasks.fail(login_id(client))
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


def test_contacts_are_fetched_once_at_a_time(own_desk: Desk, log_in: LogIn) -> None:
    client = log_in(own_desk.app())
    for _ in range(100):
        assert client.post("/j/contacts").status_code == 202
    assert own_desk.redis.llen("celery") == 1


def test_a_fetch_that_could_not_be_asked_for_is_not_under_way(desk: Desk, log_in: LogIn) -> None:
    client = log_in(desk.app())
    dead = desk.app(CELERY_BROKER_URL="redis://127.0.0.1:1").test_client()
    cookie = client.get_cookie("desk")
    assert cookie
    dead.set_cookie("desk", cookie.value)
    desk.redis.delete(f"fetching:{login_id(client)}")
    assert dead.post("/j/contacts").status_code == 503
    until(lambda: me(client)["fetching"] is None)  # soon, whatever else has failed


def test_what_cannot_be_fetched_is_told_and_can_be_asked_for_again(
    desk: Desk, log_in: LogIn
) -> None:
    app = desk.app(BOT_CLASS="bots.BrokenBot")
    desk.redis.hset("login:broken", "account", "ada")
    with app.app_context(), pytest.raises(ValueError, match="a bug of the client"):
        tasks.retrieve_data("broken")
    assert desk.events("login:broken", "contacts") == ['{"type": "failed"}']
    assert log_in(app).post("/j/contacts").status_code == 202
    assert not desk.redis.exists("fetching:broken")


def test_a_task_that_kills_its_workers_is_given_up(desk: Desk, app: Flask) -> None:
    desk.redis.hset("login:poison", "account", "ada")
    desk.redis.set("tries:poison", tasks.TRIES)  # so often it was delivered and never ended
    with app.app_context():
        tasks.retrieve_data("poison")
    assert contacts(desk, "poison") is None
    assert not desk.redis.exists("fetching:poison")
    assert desk.events("login:poison", "contacts") == ['{"type": "failed"}']


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
    assert client.post("/j/login", json=confirmed(client)).status_code == 503
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
