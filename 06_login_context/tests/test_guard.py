"""What a request has to pass before a view runs: its host, its cookies, its origin, its login."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app import PUBLIC
from conftest import Desk

LogIn = Callable[..., FlaskClient]
FOREIGN = {"Origin": "http://localhost.evil.example"}
FRIEND = "http://localhost:5173"


def result(answer: Any) -> tuple[int, int]:
    return answer.status_code, answer.json["error_code"]


def new_code(client: FlaskClient, **headers: str) -> Any:
    """Send a write that needs no login: ask for a code."""
    return client.post("/j/login/qr", headers={k.replace("_", "-"): v for k, v in headers.items()})


def cookie(client: FlaskClient) -> str:
    found = client.get_cookie("desk")
    assert found
    return found.value


@pytest.fixture
def ada(app: Flask, log_in: LogIn) -> FlaskClient:
    return log_in(app, "ada")


# The login


def test_every_view_needs_a_login_unless_it_is_open_by_name(
    app: Flask, client: FlaskClient
) -> None:
    closed = [rule for rule in app.url_map.iter_rules() if rule.endpoint not in PUBLIC]
    assert "messages.send" in [rule.endpoint for rule in closed]
    for rule in closed:
        path = re.sub(r"<any\((\w+)[^>]*>|<[^>]*>", r"\1", rule.rule)
        for method in (rule.methods or set()) - {"OPTIONS"}:
            answer = client.open(path, method=method)
            assert answer.status_code == 401, f"{method} {path}"
            assert method == "HEAD" or result(answer) == (401, 1008)


def test_what_is_open_by_name_is_there(app: Flask) -> None:
    assert set(PUBLIC) <= set(app.view_functions)


def test_a_new_view_is_closed_wherever_it_is(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/v1/secret", "secret", lambda: "secret")
    assert client.get("/v1/secret").status_code == 401


def test_an_unknown_url_is_404_without_a_login(client: FlaskClient) -> None:
    assert result(client.get("/j/nope")) == (404, 1003)
    assert client.get("/loginx").status_code == 404
    assert result(client.delete("/j/me")) == (405, 1007)


def test_a_session_without_an_account_is_no_login(app: Flask, desk: Desk) -> None:
    client = app.test_client()
    desk.redis.hset("login:of-an-older-version", "bot", "ada")
    with client.session_transaction() as session:
        session["login"] = "of-an-older-version"
    assert result(client.get("/j/users")) == (401, 1008)


@pytest.mark.parametrize("path", ["/j/me", "/j/messages", "/uploads", "/stream"])
def test_options_needs_no_login(client: FlaskClient, path: str) -> None:
    assert client.options(path, headers=FOREIGN).status_code == 200


# The origin


@pytest.mark.parametrize(
    "path", ["/j/login/qr", "/j/login", "/j/logout", "/j/messages", "/uploads"]
)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "x"])
def test_writes_from_a_foreign_page_are_1001(ada: FlaskClient, path: str, origin: str) -> None:
    assert result(ada.post(path, headers={"Origin": origin})) == (403, 1001)


def test_a_foreign_page_cannot_press_the_phones_button(app: Flask, client: FlaskClient) -> None:
    code, phone = new_code(client).json, app.test_client()
    form = {"account": "ada", "action": "confirm"}
    url = f"/scan/{code['uuid']}"
    assert phone.post(url, data=form, headers=FOREIGN).status_code == 403
    assert phone.post(url, data=form).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:81"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:81"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    ],
    ids=str,
)
def test_what_is_not_this_very_origin_is_foreign(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    assert result(client.post("/j/login/qr", headers=headers)) == (403, 1001)


def test_our_own_page_and_programs_may_write(client: FlaskClient) -> None:
    assert new_code(client).status_code == 201
    assert new_code(client, Origin="http://localhost").status_code == 201
    assert new_code(client, Origin="http://[::1]:1", Host="[::1]:1").status_code == 201
    assert new_code(client, Sec_Fetch_Site="same-origin").status_code == 201
    assert new_code(client, Sec_Fetch_Site="none").status_code == 201


def test_a_friendly_origin_may_write_only_with_credentials(desk: Desk) -> None:
    def write(origin: str, **config: Any) -> int:
        answer = new_code(desk.app(**config).test_client(), Origin=origin)
        return int(answer.status_code)

    assert write(FRIEND) == 403
    assert write(FRIEND, CORS_ORIGINS=[FRIEND]) == 403
    for friends in ([FRIEND], FRIEND):
        assert write(FRIEND, CORS_ORIGINS=friends, CORS_CREDENTIALS=True) == 201
        assert write(FRIEND[:-1], CORS_ORIGINS=friends, CORS_CREDENTIALS=True) == 403
        assert write("http://localhost", CORS_ORIGINS=friends, CORS_CREDENTIALS=True) == 201


@pytest.mark.parametrize("public", ["https://desk.example", "https://desk.example/app/"])
def test_behind_a_proxy_that_rewrites_the_host_our_origin_is_that_of_public_url(
    desk: Desk, public: str
) -> None:
    client = desk.app(PUBLIC_URL=public).test_client()
    host = {"Host": "127.0.0.1:8106"}
    assert new_code(client, Origin="https://desk.example", **host).status_code == 201
    assert new_code(client, Origin="http://127.0.0.1:8106", **host).status_code == 403


# The host


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8106", "127.0.0.1:8106", "[::1]:8106", "[::1]", "192.168.1.7:8106"],
)
def test_localhost_and_addresses_are_ours(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


FOREIGN_HOSTS = ["evil.example", "evil.example:8106", "localhost.evil.example", "my_desk", ""]
FOREIGN_HOSTS += ["127.0.0.1.evil.example", "[:::::]", "[::1].evil.example", "1.2.3.4.5", "xn--a"]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("path", ["/", "/j/me", "/j/login/qr/x", "/static/app.js", "/stream"])
def test_another_name_reads_nothing(app: Flask, ada: FlaskClient, host: str, path: str) -> None:
    headers = Headers({"Host": host, "Cookie": f"desk={cookie(ada)}"})
    environ = EnvironBuilder(path=path, headers=headers).get_environ()
    body, status, _ = run_wsgi_app(app, environ)  # a test client can't have all of these hosts
    assert (status[:3], b"TRUSTED_HOSTS" in b"".join(body)) == ("400", True)


def test_the_refusal_is_in_the_format_of_the_api_and_no_traceback(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for app in (desk.app(), desk.app(TRUSTED_HOSTS=["desk.example"])):
        for path in ("/j/me", "/uploads"):
            answer: Any = app.test_client().post(path, headers={"Host": "evil.example"})
            assert result(answer) == (400, 1007)
            assert "evil.example" in answer.json["msg"]
        page = app.test_client().get("/", headers={"Host": "evil.example", "Accept": "text/html"})
        assert (page.status_code, page.mimetype) == (400, "text/html")
    assert caplog.text == ""


def test_the_host_of_public_url_is_ours_and_names_in_trusted_hosts(desk: Desk) -> None:
    def asked(host: str, **config: Any) -> int:
        return desk.app(**config).test_client().get("/", headers={"Host": host}).status_code

    public = {"PUBLIC_URL": "https://desk.example:8443/app"}
    assert asked("desk.example") == 400
    assert asked("desk.example", **public) == asked("127.0.0.1", **public) == 200
    names = {"TRUSTED_HOSTS": ["desk.lan", ".desks.lan"]}
    assert [asked(host, **names) for host in ("desk.lan:8106", "a.desks.lan")] == [200, 200]
    assert asked("evil.example", **names) == asked("desk.example", **names) == 400
    assert asked("desk.example", **names, **public) == asked("desk.lan", **names, **public) == 200


# Behind proxies


def test_proxies_tell_the_address_of_the_browser(desk: Desk) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    headers |= {"X-Forwarded-Host": "desk.example", "X-Forwarded-Prefix": "/app"}
    app = desk.app(PROXIES=1, TRUSTED_HOSTS=["desk.example"])
    made: Any = app.test_client().post("/j/login/qr", headers=headers).json
    assert made["scan_url"].startswith("https://desk.example/app/scan/")
    page = app.test_client().get(f"/scan/{made['uuid']}", headers=headers)
    assert "203.0.113.9" in page.text


def test_without_proxies_nothing_that_was_forwarded_is_believed(client: FlaskClient) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    headers |= {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/app"}
    made: Any = client.post("/j/login/qr", headers=headers).json
    assert made["scan_url"].startswith("http://localhost/scan/")
    assert "127.0.0.1" in client.get(f"/scan/{made['uuid']}").text


# Cookies


def test_two_cookies_of_our_name_are_refused(app: Flask, ada: FlaskClient, log_in: LogIn) -> None:
    client = app.test_client(use_cookies=False)
    mine, planted = cookie(ada), cookie(log_in(app, "lin"))
    for path in ("/j/me", "/j/users", "/stream", "/"):
        answer = client.get(path, headers={"Cookie": f"desk={planted}; desk={mine}"})
        assert answer.status_code == 400, path
        assert "Delete the cookies of this site" in answer.text
    for name, status in {"remember_token": 400, "other": 200}.items():
        twice = {"Cookie": f"{name}=1; desk={mine}; {name}=2"}
        assert client.get("/j/me", headers=twice).status_code == status


# What every answer carries


def test_headers_keep_scripts_and_the_token_in(client: FlaskClient) -> None:
    page = client.get(f"/scan/{new_code(client).json['uuid']}")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cache-Control"] == "no-store"
    assert client.get("/j/me").headers["Cache-Control"] == "no-store"
    assert re.findall("<script[^>]*>", page.text) == ['<script src="/static/scan.js" defer>']
    assert not re.search("<style|style=| on[a-z]+=", page.text)


def test_what_a_view_says_about_caches_stays(app: Flask, ada: FlaskClient) -> None:
    assert "no-store" not in ada.get("/static/app.js").headers["Cache-Control"]
    stream = ada.get("/stream", buffered=False)
    assert stream.headers["Cache-Control"] == "no-cache, no-transform"
    stream.close()
