"""A login that every process knows, beside one in a dict."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis, RedisError

import logins
from app import create_app
from deploy.secret_key import shared_key
from wx import ACCOUNTS


class Browser:
    """A client of the real server, with a cookie of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()))

    def post(self, path: str) -> None:
        self.opener.open(self.address + path, data=b"").close()

    def ask(self) -> dict[int, str | None]:
        """Ask until two processes have answered; return whom each of them knows."""
        names: dict[int, str | None] = {}
        for _ in range(1000):
            with self.opener.open(f"{self.address}/me") as response:
                answer = json.load(response)
            names[answer["process"]] = answer["name"]
            if len(names) == 2:
                return names
        raise AssertionError("only one process has answered")


def login_id(client: FlaskClient) -> str:
    with client.session_transaction() as session:
        return str(session["login"])


def name(client: FlaskClient) -> str | None:
    answer: Any = client.get("/me").json
    assert (answer["name"] or "nobody") in client.get("/").text
    name: str | None = answer["name"]
    return name


def test_a_login_is_known_until_it_ends(client: FlaskClient) -> None:
    assert name(client) is None
    assert client.post("/login/lin").location == "/"
    assert name(client) == ACCOUNTS["lin"]
    assert client.post("/logout").location == "/"
    assert name(client) is None


def test_each_browser_has_a_login_of_its_own(app: Flask) -> None:
    here, there = app.test_client(), app.test_client()
    here.post("/login/ada")
    there.post("/login/ada")
    here.post("/logout")
    assert (name(here), name(there)) == (None, ACCOUNTS["ada"])


def test_a_new_login_ends_the_one_before(app: Flask, client: FlaskClient) -> None:
    client.post("/login/ada")
    before = login_id(client)
    client.post("/login/lin")
    result = app.test_cli_runner().invoke(args=["whoami", before])
    assert result.output == f"Error: There is no login {before}.\n"


def test_without_an_account_it_is_no_login(client: FlaskClient, redis_url: str) -> None:
    assert client.post("/login/nobody").status_code == 404
    for data in ({"name": "of an older version"}, {"account": ""}, {"account": "nobody"}):
        with client.session_transaction() as session, Redis.from_url(redis_url) as redis:
            session["login"] = token_hex()
            redis.hset(f"login:{session['login']}", mapping=data)
        assert name(client) is None


def test_logins_that_nobody_claims_do_not_fill_the_list(app: Flask) -> None:
    with app.app_context():
        for _ in range(100):
            logins.store(token_hex(), "omar", logins.redis)
        assert logins.redis.llen("logins:omar") == 41
        logins.redis.delete("logins:omar")


def test_a_key_of_another_app_does_not_hide_who_is_logged_in(app: Flask) -> None:
    with app.app_context():
        logins.redis.incr("logins:today")
        logins.create("omar")
        assert "omar" in logins.accounts()
        logins.redis.delete("logins:today")


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
    client.post("/login/ada")
    cookie = client.get_cookie("session")
    assert cookie
    article_client.set_cookie("session", cookie.value)  # it goes to every port of the host
    article_client.post("/login/lin")
    kept = article_client.get_cookie("session")
    assert kept and kept.value == cookie.value
    assert (name(client), name(article_client)) == (ACCOUNTS["ada"], ACCOUNTS["lin"])


def test_a_command_knows_the_login_too(app: Flask, client: FlaskClient) -> None:
    client.post("/login/lin")
    assert app.test_cli_runner().invoke(args=["whoami", login_id(client)]).output == "林徽因\n"


def test_without_redis_it_is_503_and_says_when_to_retry(tmp_path: Path) -> None:
    config = {"SECRET_KEY": token_hex(), "REDIS_URL": f"unix://{tmp_path}/nothing"}
    client = create_app(config).test_client()
    assert client.get("/me").status_code == 200  # nobody has to ask Redis about this visitor
    with client.session_transaction() as session:
        session["login"] = token_hex()
    for response in (client.get("/me"), client.post("/login/ada")):
        assert (response.status_code, response.headers["Retry-After"]) == (503, "2")


def test_a_redis_that_never_responds_is_503() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        client = create_app({"SECRET_KEY": token_hex(), "REDIS_URL": url}).test_client()
        by_default = Redis.from_url(url)
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(by_default.ping)
            assert [client.post("/login/ada").status_code for _ in range(2)] == [503, 503]
            assert waits.running()  # both together took less than one does by default
            silent.shutdown(socket.SHUT_RDWR)
            assert isinstance(waits.exception(), RedisError)


# Two processes


def test_trap_a_dict_belongs_to_one_process(servers: tuple[str, str]) -> None:
    theirs, ours = map(Browser, servers)
    for browser in (theirs, ours):
        browser.post("/login/ada")
    assert set(theirs.ask().values()) == {ACCOUNTS["ada"], None}
    assert set(ours.ask().values()) == {ACCOUNTS["ada"]}


def test_trap_a_logout_in_one_process_leaves_the_login_in_the_other(
    servers: tuple[str, str],
) -> None:
    theirs, ours = map(Browser, servers)

    def known_after_logout(browser: Browser) -> set[str | None]:
        browser.post("/login/ada")
        browser.post("/logout")
        return set(browser.ask().values())

    # It depends on which process gets the request, and with it, on luck.
    assert any(ACCOUNTS["ada"] in known_after_logout(theirs) for _ in range(50))
    assert all(known_after_logout(ours) == {None} for _ in range(10))


def test_trap_a_process_with_another_key_refuses_the_cookie(redis_url: str, tmp_path: Path) -> None:
    def names(*keys: str) -> list[str | None]:
        here, there = (
            create_app({"SECRET_KEY": key, "REDIS_URL": redis_url}).test_client() for key in keys
        )
        here.post("/login/ada")
        cookie = here.get_cookie("session")
        assert cookie
        there.set_cookie("session", cookie.value)
        return [name(here), name(there)]

    assert names(token_hex(), token_hex()) == [ACCOUNTS["ada"], None]
    assert names(shared_key(tmp_path), shared_key(tmp_path)) == [ACCOUNTS["ada"]] * 2


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        [key] = set(pool.map(shared_key, [tmp_path / "instance"] * 8))
    assert len(key) == 64
    [file] = (tmp_path / "instance").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600  # nobody else may read it
