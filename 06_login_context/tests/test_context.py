import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from subprocess import run
from sys import executable
from typing import Any

import pytest
from flask import Flask, Response, g, session, stream_with_context
from flask.testing import FlaskClient
from werkzeug.local import Local, LocalProxy, LocalStack

import context
from bots import QuickBot
from conftest import HERE, Desk
from context import bot_context, current_bot
from desk_errors import NotLoggedIn

LogIn = Callable[..., FlaskClient]
# Until Flask 3.1, a request inside an app context shares its g; from 3.2 on it has its own.
OLD = tuple(map(int, version("flask").split(".")[:2])) < (3, 2)
SECOND_IN_AN_APP_CONTEXT = "ada" if OLD else "lin"


def login_id(client: FlaskClient) -> str:
    with client.session_transaction() as session:
        return str(session["login"])


@pytest.fixture
def app(app: Flask) -> Flask:
    app.add_url_rule("/who", "who", lambda: current_bot.self["id"])
    app.add_url_rule("/nobody", "nobody", lambda: "nobody asked")
    app.add_url_rule("/twice", "twice", lambda: current_bot.self["id"] + current_bot.self["id"])
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
    answer = client.get("/who")
    assert (answer.status_code, answer.json["error_code"]) == (401, 1008)  # type: ignore[index]


def test_is_opened_once_per_request_and_only_when_used(app: Flask, log_in: LogIn) -> None:
    ada = log_in(app)
    QuickBot.opened.clear()
    ada.get("/nobody")
    assert QuickBot.opened == []
    ada.get("/twice")
    assert QuickBot.opened == ["ada"]


def test_is_gone_after_the_request(app: Flask, log_in: LogIn) -> None:
    log_in(app).get("/who")
    with app.test_request_context(), pytest.raises(NotLoggedIn):
        _ = current_bot.self


def test_is_gone_after_a_request_that_failed(app: Flask, log_in: LogIn) -> None:
    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError(current_bot.self["id"])

    ada = log_in(app)
    with pytest.raises(RuntimeError, match="ada"):
        ada.get("/boom")
    with app.test_request_context(), pytest.raises(NotLoggedIn):
        _ = current_bot.self


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


def test_lasts_as_long_as_a_streamed_answer(app: Flask, log_in: LogIn) -> None:
    @app.get("/slowly")
    def slowly() -> Response:
        return Response(stream_with_context(current_bot.self["id"] for _ in range(2)))

    assert log_in(app).get("/slowly").text == "adaada"


def test_of_many_requests_on_few_threads_none_finds_anothers(app: Flask, log_in: LogIn) -> None:
    clients = [log_in(app, account) for account in ("ada", "lin", "omar")]

    def ask(n: int) -> bool:
        return clients[n % 3].get("/who").text == ("ada", "lin", "omar")[n % 3]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(60)))


def test_appears_within_the_request_that_logs_in(app: Flask, log_in: LogIn) -> None:
    @app.get("/take/<login_id>")
    def take(login_id: str) -> str:
        with pytest.raises(NotLoggedIn):
            _ = current_bot.self
        session["login"] = login_id
        return current_bot.self["id"]

    assert app.test_client().get(f"/take/{login_id(log_in(app, 'lin'))}").text == "lin"


# Inside somebody else's context


def test_a_request_within_an_app_context_has_its_own(app: Flask, log_in: LogIn) -> None:
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    with app.app_context():
        assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]
        assert app.test_client().get("/who").status_code == 401


def test_a_request_within_a_bot_context_has_its_own(app: Flask, log_in: LogIn) -> None:
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    with app.app_context(), bot_context(login_id(ada)):
        assert lin.get("/who").text == "lin"
        assert app.test_client().get("/who").status_code == 401
        assert current_bot.self["id"] == "ada"


