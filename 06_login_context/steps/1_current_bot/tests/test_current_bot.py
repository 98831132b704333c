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
from app import open_bot
from context import current_bot
from wx import ACCOUNTS

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


def name_on_page(client: FlaskClient) -> str:
    """Return whom the page shows as `current_bot`; fail if its colour and text don't fit."""
    html = client.get("/").text
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


def test_an_unknown_account_is_nobodys(client: FlaskClient) -> None:
    assert client.get("/as/nobody").status_code == 404
    for unknown in ("", "nobody"):
        with client.session_transaction() as session:
            session["login"] = unknown
        assert name_on_page(client) == "nobody"


def test_each_version_links_to_both(
    client: FlaskClient, article_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 'href="http://localhost:8106/" aria-current="true"' in client.get("/").text
    assert 'href="http://localhost:8206/" aria-current="false"' in client.get("/").text
    monkeypatch.setenv("PORT", "1111")
    monkeypatch.setenv("ARTICLE_PORT", "2222")
    html = article_client.get("/", base_url="http://[::1]:2222").text
    assert 'href="http://[::1]:1111/" aria-current="false"' in html
    assert 'href="http://[::1]:2222/" aria-current="true"' in html


def test_a_browser_keeps_the_logins_of_both_versions_apart(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    client.get("/as/ada")
    cookie = client.get_cookie("session")
    assert cookie
    article_client.set_cookie("session", cookie.value)  # it goes to every port of the host
    article_client.get("/as/lin")
    kept = article_client.get_cookie("session")
    assert kept and kept.value == cookie.value


def test_trap_a_bot_that_is_never_popped_serves_the_next_request(
    app: Flask, article_client: FlaskClient
) -> None:
    def names_of(app: Flask) -> list[str]:
        browsers = log_in(app, "ada"), log_in(app, "lin"), app.test_client()
        return [name_on_page(browser) for browser in browsers]

    ada, lin = ACCOUNTS["ada"], ACCOUNTS["lin"]
    assert names_of(article_client.application) == [ada, ada, ada]
    assert names_of(app) == [ada, lin, "nobody"]


def test_trap_a_thread_per_request_hides_the_fault(app: Flask, article_client: FlaskClient) -> None:
    def in_new_threads(app: Flask) -> list[str]:
        names: list[str] = []
        for browser in (log_in(app, "ada"), log_in(app, "lin")):
            thread = Thread(target=lambda: names.append(name_on_page(browser)))  # noqa: B023
            thread.start()
            thread.join()
        return names

    def in_a_thread_of_a_pool(app: Flask) -> list[str]:
        with ThreadPoolExecutor(1) as pool:
            return list(pool.map(name_on_page, (log_in(app, "ada"), log_in(app, "lin"))))

    theirs = article_client.application
    right = [ACCOUNTS["ada"], ACCOUNTS["lin"]]
    assert in_new_threads(theirs) == right  # as in development, with "flask run"
    assert in_a_thread_of_a_pool(theirs) == [ACCOUNTS["ada"], ACCOUNTS["ada"]]  # in production
    assert in_new_threads(app) == in_a_thread_of_a_pool(app) == right


# Outside a request


def test_a_command_says_whose_bot_it_needs(app: Flask) -> None:
    assert app.test_cli_runner().invoke(args=["whoami", "lin"]).output == "林徽因\n"
    unknown = app.test_cli_runner().invoke(args=["whoami", "bob"])
    assert (unknown.exit_code, unknown.output) == (1, "Error: There is no login bob.\n")


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
