"""`current_bot` in an app that isn't ours: whatever happens, no request gets another account."""

import contextvars
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest
from flask import (
    Flask,
    Response,
    abort,
    copy_current_request_context,
    session,
    stream_with_context,
)
from flask.testing import FlaskClient
from werkzeug.exceptions import Unauthorized
from werkzeug.local import Local
from werkzeug.test import EnvironBuilder

import context
from context import bot_context, current_bot

OPENED: list[str] = []


def open_user(login_id: str | None) -> dict[str, str]:
    """Open what this app has instead of a bot."""
    if login_id is None:
        abort(401)
    OPENED.append(login_id)
    return {"name": login_id}


def name() -> str:
    """Return whose account `current_bot` is, or "nobody"."""
    try:
        return str(current_bot["name"])
    except Unauthorized:
        return "nobody"


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    app.config.update(TESTING=True, SECRET_KEY="for the tests")
    context.init_app(app, open_user)
    app.add_url_rule("/who", "who", name)
    OPENED.clear()
    return app


def log_in(app: Flask, login_id: str) -> FlaskClient:
    client = app.test_client()
    with client.session_transaction() as session:
        session["login"] = login_id
    return client


# The account of the session, as it is now


def test_it_is_opened_once_per_request_and_only_when_used(app: Flask) -> None:
    app.add_url_rule("/thrice", "thrice", lambda: name() + name() + name())
    app.add_url_rule("/unused", "unused", lambda: "nobody asked")
    ada = log_in(app, "ada")
    ada.get("/unused")
    assert OPENED == []
    assert ada.get("/thrice").text == "adaadaada"
    assert OPENED == ["ada"]


def test_it_is_gone_after_the_request_even_if_that_has_failed(app: Flask) -> None:
    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError(name())

    with pytest.raises(RuntimeError, match="ada"):
        log_in(app, "ada").get("/boom")
    assert app.test_client().get("/who").text == "nobody"
    with app.test_request_context():
        assert name() == "nobody"


def test_a_second_login_in_the_same_request_is_seen(app: Flask) -> None:
    app.before_request(lambda: OPENED.append(name()))  # a hook has looked at it already

    @app.post("/login/<login_id>")
    def login(login_id: str) -> str:
        session["login"] = login_id
        return name()

    ada = log_in(app, "ada")
    assert ada.post("/login/lin").text == "lin"
    assert ada.get("/who").text == "lin"


def test_after_the_session_is_cleared_nobody_is_logged_in(app: Flask) -> None:
    @app.post("/logout")
    def logout() -> list[str]:
        before = name()
        session.clear()
        return [before, name()]

    assert log_in(app, "ada").post("/logout").json == ["ada", "nobody"]


def test_two_events_of_one_environ_have_an_account_each(app: Flask) -> None:
    environ: Any = EnvironBuilder().get_environ()

    def event(login_id: str | None) -> str:
        """Handle an event as Flask-SocketIO does: the environ is that of the connection."""
        with app.request_context(environ):
            session["login"] = login_id
            return name()

    assert [event("ada"), event("lin"), event(None)] == ["ada", "lin", "nobody"]


def test_requests_inside_one_app_context_have_an_account_each(app: Flask) -> None:
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    with app.app_context():
        assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]
        assert app.test_client().get("/who").text == "nobody"
        assert name() == "nobody"


def test_a_login_that_has_ended_is_gone_inside_an_app_context_too(app: Flask) -> None:
    ended: list[str] = []

    def open_or_refuse(login_id: str | None) -> dict[str, str]:
        return open_user(None if login_id in ended else login_id)

    context.init_app(app, open_or_refuse)
    ada = log_in(app, "ada")
    with app.app_context():
        assert ada.get("/who").text == "ada"
        ended.append("ada")  # another process has done that
        assert ada.get("/who").text == "nobody"


def test_a_request_inside_a_request_has_its_own_account(app: Flask) -> None:
    lin = log_in(app, "lin")
    app.add_url_rule("/ask", "ask", lambda: [name(), lin.get("/who").text, name()])
    assert log_in(app, "ada").get("/ask").json == ["ada", "lin", "ada"]


def test_it_lasts_as_long_as_a_streamed_response(app: Flask) -> None:
    @app.get("/slowly")
    def slowly() -> Response:
        return Response(stream_with_context(name() for _ in range(2)))

    assert log_in(app, "ada").get("/slowly").text == "adaada"


def test_of_many_requests_on_few_threads_none_finds_anothers(app: Flask) -> None:
    names = ("ada", "lin", "omar")
    clients = [log_in(app, login_id) for login_id in names]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda n: clients[n % 3].get("/who").text == names[n % 3], range(60)))


def test_the_key_in_the_session_can_be_chosen(app: Flask) -> None:
    context.init_app(app, open_user, session_key="_user_id")  # as Flask-Login calls it
    app.add_url_rule("/lin", "lin", lambda: session.update(_user_id="lin") or name())
    assert log_in(app, "ada").get("/lin").text == "lin"


