"""`current_bot` with the desk's logins; step 1 has the tests of `context.py` itself."""

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from sys import executable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import Unauthorized

from conftest import HERE, Desk
from context import bot_context, current_bot

LogIn = Callable[..., FlaskClient]


def login_id(client: FlaskClient) -> str:
    with client.session_transaction() as session:
        return str(session["login"])


@pytest.fixture
def app(app: Flask) -> Flask:
    app.add_url_rule("/who", "who", lambda: current_bot.self["id"])
    return app


# In a request


def test_is_the_bot_of_this_browsers_login(app: Flask, log_in: LogIn) -> None:
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    assert [ada.get("/who").text, lin.get("/who").text, ada.get("/who").text] == [
        "ada",
        "lin",
        "ada",
    ]


def test_without_a_login_it_is_1008(client: FlaskClient) -> None:
    answer = client.get("/who", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json["error_code"]) == (401, 1008)  # type: ignore[index]


def test_logout_in_another_process_is_seen_at_the_next_request(
    desk: Desk, app: Flask, log_in: LogIn
) -> None:
    here = log_in(app)
    there = desk.app().test_client()  # same server, same key: what another process has
    cookie = here.get_cookie("desk")
    assert cookie
    there.set_cookie("desk", cookie.value)
    assert there.get("/j/me").status_code == 200
    assert there.post("/j/logout").status_code == 200
    assert here.get("/who").status_code == 401


# Without a request


def test_bot_context_serves_tasks_and_commands(app: Flask, log_in: LogIn) -> None:
    ada = login_id(log_in(app))

    @app.cli.command("whoami")
    def whoami() -> None:
        with bot_context(ada) as bot:
            assert bot.self == current_bot.self
            print(current_bot.self["name"])

    assert "Ada Lovelace" in app.test_cli_runner().invoke(args=["whoami"]).output


def test_bot_context_of_an_ended_login_is_refused(app: Flask, log_in: LogIn) -> None:
    client = log_in(app)
    ada = login_id(client)
    client.post("/j/logout")
    with app.app_context(), pytest.raises(Unauthorized), bot_context(ada):
        pass


def test_outside_everything_nobody_is_logged_in(app: Flask) -> None:
    with app.app_context(), pytest.raises(Unauthorized):
        _ = current_bot.self


# Traps


def test_trap_a_worker_that_asks_for_the_bot_at_import_waits_for_a_scan(desk: Desk) -> None:
    asked, scanned = threading.Event(), threading.Event()

    def article_worker() -> None:  # its get_bot() shows a code and returns once it is scanned
        asked.set()
        scanned.wait()

    thread = threading.Thread(target=article_worker, daemon=True)
    thread.start()
    asked.wait()
    env = {"REDIS_URL": "redis://127.0.0.1:1", "FLASK_SECRET_KEY": "a key for the tests alone"}
    env |= {"FLASK_UPLOAD_FOLDER": str(desk.folder / "uploads")}
    ours = run([executable, "-c", "import deploy.worker"], cwd=HERE, env=env, timeout=60)
    assert ours.returncode == 0 and thread.is_alive()  # ours is done, with Redis away even
    scanned.set()
    thread.join()


def test_trap_a_pickle_per_machine_leaves_the_others_logged_in(
    desk: Desk, app: Flask, log_in: LogIn, tmp_path: Path
) -> None:
    class Machine:
        """The article's get_bot() and logout, on a machine with a disk and memory of its own."""

        def __init__(self, name: str) -> None:
            self.file = tmp_path / f"{name}.pkl"
            self.file.write_bytes(pickle.dumps({"account": "ada"}))
            self.bot = pickle.loads(self.file.read_bytes())

        def log_out(self) -> None:
            self.file.unlink()
            self.bot = None

    here, there = Machine("here"), Machine("there")
    here.log_out()
    assert there.bot and there.file.exists()

    client = log_in(app)
    ada = login_id(client)
    client.post("/j/logout")
    assert desk.redis.exists(f"login:{ada}") == 0


def test_trap_unpickling_runs_code(desk: Desk, app: Flask, log_in: LogIn, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return Path.mkdir, (tmp_path / "owned",)

    pickle.loads(pickle.dumps(Payload()))
    assert (tmp_path / "owned").exists()

    client = log_in(app)  # what we keep is a text
    assert desk.redis.hgetall(f"login:{login_id(client)}") == {"account": "ada"}
