"""A page with a code, a phone that confirms it, and who is logged in then."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis, WatchError
from redis.client import Pipeline

from app import create_app
from scan import change_state, token_for
from wx import ACCOUNTS


def open_page(client: FlaskClient) -> tuple[str, str]:
    """Return the page's key, and the path of the link in its QR code."""
    text = client.get("/").text
    found = re.search(r'data-key="([^"]+)".*href="http://localhost(/scan/[^"]+)"', text, re.DOTALL)
    assert found
    return found[1], found[2]


def answer(app: Flask, link: str, action: str = "confirmed", account: str = "ada") -> int:
    """Return the status that a phone gets."""
    form = {"action": action, "account": account}
    return app.test_client().post(link, data=form).status_code


def state(client: FlaskClient, link: str) -> str:
    response: Any = client.get(link.replace("/scan/", "/code/")).json
    return str(response["state"])


def claim(client: FlaskClient, key: str) -> int:
    return client.post("/login", data={"key": key}).status_code


def login_id(client: FlaskClient) -> str:
    with client.session_transaction() as session:
        return str(session["login"])


def greeted(client: FlaskClient) -> list[str]:
    """Return the names of those whom the page greets."""
    text = client.get("/").text
    return [name for name in ACCOUNTS.values() if f'<span id="name">{name}</span>' in text]


# The page and the phone


def test_a_phone_logs_the_page_in(app: Flask, client: FlaskClient) -> None:
    key, link = open_page(client)
    assert (state(client, link), claim(client, key)) == ("pending", 401)
    assert answer(app, link, account="lin") == 200
    assert state(client, link) == "confirmed"
    assert greeted(client) == []
    assert claim(client, key) == 200
    assert greeted(client) == [ACCOUNTS["lin"]]


def test_a_logout_ends_the_login_and_makes_the_key_worthless(
    app: Flask, client: FlaskClient
) -> None:
    key, link = open_page(client)
    answer(app, link)
    claim(client, key)
    assert client.post("/logout").location == "/"
    assert greeted(client) == []
    assert claim(client, key) == 401


def test_the_phone_sees_who_asks(app: Flask, client: FlaskClient) -> None:
    _, link = open_page(client)
    page = app.test_client().get(link)
    assert page.status_code == 200
    assert "A browser at 127.0.0.1 asks" in page.text


def test_what_the_code_shows_claims_nothing(app: Flask, client: FlaskClient) -> None:
    key, link = open_page(client)
    token = link.removeprefix("/scan/")
    assert token == token_for(key)
    assert key not in app.test_client().get(link).text
    answer(app, link)
    assert claim(app.test_client(), token) == 401
    assert claim(client, key) == 200


def test_a_preview_of_the_link_is_no_scan(app: Flask, client: FlaskClient) -> None:
    _, link = open_page(client)
    page = app.test_client().get(link)
    assert state(client, link) == "pending"
    assert "/static/scan.js" in page.text  # which sends what follows, once a browser shows the page
    assert answer(app, link, "scanned") == 200
    assert state(client, link) == "scanned"


def test_a_code_works_once(app: Flask, client: FlaskClient) -> None:
    _, link = open_page(client)
    assert [answer(app, link), answer(app, link, "cancelled")] == [200, 410]
    assert answer(app, link, "scanned") == 410
    assert state(client, link) == "confirmed"
    assert "Too late" in app.test_client().get(link).text


def test_nobody_is_logged_in_by_a_code_that_was_cancelled(app: Flask, client: FlaskClient) -> None:
    key, link = open_page(client)
    assert answer(app, link, "cancelled") == 200
    assert answer(app, link) == 410
    assert claim(client, key) == 401


@pytest.mark.parametrize(
    ("action", "account"), [("confirmed", ""), ("confirmed", "eve"), ("expired", "ada")]
)
def test_an_answer_that_is_none_is_400(
    app: Flask, client: FlaskClient, action: str, account: str
) -> None:
    _, link = open_page(client)
    assert answer(app, link, action, account) == 400
    assert state(client, link) == "pending"


def test_a_code_expires(config: dict[str, Any]) -> None:
    app = create_app({**config, "LOGIN_TTL": 1})
    client = app.test_client()
    _, link = open_page(client)
    deadline = time.monotonic() + 30
    while state(client, link) != "expired":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer(app, link) == 410
    assert state(client, link) == "expired"


