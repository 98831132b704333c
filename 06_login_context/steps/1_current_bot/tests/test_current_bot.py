"""`current_bot` in requests and outside them, beside the article's version and beside ``g``."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from threading import Thread
from typing import Any

import pytest
from flask import Flask, g, session
from flask.testing import FlaskClient
from werkzeug.exceptions import Unauthorized

import article
import context
from context import bot_context, current_bot
from logins import open_bot
from wx import ACCOUNTS, Bot

ARTICLE = "?version=article"
# Until Flask 3.1, a request inside an app context shares its g; from 3.2 on it has its own.
G_IS_SHARED = tuple(map(int, version("flask").split(".")[:2])) < (3, 2)


@pytest.fixture(autouse=True)
def empty_stack() -> Iterator[None]:
    """Do what the article doesn't, so that no test leaves its bot to the next one."""
    yield
    while article._wx_ctx_stack.pop():
        pass


def log_in(app: Flask, account: str) -> FlaskClient:
    """Return a browser in which somebody clicked on a link."""
    client = app.test_client()
    client.get(f"/as/{account}")
    return client


def name_on_page(client: FlaskClient, query: str = "") -> str:
    """Return whom the page shows as `current_bot`; fail if its colour and text don't fit."""
    html = client.get("/" + query).text
    before, _, rest = html.partition('<td id="name" class="')
    colour, _, rest = rest.partition('">')
    you = before.partition('<td id="you">')[2].partition("<")[0]
    name = rest.partition("<")[0]
    assert colour == ("good" if name == you else "bad")
    assert ("This is the wrong account" in html) == (name != you)
    return name


# In a request


def test_each_browser_has_the_account_that_it_clicked(app: Flask) -> None:
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    assert [name_on_page(client) for client in (ada, lin, ada)] == [
        ACCOUNTS["ada"],
        ACCOUNTS["lin"],
        ACCOUNTS["ada"],
    ]


def test_the_links_keep_the_version(client: FlaskClient) -> None:
    assert client.get("/as/ada" + ARTICLE).location == "/" + ARTICLE
    assert client.get("/as/nobody").status_code == 404


def test_a_bot_is_opened_once_per_request(app: Flask) -> None:
    opened = []

    def open_and_count(login_id: str | None) -> Bot:
        opened.append(login_id)
        return open_bot(login_id)

    context.init_app(app, open_and_count)
    app.add_url_rule("/twice", "twice", lambda: current_bot.self["id"] + current_bot.self["name"])
    assert log_in(app, "ada").get("/twice").text == "adaAda Lovelace"
    assert opened == ["ada"]


def test_trap_a_bot_that_is_never_popped_serves_the_next_request(
    app: Flask, client: FlaskClient
) -> None:
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    assert [name_on_page(browser, ARTICLE) for browser in (ada, lin, client)] == [
        ACCOUNTS["ada"],
        ACCOUNTS["ada"],
        ACCOUNTS["ada"],
    ]
    assert [name_on_page(browser) for browser in (ada, lin, client)] == [
        ACCOUNTS["ada"],
        ACCOUNTS["lin"],
        "nobody",
    ]


def test_trap_a_thread_per_request_hides_the_fault(app: Flask) -> None:
    ada, lin = log_in(app, "ada"), log_in(app, "lin")

    def in_new_threads(query: str) -> list[str]:
        names: list[str] = []
        for browser in (ada, lin):
            thread = Thread(target=lambda: names.append(name_on_page(browser, query)))  # noqa: B023
            thread.start()
            thread.join()
        return names

    def in_a_thread_of_a_pool(query: str) -> list[str]:
        with ThreadPoolExecutor(1) as pool:
            return list(pool.map(lambda browser: name_on_page(browser, query), (ada, lin)))

    right = [ACCOUNTS["ada"], ACCOUNTS["lin"]]
    assert in_new_threads(ARTICLE) == right  # as in development, with "flask run"
    assert in_a_thread_of_a_pool(ARTICLE) == [ACCOUNTS["ada"], ACCOUNTS["ada"]]  # in production
    assert in_new_threads("") == in_a_thread_of_a_pool("") == right


# Outside a request, and for another login than the request's


def test_a_command_says_whose_bot_it_needs(app: Flask) -> None:
    assert app.test_cli_runner().invoke(args=["whoami", "lin"]).output == "林徽因\n"


def test_outside_a_request_nobody_is_logged_in(app: Flask) -> None:
    with app.app_context(), pytest.raises(Unauthorized):
        _ = current_bot.self


def test_blocks_nest_and_end_even_if_they_fail(app: Flask) -> None:
    with app.app_context(), bot_context("ada"):
        with pytest.raises(RuntimeError, match="lin"), bot_context("lin"):
            raise RuntimeError(current_bot.self["id"])
        assert current_bot.self["id"] == "ada"
    assert context._blocks.top is None


def test_a_block_in_a_request_is_for_another_login(app: Flask) -> None:
    @app.get("/for/<login_id>")
    def on_behalf_of(login_id: str) -> list[str]:
        before = current_bot.self["id"]
        with bot_context(login_id):
            during = current_bot.self["id"]
        return [before, during, current_bot.self["id"]]

    assert log_in(app, "ada").get("/for/lin").json == ["ada", "lin", "ada"]


def test_a_request_in_a_block_has_its_own_account(app: Flask, client: FlaskClient) -> None:
    lin = log_in(app, "lin")
    with app.app_context(), bot_context("ada"):
        assert name_on_page(lin) == ACCOUNTS["lin"]
        assert name_on_page(client) == "nobody"
        assert current_bot.self["id"] == "ada"


# With g


def get_bot() -> Any:
    if "bot" not in g:
        g.bot = open_bot(session.get("login"))
    return g.bot


def forget_bot(error: BaseException | None) -> None:
    g.pop("bot", None)


def test_g_is_enough_for_one_request(app: Flask) -> None:
    app.teardown_request(forget_bot)
    app.add_url_rule("/who", "who", lambda: get_bot().self["id"])
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]
    with app.app_context():
        assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]


def test_trap_requests_in_one_app_context_share_g(app: Flask) -> None:
    app.teardown_appcontext(forget_bot)  # as the database in Flask's tutorial, but that's too late
    app.add_url_rule("/who", "who", lambda: get_bot().self["id"])
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    with app.app_context():
        second = "ada" if G_IS_SHARED else "lin"
        assert [ada.get("/who").text, lin.get("/who").text] == ["ada", second]
        assert [name_on_page(ada), name_on_page(lin)] == [ACCOUNTS["ada"], ACCOUNTS["lin"]]