def test_a_bot_context_within_a_request_wins_and_goes(app: Flask, log_in: LogIn) -> None:
    @app.get("/for/<login_id>")
    def on_behalf_of(login_id: str) -> list[str]:
        before = current_bot.self["id"]
        with bot_context(login_id):
            during = current_bot.self["id"]
        return [before, during, current_bot.self["id"]]

    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    assert ada.get(f"/for/{login_id(lin)}").json == ["ada", "lin", "ada"]


# Without a request


def test_bot_context_serves_tasks_and_commands(app: Flask, log_in: LogIn) -> None:
    ada = login_id(log_in(app))

    @app.cli.command("whoami")
    def whoami() -> None:
        with bot_context(ada) as bot:
            assert bot.self == current_bot.self
            print(current_bot.self["name"])

    assert "Ada Lovelace" in app.test_cli_runner().invoke(args=["whoami"]).output


def test_bot_contexts_nest_and_go_when_they_fail(app: Flask, log_in: LogIn) -> None:
    ada, lin = login_id(log_in(app, "ada")), login_id(log_in(app, "lin"))
    with app.app_context(), bot_context(ada):
        with pytest.raises(ZeroDivisionError), bot_context(lin):
            _ = 1 / 0
        assert current_bot.self["id"] == "ada"
    assert context._blocks.top is None


def test_bot_context_of_an_ended_login_is_refused(app: Flask, log_in: LogIn) -> None:
    client = log_in(app)
    ada = login_id(client)
    client.post("/j/logout")
    with app.app_context(), pytest.raises(NotLoggedIn), bot_context(ada):
        pass


def test_outside_everything_nobody_is_logged_in(app: Flask) -> None:
    with app.app_context(), pytest.raises(NotLoggedIn):
        _ = current_bot.self


# Traps


def test_trap_a_bot_that_is_never_popped_serves_the_next_request(app: Flask, log_in: LogIn) -> None:
    stack: LocalStack[Any] = LocalStack()

    def find_bot() -> Any:  # as in the article
        if stack.top is None:
            stack.push(context._open(session.get("login")))
        return stack.top

    article: Any = LocalProxy(find_bot)
    app.add_url_rule("/article", "article", lambda: article.self["id"])
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    assert [ada.get("/article").text, lin.get("/article").text] == ["ada", "ada"]
    assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]


def test_trap_an_attribute_of_a_local_stays_too(app: Flask, log_in: LogIn) -> None:
    local = Local()

    @app.get("/local")
    def view() -> str:
        if not hasattr(local, "bot"):
            local.bot = context._open(session.get("login"))
        return str(local.bot.self["id"])

    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    assert [ada.get("/local").text, lin.get("/local").text] == ["ada", "ada"]
    assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]


def test_trap_g_is_shared_by_requests_within_an_app_context(app: Flask, log_in: LogIn) -> None:
    @app.get("/g")
    def view() -> str:
        if "bot" not in g:
            g.bot = context._open(session.get("login"))
        return str(g.bot.self["id"])

    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    with app.app_context():
        assert [ada.get("/g").text, lin.get("/g").text] == ["ada", SECOND_IN_AN_APP_CONTEXT]
        assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]


def test_trap_popping_with_the_app_context_is_too_late_within_an_outer_one(
    app: Flask, log_in: LogIn
) -> None:
    stack: LocalStack[Any] = LocalStack()

    @app.teardown_appcontext
    def pop(error: Any) -> None:
        while stack.pop() is not None:
            pass

    @app.get("/popped")
    def view() -> str:
        if stack.top is None:
            stack.push(context._open(session.get("login")))
        bot: Any = stack.top
        return str(bot.self["id"])

    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    assert [ada.get("/popped").text, lin.get("/popped").text] == ["ada", "lin"]
    with app.app_context():
        assert [ada.get("/popped").text, lin.get("/popped").text] == [
            "ada",
            SECOND_IN_AN_APP_CONTEXT,
        ]
        assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]


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
    ours = run([executable, "-c", "import make_celery"], cwd=HERE, env=env, timeout=60)
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
