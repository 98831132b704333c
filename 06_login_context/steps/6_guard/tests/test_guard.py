"""What the guard refuses, beside the article's version, which refuses nothing."""

import re
from typing import Any

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient

import guard
from wx import ACCOUNTS

# What a browser sends along when a page on another port of this host submits a form.
FROM_ANOTHER_PORT = {"Origin": "http://localhost:8306", "Sec-Fetch-Site": "same-site"}


def name(client: FlaskClient) -> str:
    found = re.search('<strong id="name">(.+?)</strong>', client.get("/").text)
    assert found
    return found[1]


def without_cookies(client: FlaskClient) -> FlaskClient:
    return client.application.test_client(use_cookies=False)


@pytest.mark.parametrize("version", ["client", "article_client"])
def test_whoever_logs_in_is_known_until_the_logout(
    version: str, request: pytest.FixtureRequest
) -> None:
    client: FlaskClient = request.getfixturevalue(version)
    assert name(client) == "nobody"
    assert client.post("/login/ada").location == "/"
    assert name(client) == ACCOUNTS["ada"]
    assert client.post("/logout").location == "/"
    assert name(client) == "nobody"
    assert client.post("/login/nobodys").status_code == 404


# The origin


def form_of(page: str) -> str:
    """Return where the form of the stranger's page is sent to: a path of the victim."""
    found = re.search('<form method="post" action="http://localhost:[0-9]+(/[^"]*)"', page)
    assert found
    return found[1]


def test_trap_a_form_of_another_origin_logs_out(
    client: FlaskClient, article_client: FlaskClient, stranger_client: FlaskClient
) -> None:
    for victim in (article_client, client):
        victim.post("/login/ada")
    path = form_of(stranger_client.get("/article").text)
    assert article_client.post(path, headers=FROM_ANOTHER_PORT).status_code == 303
    assert name(article_client) == "nobody"

    path = form_of(stranger_client.get("/app").text)
    answer = client.post(path, headers=FROM_ANOTHER_PORT)
    assert (answer.status_code, name(client)) == (403, ACCOUNTS["ada"])
    assert "This page may not write here." in answer.text


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),  # curl
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://hidden.by.a.proxy"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, False),
        ({"Origin": "http://localhost"}, True),  # over http, where there's no Sec-Fetch-Site
        ({"Origin": "http://localhost:8306"}, False),
        ({"Origin": "https://localhost"}, False),
        ({"Origin": "null"}, False),
    ],
    ids=str,
)
def test_only_our_own_pages_and_programs_may_write(
    client: FlaskClient, headers: dict[str, str], allowed: bool
) -> None:
    assert client.post("/login/ada", headers=headers).status_code == (303 if allowed else 403)


@pytest.mark.parametrize("url", ["https://desk.example/app/", "HTTPS://Desk.Example"])
def test_our_origin_is_that_of_public_url(client: FlaskClient, url: str) -> None:
    client.application.config["PUBLIC_URL"] = url
    for origin, status in {"https://desk.example": 303, "http://localhost": 403}.items():
        assert client.post("/login/ada", headers={"Origin": origin}).status_code == status


def test_credentials_without_origins_let_nobody_write(client: FlaskClient) -> None:
    client.application.config["CORS_CREDENTIALS"] = True
    headers = {"Origin": "http://localhost:5173"}
    assert client.post("/login/ada", headers=headers).status_code == 403


def test_friends_may_write_if_they_may_use_the_cookie(client: FlaskClient) -> None:
    headers = {"Origin": "http://localhost:5173"}
    config: Any = client.application.config
    config.update(CORS_ORIGINS=["http://localhost:5173"])
    assert client.post("/login/ada", headers=headers).status_code == 403
    config.update(CORS_CREDENTIALS=True)
    assert client.post("/login/ada", headers=headers).status_code == 303


# The login


def test_trap_a_new_view_is_open(client: FlaskClient, article_client: FlaskClient) -> None:
    assert article_client.get("/v1/accounts").json == ACCOUNTS
    assert client.get("/v1/accounts").status_code == 401
    client.post("/login/ada")
    assert client.get("/v1/accounts").json == ACCOUNTS


def test_an_unknown_url_stays_a_404(client: FlaskClient) -> None:
    assert client.get("/v2/accounts").status_code == 404
    assert client.get("/logout").status_code == 405


def test_options_needs_no_login(client: FlaskClient) -> None:
    assert client.options("/v1/accounts").status_code == 200


def test_a_view_that_answers_options_itself_needs_one(client: FlaskClient) -> None:
    app = client.application
    app.add_url_rule("/v1/secret", "secret", lambda: "a secret", methods=["OPTIONS"])
    assert client.options("/v1/secret").status_code == 401


def test_the_guard_works_without_the_rest_of_the_chapter() -> None:
    app = Flask("yours")
    guard.init_app(app, lambda: abort(401), public=["open"])
    app.add_url_rule("/open", "open", lambda: "open")
    app.add_url_rule("/closed", "closed", lambda: "closed")
    client = app.test_client()
    assert [client.get(path).status_code for path in ("/open", "/closed")] == [200, 401]


# The host


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost:8106", True),
        ("127.0.0.1:8106", True),
        ("192.168.1.7:8106", True),
        ("[::1]:8106", True),
        ("evil.example:8106", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_another_name_that_leads_here_is_refused(
    client: FlaskClient, article_client: FlaskClient, host: str, ours: bool
) -> None:
    assert article_client.get("/", headers={"Host": host}).status_code == 200
    assert client.get("/", headers={"Host": host}).status_code == (200 if ours else 400)


def test_other_names_are_in_the_settings(client: FlaskClient) -> None:
    config = client.application.config

    def asked(host: str) -> int:
        return client.get("/", headers={"Host": host}).status_code

    config["PUBLIC_URL"] = "https://desk.example"
    assert [asked("desk.example"), asked("desk.lan"), asked("localhost")] == [200, 400, 200]
    config["TRUSTED_HOSTS"] = ["desk.lan"]
    assert [asked("desk.example"), asked("desk.lan"), asked("localhost")] == [400, 200, 400]


# Cookies


def test_two_cookies_of_our_name_are_refused(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    planted = {"Cookie": "article=planted; article=mine; session=planted; session=mine"}
    assert without_cookies(article_client).get("/", headers=planted).status_code == 200
    assert without_cookies(client).get("/", headers=planted).status_code == 400
    planted = {"Cookie": "remember_token=planted; remember_token=mine"}  # Flask-Login's
    assert without_cookies(client).get("/", headers=planted).status_code == 400
    client.application.config["REMEMBER_COOKIE_NAME"] = "me"
    assert without_cookies(client).get("/", headers=planted).status_code == 200
    planted = {"Cookie": "me=planted; me=mine"}
    assert without_cookies(client).get("/", headers=planted).status_code == 400
    other = {"Cookie": "session=mine; other=1; other=2"}
    assert without_cookies(client).get("/", headers=other).status_code == 200


# Headers


def test_frames_and_caches_are_kept_out(client: FlaskClient) -> None:
    page = client.get("/")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/static/step.css").headers["Cache-Control"] == "no-cache"


def test_a_policy_of_yours_takes_the_place_of_ours(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = client.application
    monkeypatch.setitem(
        app.view_functions, "index", lambda: ("", {"Content-Security-Policy": "a view's"})
    )
    monkeypatch.setattr(guard, "POLICY", "the app's")
    assert client.get("/").headers["Content-Security-Policy"] == "a view's"
    page = client.post("/login/ada", headers={"Origin": "null"})
    assert page.headers["Content-Security-Policy"] == "the app's"
