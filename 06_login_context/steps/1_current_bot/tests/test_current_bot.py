"""`current_bot` in requests and outside them, beside the article's version and beside ``g``."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from threading import Thread
from typing import Any

import pytest
from flask import Flask, g, session
from flask.testing import FlaskClient

import article
from context import current_bot
from logins import open_bot
from wx import ACCOUNTS

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


# Outside a request


def test_a_command_says_whose_bot_it_needs(app: Flask) -> None:
    assert app.test_cli_runner().invoke(args=["whoami", "lin"]).output == "林徽因\n"


# With g


def get_bot() -> Any:
    login_id = session.get("login")
    if "bot" not in g or g.login_id != login_id:
        g.bot, g.login_id = open_bot(login_id), login_id
    return g.bot


def get_bot_once() -> Any:
    if "bot" not in g:
        g.bot = open_bot(session.get("login"))
    return g.bot


def test_g_is_enough_in_requests(app: Flask) -> None:
    app.add_url_rule("/who", "who", lambda: get_bot().self["id"])
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]
    with app.app_context():
        assert [ada.get("/who").text, lin.get("/who").text] == ["ada", "lin"]


def test_trap_g_keeps_the_account_of_the_login_before(app: Flask) -> None:
    def log_in_again(find_bot: Callable[[], Any]) -> list[str]:
        with app.test_request_context():
            session["login"] = "ada"
            before = find_bot().self["id"]  # as a hook does that logs who is asking
            session["login"] = "lin"
            return [before, find_bot().self["id"]]

    assert log_in_again(get_bot_once) == ["ada", "ada"]
    assert log_in_again(get_bot) == ["ada", "lin"]
    assert log_in_again(lambda: current_bot) == ["ada", "lin"]


def test_trap_requests_in_one_app_context_share_g(app: Flask) -> None:
    app.add_url_rule("/who", "who", lambda: get_bot_once().self["id"])
    ada, lin = log_in(app, "ada"), log_in(app, "lin")
    with app.app_context():
        second = "ada" if G_IS_SHARED else "lin"
        assert [ada.get("/who").text, lin.get("/who").text] == ["ada", second]
        assert [name_on_page(ada), name_on_page(lin)] == [ACCOUNTS["ada"], ACCOUNTS["lin"]]