def test_two_apps_have_an_open_bot_each(app: Flask) -> None:
    other = Flask("other")
    context.init_app(other, lambda login_id: {"name": "the other app's"})
    with app.app_context(), bot_context("ada"):
        with other.test_request_context():
            assert name() == "the other app's"
        assert name() == "ada"


# Blocks


def test_outside_a_request_nobody_is_logged_in(app: Flask) -> None:
    with app.app_context(), pytest.raises(Unauthorized):
        _ = current_bot["name"]
    with pytest.raises(RuntimeError, match="context"):
        _ = current_bot["name"]


def test_a_block_in_a_request_is_for_another_login(app: Flask) -> None:
    @app.get("/for/<login_id>")
    def on_behalf_of(login_id: str) -> list[str]:
        before = name()
        with bot_context(login_id) as bot:
            assert bot == current_bot
            during = name()
        return [before, during, name()]

    assert log_in(app, "ada").get("/for/lin").json == ["ada", "lin", "ada"]


def test_a_request_in_a_block_has_its_own_account(app: Flask) -> None:
    lin = log_in(app, "lin")
    with app.app_context(), bot_context("ada"):
        assert lin.get("/who").text == "lin"
        assert app.test_client().get("/who").text == "nobody"
        assert name() == "ada"


def test_a_request_in_a_block_of_a_request_has_its_own_account(app: Flask) -> None:
    omar = log_in(app, "omar")

    @app.get("/ask")
    def ask() -> list[str]:
        with bot_context("lin"):
            return [omar.get("/who").text, name()]

    assert log_in(app, "ada").get("/ask").json == ["omar", "lin"]


def test_blocks_nest_and_end_even_if_they_fail(app: Flask) -> None:
    with app.app_context(), bot_context("ada"):
        with pytest.raises(RuntimeError, match="lin"), bot_context("lin"):
            raise RuntimeError(name())
        assert name() == "ada"
    assert context._blocks.get() == ()


def test_a_block_of_a_login_that_is_refused_changes_nothing(app: Flask) -> None:
    with app.app_context(), bot_context("ada"):
        with pytest.raises(Unauthorized), bot_context(None):
            pytest.fail("there is no such login")
        assert name() == "ada"


def test_generators_that_take_turns_end_their_own_blocks(app: Flask) -> None:
    def work(login_id: str) -> Iterator[str]:
        with bot_context(login_id):
            yield name()

    with app.app_context():
        ada, lin = work("ada"), work("lin")
        assert [next(ada), next(lin)] == ["ada", "lin"]
        assert next(ada, "done") == "done"  # the block that was opened first is gone
        assert name() == "lin"
        assert next(lin, "done") == "done"
        assert name() == "nobody"


def test_a_block_in_a_request_that_ends_first_hides_nobody_elses(app: Flask) -> None:
    with app.app_context(), bot_context("ada"):
        with app.test_request_context():
            block = bot_context("lin")
            block.__enter__()
        assert name() == "ada"
        block.__exit__(None, None, None)
        assert name() == "ada"


# Threads


def in_a_thread(function: Any) -> list[str]:
    """Return what *function* returns in a new thread, nothing if it raises."""
    said: list[str] = []

    def run() -> None:
        with suppress(RuntimeError):  # there is no app context
            said.append(function())

    thread = Thread(target=run)
    thread.start()
    thread.join()
    return said


def test_a_thread_started_in_a_block_is_in_no_block(app: Flask) -> None:
    def with_an_app_context() -> str:
        with app.app_context():
            return name()

    with app.app_context(), bot_context("ada"):
        assert in_a_thread(name) == []
        assert in_a_thread(with_an_app_context) == ["nobody"]
        assert in_a_thread(lambda: log_in(app, "lin").get("/who").text) == ["lin"]


def test_a_thread_takes_the_block_along_in_a_copy_of_the_context(app: Flask) -> None:
    with app.app_context(), bot_context("ada"):
        copy = contextvars.copy_context()
        assert in_a_thread(lambda: copy.run(name)) == ["ada"]
    assert in_a_thread(lambda: copy.run(name)) == ["ada"]  # although the block has ended here


def test_a_thread_takes_the_request_along_with_the_sessions_account(app: Flask) -> None:
    @app.get("/thread")
    def view() -> list[str]:
        with bot_context("lin"):
            return in_a_thread(copy_current_request_context(name))

    assert log_in(app, "ada").get("/thread").json == ["ada"]


def test_two_threads_of_one_request_have_a_block_each(app: Flask) -> None:
    def work(login_id: str) -> str:
        with bot_context(login_id):
            return name()

    @app.get("/threads")
    def view() -> list[str]:
        tasks = [copy_current_request_context(work) for _ in range(8)]
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda task, n: task(f"{n}"), tasks, range(8)))

    assert log_in(app, "ada").get("/threads").json == [str(n) for n in range(8)]


# A trap of its own


def test_trap_an_attribute_of_a_local_stays_too(app: Flask) -> None:
    local = Local()

    @app.get("/local")
    def view() -> str:
        if not hasattr(local, "bot"):
            local.bot = open_user(session.get("login"))
        return str(local.bot["name"])

    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    assert [ada.get("/local").text, lin.get("/local").text] == ["ada", "ada"]
    assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]