def test_a_code_is_good_for_two_minutes_by_default(app: Flask, client: FlaskClient) -> None:
    app.config.pop("LOGIN_TTL", None)
    _, link = open_page(client)
    code: Any = client.get(link.replace("/scan/", "/code/")).json
    assert 0 < code["left"] <= 120


def test_a_page_may_claim_again_if_the_response_was_lost(app: Flask, client: FlaskClient) -> None:
    key, link = open_page(client)
    answer(app, link)
    lost = app.test_client()
    assert [claim(lost, key), claim(client, key)] == [200, 200]
    assert login_id(lost) == login_id(client)


def test_a_login_that_no_page_claims_is_dropped(
    app: Flask, client: FlaskClient, config: dict[str, Any]
) -> None:
    key, link = open_page(client)
    answer(app, link)
    with Redis.from_url(config["REDIS_URL"], decode_responses=True) as redis:
        unclaimed = redis.hget(f"scan:{token_for(key)}", "login")
        seconds: Any = redis.ttl(f"login:{unclaimed}")
        assert 0 < seconds <= 1200
        claim(client, key)
        seconds = redis.ttl(f"login:{unclaimed}")
    assert seconds > 1200
    assert unclaimed == login_id(client)


def test_of_too_many_logins_of_an_account_the_oldest_ends(app: Flask) -> None:
    app.config["LOGINS_PER_ACCOUNT"] = 2
    pages = [app.test_client() for _ in range(3)]
    for page in pages:
        key, link = open_page(page)
        assert answer(app, link, account="omar") == 200
        assert claim(page, key) == 200
    assert [greeted(page) for page in pages] == [[], [ACCOUNTS["omar"]], [ACCOUNTS["omar"]]]


def test_the_page_links_to_both_versions(
    app: Flask, article_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "8000")
    monkeypatch.setenv("ARTICLE_PORT", "8100")
    for one, port in ((app, 8000), (article_app, 8100)):
        text = one.test_client().get("/").text
        assert f'href="http://localhost:{port}/" aria-current="true"' in text
        assert text.count('aria-current="true"') == 1


# What goes wrong


def test_trap_one_picture_for_all_visitors_logs_them_all_in(app: Flask, article_app: Flask) -> None:
    def greeted_visitors(app: Flask) -> list[list[str]]:
        """Let Ada log in, beside another visitor who has the page open."""
        ada, other = app.test_client(), app.test_client()
        key, link = open_page(ada)
        others_key, _ = open_page(other)
        answer(app, link)
        claim(ada, key)
        claim(other, others_key)
        return [greeted(ada), greeted(other)]

    assert greeted_visitors(article_app) == [[ACCOUNTS["ada"]]] * 2
    assert greeted_visitors(app) == [[ACCOUNTS["ada"]], []]


def test_trap_two_phones_at_once_are_both_told_that_they_have_confirmed(
    app: Flask, article_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(app: Flask) -> list[int]:
        _, link = open_page(app.test_client())
        with ThreadPoolExecutor(2) as phones:
            return sorted(phones.map(lambda who: answer(app, link, account=who), ["ada", "lin"]))

    assert any(told(article_app) == [200, 200] for _ in range(10))

    # Let both phones read the code before either of them writes.
    hgetall, both, waiting = Pipeline.hgetall, Barrier(2), [1, 2]

    def read(pipe: Pipeline, name: str) -> Any:
        fields = hgetall(pipe, name)
        if waiting:
            waiting.pop()
            both.wait(timeout=30)
        return fields

    monkeypatch.setattr(Pipeline, "hgetall", read)
    assert told(app) == [200, 410]
    assert not waiting


def test_a_confirmation_whose_response_from_redis_was_lost_is_still_this_phones(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = open_page(client)
    execute = Pipeline.execute
    lost: list[Any] = []

    def lose_one(pipe: Pipeline, *args: Any) -> Any:
        """Let Redis execute the transaction, and its response be lost: redis-py tries again."""
        result = execute(pipe, *args)
        if not lost:
            lost.append(result)
            raise WatchError("as redis-py says when a response is lost while it watches a key")
        return result

    monkeypatch.setattr(Pipeline, "execute", lose_one)
    with app.app_context():
        assert change_state(token_for(key), "confirmed", "ada")
    assert lost
