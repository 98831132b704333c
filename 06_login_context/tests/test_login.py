import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import segno
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

import config
from conftest import Desk, until
from sse import SSE

LogIn = Callable[..., FlaskClient]
FOREIGN = {"Origin": "http://localhost.evil.example"}


def code(client: FlaskClient, **kwargs: Any) -> dict[str, Any]:
    answer = client.post("/j/login/qr", **kwargs)
    assert answer.status_code == 201 and answer.json
    return dict(answer.json)


def scan(client: FlaskClient, uuid: str, action: str = "confirm", account: str = "ada") -> int:
    return client.post(f"/scan/{uuid}", data={"account": account, "action": action}).status_code


def result(answer: Any) -> tuple[int, int]:
    return answer.status_code, answer.json["error_code"]


def told(desk: Desk, client: FlaskClient) -> list[str]:
    """Return the types of the login events that this browser's channel has had."""
    with client.session_transaction() as session:
        channel = f"browser:{session['browser']}"
    return [json.loads(data)["type"] for data in desk.events(channel, "login")]


@pytest.fixture
def phone(app: Flask) -> FlaskClient:
    return app.test_client()


# The code


def test_a_code_says_all_that_the_page_needs(client: FlaskClient) -> None:
    answer = code(client)
    picture = client.get(answer["qr"])
    assert (picture.mimetype, picture.text[:4]) == ("image/svg+xml", "<?xm")
    assert answer["scan_url"] == f"http://localhost/scan/{answer['uuid']}"
    assert answer["expires_in"] == 120


def test_the_picture_is_for_the_browser_that_asked(app: Flask, client: FlaskClient) -> None:
    assert app.test_client().get(code(client)["qr"]).status_code == 404


def test_a_page_that_is_loaded_again_finds_its_code(app: Flask, client: FlaskClient) -> None:
    assert client.get("/j/login/qr").status_code == 404
    made = code(client)
    found = client.get("/j/login/qr").get_json()
    assert found["uuid"] == made["uuid"] and found["state"] == "pending"
    assert 100 < found["expires_in"] <= 120
    assert app.test_client().get("/j/login/qr").status_code == 404


def test_no_two_codes_are_the_same_and_each_has_128_bits(client: FlaskClient) -> None:
    uuids = [code(client)["uuid"] for _ in range(5)]
    assert len(set(uuids)) == 5
    assert all(len(uuid) * 6 >= 128 for uuid in uuids)


def test_public_url_is_what_the_code_carries(desk: Desk) -> None:
    client = desk.app(PUBLIC_URL="https://desk.example/app/").test_client()
    assert code(client)["scan_url"].startswith("https://desk.example/app/scan/")


@pytest.mark.parametrize(
    ("host", "listens", "local"),
    [
        ("localhost:8106", "0.0.0.0", False),
        ("127.0.0.1:8106", "0.0.0.0", False),
        ("localhost:8106", "127.0.0.1", True),
        ("desk.example", "0.0.0.0", True),
    ],
)
def test_a_loopback_host_becomes_one_that_a_phone_reaches_if_we_listen_there(
    client: FlaskClient, host: str, listens: str, local: bool
) -> None:
    server = {"SERVER_NAME": listens, "SERVER_PORT": "8106"}
    url = code(client, headers={"Host": host}, environ_overrides=server)["scan_url"]
    assert url.startswith(f"http://{host}/scan/") is local
    assert local or re.match(r"http://\d+\.\d+\.\d+\.\d+:8106/scan/", url)


# The phone


def test_the_phone_sees_who_asks(client: FlaskClient, phone: FlaskClient) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150 Safari/537.36"
    uuid = code(client, headers={"User-Agent": agent})["uuid"]
    page = phone.get(f"/scan/{uuid}")
    assert page.status_code == 200
    for text in ("Chrome on Linux", "127.0.0.1", "0 s ago", "Ada Lovelace", "林徽因"):
        assert text in " ".join(page.text.split())


def test_what_the_browser_says_of_itself_is_escaped(
    client: FlaskClient, phone: FlaskClient
) -> None:
    uuid = code(client, headers={"User-Agent": "Firefox/<script>"})["uuid"]
    assert "<script>" not in phone.get(f"/scan/{uuid}").text


def test_each_step_is_told_to_the_browser_that_waits(
    desk: Desk, client: FlaskClient, phone: FlaskClient
) -> None:
    uuid = code(client)["uuid"]
    phone.get(f"/scan/{uuid}")
    phone.get(f"/scan/{uuid}")
    assert scan(phone, uuid) == 200
    assert told(desk, client) == ["scanned", "confirmed"]


def test_a_preview_of_the_link_is_not_a_scan(
    desk: Desk, client: FlaskClient, phone: FlaskClient
) -> None:
    uuid = code(client)["uuid"]
    assert phone.head(f"/scan/{uuid}").status_code == 200
    assert phone.head("/scan/unknown").status_code == 404
    assert told(desk, client) == []
    phone.get(f"/scan/{uuid}")
    assert told(desk, client) == ["scanned"]


def test_cancelled_is_told_and_final(desk: Desk, client: FlaskClient, phone: FlaskClient) -> None:
    uuid = code(client)["uuid"]
    assert scan(phone, uuid, "cancel") == 200
    assert scan(phone, uuid) == 410
    assert told(desk, client) == ["cancelled"]
    assert result(client.post("/j/login")) == (400, 1004)


@pytest.mark.parametrize(("action", "account"), [("confirm", "eve"), ("approve", "ada"), ("", "")])
def test_a_choice_that_is_none_is_400_and_changes_nothing(
    client: FlaskClient, phone: FlaskClient, action: str, account: str
) -> None:
    uuid = code(client)["uuid"]
    assert scan(phone, uuid, action, account) == 400
    assert scan(phone, uuid) == 200


@pytest.mark.parametrize("token", ["nope", "%00", "%ff", "é", "a" * 2000])
def test_an_unknown_token_is_404(phone: FlaskClient, token: str) -> None:
    assert phone.get(f"/scan/{token}").status_code == 404
    assert scan(phone, token) == 404


def test_a_token_works_once(client: FlaskClient, phone: FlaskClient) -> None:
    uuid = code(client)["uuid"]
    assert [scan(phone, uuid), scan(phone, uuid), phone.get(f"/scan/{uuid}").status_code] == [
        200,
        410,
        410,
    ]


def test_of_many_phones_at_once_one_wins(desk: Desk, app: Flask, client: FlaskClient) -> None:
    for _ in range(5):
        uuid = code(client)["uuid"]

        def answer(n: int, uuid: str = uuid) -> int:
            return scan(app.test_client(), uuid, ("confirm", "cancel")[n % 2])

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(answer, range(8))) == [200] + [410] * 7
    assert len(told(desk, client)) == 5


def test_a_code_expires_and_the_browser_is_told_unasked(desk: Desk) -> None:
    app = desk.app(LOGIN_TTL=1)
    client = app.test_client()
    uuid = code(client)["uuid"]
    until(lambda: told(desk, client) == ["expired"])
    assert scan(app.test_client(), uuid) == 410


def test_a_phone_that_comes_too_late_expires_the_code_of_a_process_that_died(
    desk: Desk, client: FlaskClient, phone: FlaskClient
) -> None:
    uuid = code(client)["uuid"]
    desk.redis.hset(f"scan:{uuid}", "until", time.time() - 1)
    assert phone.get(f"/scan/{uuid}").status_code == 410
    assert scan(phone, uuid) == 410
    assert told(desk, client) == ["expired"]


def test_a_new_code_voids_the_one_before(
    desk: Desk, client: FlaskClient, phone: FlaskClient
) -> None:
    old, new = code(client)["uuid"], code(client)["uuid"]
    assert scan(phone, old) == 410
    assert scan(phone, new) == 200
    assert told(desk, client) == ["expired", "confirmed"]


def test_a_new_code_of_another_browser_voids_nothing(
    app: Flask, client: FlaskClient, phone: FlaskClient
) -> None:
    uuid = code(client)["uuid"]
    code(app.test_client())
    assert scan(phone, uuid) == 200


# Taking it up


def test_login_takes_up_what_the_phone_confirmed(client: FlaskClient, phone: FlaskClient) -> None:
    scan(phone, code(client)["uuid"], account="lin")
    answer = client.post("/j/login")
    user = {"id": "lin", "name": "林徽因", "account": "lin"}
    assert answer.json and answer.json["user"] == user
    me = client.get("/j/me").json
    assert me and (me["user"], me["ready"]) == (user, False)


def test_login_before_confirmation_is_1004(client: FlaskClient, phone: FlaskClient) -> None:
    assert result(client.post("/j/login")) == (400, 1004)
    uuid = code(client)["uuid"]
    assert result(client.post("/j/login")) == (400, 1004)
    phone.get(f"/scan/{uuid}")
    assert result(client.post("/j/login")) == (400, 1004)


def test_a_confirmation_is_useless_to_another_browser(
    app: Flask, client: FlaskClient, phone: FlaskClient
) -> None:
    other = app.test_client()
    code(other)
    scan(phone, code(client)["uuid"])
    assert result(other.post("/j/login")) == (400, 1004)
    assert result(phone.post("/j/login")) == (400, 1004)
    assert client.post("/j/login").status_code == 200


def test_a_confirmation_is_taken_up_once(client: FlaskClient, phone: FlaskClient) -> None:
    scan(phone, code(client)["uuid"])
    assert client.post("/j/login").status_code == 200
    assert result(client.post("/j/login")) == (400, 1004)


def test_two_tabs_that_log_in_at_once_share_one_login(
    app: Flask, client: FlaskClient, phone: FlaskClient
) -> None:
    scan(phone, code(client)["uuid"])
    cookie = client.get_cookie("desk")
    assert cookie
    tabs = [app.test_client() for _ in range(6)]
    for tab in tabs:
        tab.set_cookie("desk", cookie.value)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda tab: tab.post("/j/login").status_code, tabs))
    assert set(answers) <= {200, 400} and 200 in answers
    logins = set()
    for tab, status in zip(tabs, answers, strict=True):
        if status == 200:
            with tab.session_transaction() as session:
                logins.add(session["login"])
    assert len(logins) == 1


def test_the_sessions_id_changes_at_login(client: FlaskClient, phone: FlaskClient) -> None:
    scan(phone, code(client)["uuid"])
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"
        before = dict(session)
    client.post("/j/login")
    with client.session_transaction() as session:
        assert not set(before.values()) & set(session.values())


def test_a_planted_session_does_not_get_the_login(
    app: Flask, client: FlaskClient, phone: FlaskClient
) -> None:
    uuid = code(client)["uuid"]  # the attacker's cookie, planted in the victim's browser
    planted = client.get_cookie("desk")
    assert planted
    scan(phone, uuid)
    client.post("/j/login")
    attacker = app.test_client()
    attacker.set_cookie("desk", planted.value)
    assert attacker.get("/j/me").status_code == 401
    assert attacker.post("/j/login").status_code == 400


def test_logging_in_again_ends_the_login_before(
    desk: Desk, app: Flask, log_in: LogIn, phone: FlaskClient
) -> None:
    client = log_in(app)
    with client.session_transaction() as session:
        old = session["login"]
    scan(phone, code(client)["uuid"], account="lin")
    assert client.post("/j/login").status_code == 200
    assert desk.redis.exists(f"login:{old}") == 0
    assert [json.loads(data)["type"] for data in desk.events(f"login:{old}", "login")][
        -1
    ] == "logged_out"


def test_a_login_lasts_as_long_as_its_cookie(desk: Desk, app: Flask, log_in: LogIn) -> None:
    client = log_in(app)
    with client.session_transaction() as session:
        left = desk.redis.ttl(f"login:{session['login']}")
    assert app.permanent_session_lifetime.total_seconds() - 60 < left


def test_logout_ends_it_everywhere(desk: Desk, app: Flask, log_in: LogIn) -> None:
    client = log_in(app)
    with client.session_transaction() as session:
        login = session["login"]
    stolen = client.get_cookie("desk")
    assert client.post("/j/logout").status_code == 200 and stolen
    thief = app.test_client()
    thief.set_cookie("desk", stolen.value)
    assert result(thief.get("/j/me")) == (401, 1008)
    assert json.loads(desk.events(f"login:{login}")[-1]) == {"type": "logged_out"}
    [(_, event)] = desk.redis.xrevrange("events", count=1)
    assert event["last"] == "1"  # it ends the streams
    assert result(client.post("/j/logout")) == (401, 1008)


# Guard


NEED_LOGIN = (
    "GET /j/me, GET /j/users, GET /j/groups, GET /j/mps, GET /j/messages, GET /j/nope, "
    "GET /j/loginx, POST /j/messages, POST /j/logout, POST /uploads"
)


@pytest.mark.parametrize("request_line", NEED_LOGIN.split(", "))
def test_everything_but_login_needs_one(client: FlaskClient, request_line: str) -> None:
    method, path = request_line.split()
    assert result(client.open(path, method=method)) == (401, 1008)


@pytest.mark.parametrize(
    "path", ["/j/login/qr", "/j/login", "/j/logout", "/j/messages", "/uploads"]
)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "x"])
def test_writes_from_a_foreign_page_are_1001(
    app: Flask, log_in: LogIn, path: str, origin: str
) -> None:
    answer = log_in(app).post(path, headers={"Origin": origin})
    assert result(answer) == (403, 1001)


def test_a_foreign_page_cannot_press_the_phones_button(
    client: FlaskClient, phone: FlaskClient
) -> None:
    uuid = code(client)["uuid"]
    form = {"account": "ada", "action": "confirm"}
    assert phone.post(f"/scan/{uuid}", data=form, headers=FOREIGN).status_code == 403
    assert scan(phone, uuid) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:81"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Host": "my_desk"},
    ],
    ids=str,
)
def test_what_is_not_this_very_origin_is_foreign(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    assert client.post("/j/login/qr", headers=headers).status_code in (400, 403)


def test_of_many_who_take_one_code_up_one_is_logged_in(app: Flask, client: FlaskClient) -> None:
    scan(app.test_client(), code(client)["uuid"])
    cookie = client.get_cookie("desk")
    assert cookie

    def take(_: int) -> int:
        other = app.test_client()
        other.set_cookie("desk", cookie.value)
        return other.post("/j/login").status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(take, range(6))) == [200] + [400] * 5


def test_a_phone_that_invents_a_token_leaves_nothing(desk: Desk, phone: FlaskClient) -> None:
    before = set(desk.redis.keys("*:*"))
    assert scan(phone, "made-up") == 404
    assert set(desk.redis.keys("*:*")) == before


def test_our_own_page_and_programs_may_write(client: FlaskClient) -> None:
    code(client)
    code(client, headers={"Origin": "http://localhost"})
    code(client, headers={"Origin": "http://desk.example", "Host": "desk.example"})
    code(client, headers={"Sec-Fetch-Site": "same-origin"})


def test_a_friendly_origin_may_write_only_with_credentials(desk: Desk) -> None:
    origin = {"Origin": "http://localhost:5173"}
    assert desk.app().test_client().post("/j/login/qr", headers=origin).status_code == 403
    friendly = desk.app(CORS_CREDENTIALS=True).test_client()
    assert friendly.post("/j/login/qr", headers=origin).status_code == 201


def test_a_preflight_needs_no_login(client: FlaskClient) -> None:
    assert client.options("/j/messages", headers=FOREIGN).status_code == 200


def test_headers_keep_scripts_and_the_token_in(client: FlaskClient, phone: FlaskClient) -> None:
    page = phone.get(f"/scan/{code(client)['uuid']}")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cache-Control"] == "no-store"
    assert client.get("/j/me").headers["Cache-Control"] == "no-store"
    assert not re.search("<script|<style|style=| on[a-z]+=", page.text)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: FlaskClient) -> None:
    [cookie] = client.post("/j/login/qr").headers.getlist("Set-Cookie")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_trap_one_channel_for_all_logs_every_page_in(desk: Desk, app: Flask) -> None:
    ada, lin = app.test_client(), app.test_client()
    for client in (ada, lin):
        client.get("/")
    wrong = SSE()
    wrong.init_app(Flask("article"), app.extensions["redis"], lambda: ["login"])
    assert wrong.channels() == wrong.channels() == ["login"]  # whoever asks
    wrong.publish({"type": "logged_in", "user": "ada"}, type="login")
    assert len(desk.events("login")) == 1  # every open page hears it

    uuid = code(ada)["uuid"]
    with ada.session_transaction() as session:
        her_channel = f"browser:{session['browser']}"
    scan(app.test_client(), uuid)
    ada.post("/j/login")
    assert "logged_in" in desk.events(her_channel, "login")[-1]
    assert told(desk, lin) == []


def test_trap_one_picture_for_all_visitors_logs_the_wrong_one_in(
    app: Flask, tmp_path: Path
) -> None:
    file = tmp_path / "qr_code.svg"

    @app.get("/article/qr")
    def article() -> str:
        segno.make(secrets.token_hex()).save(str(file))
        return file.read_text()

    ada, lin = app.test_client(), app.test_client()
    shown = ada.get("/article/qr").text
    assert shown != lin.get("/article/qr").text == file.read_text()  # ada's code is gone
    mine, other = code(ada)["qr"], code(lin)["qr"]
    assert [ada.get(mine).status_code, lin.get(other).status_code] == [200, 200]
    assert [ada.get(other).status_code, lin.get(mine).status_code] == [404, 404]


def test_trap_a_frozen_redis_holds_every_request_for_a_minute(
    own_desk: Desk, log_in: LogIn
) -> None:
    client = log_in(own_desk.app())
    by_default = Redis(unix_socket_path=str(own_desk.folder / "s"))
    waits = threading.Thread(target=by_default.ping)
    with own_desk.frozen(seconds=4):
        waits.start()
        assert result(client.get("/j/me")) == (503, 1009)
        assert waits.is_alive()
    waits.join()
    assert client.get("/j/me").status_code == 200


def test_trap_a_cookie_renewed_by_every_answer_undoes_a_login(
    desk: Desk, phone: FlaskClient
) -> None:
    def cookies_after_login(app: Flask) -> bool:
        """Tell whether an answer that was under way meanwhile brings the old cookie back."""
        client = app.test_client()
        uuid = code(client)["uuid"]
        with client.session_transaction() as session:
            session.permanent = True
        answer = client.get("/")  # asked before, and imagine it arrives after, the login
        scan(phone, uuid)
        client.post("/j/login")
        return "Set-Cookie" in answer.headers

    assert cookies_after_login(desk.app(SESSION_REFRESH_EACH_REQUEST=True))
    assert not cookies_after_login(desk.app())


# Redis or the broker away


def test_with_redis_away_the_api_is_1009_and_nobody_is_logged_out(
    own_desk: Desk, log_in: LogIn
) -> None:
    app = own_desk.app()
    client = log_in(app)
    before = client.get_cookie("desk")
    own_desk.server.stop()
    for method, path in [("GET", "/j/me"), ("GET", "/j/users"), ("POST", "/j/login/qr"),
                         ("POST", "/j/login"), ("POST", "/j/logout"), ("POST", "/j/messages"),
                         ("GET", "/j/messages"), ("GET", "/stream")]:  # fmt: skip
        answer = client.open(path, method=method)
        assert result(answer) == (503, 1009), path
        assert answer.headers["Retry-After"] == "2"
        assert "Set-Cookie" not in answer.headers
    own_desk.server.start()
    assert client.get_cookie("desk") == before
    assert client.get("/j/me").status_code == 200


def test_with_redis_frozen_an_answer_comes_all_the_same(own_desk: Desk, log_in: LogIn) -> None:
    client = log_in(own_desk.app())
    os.kill(own_desk.server._process.pid, signal.SIGSTOP)  # SIGSTOP: it accepts, and never answers
    try:
        assert result(client.get("/j/me")) == (503, 1009)
    finally:
        os.kill(own_desk.server._process.pid, signal.SIGCONT)
    assert client.get("/j/me").status_code == 200


# Without gevent, a socket whose backlog is full is a ConnectionError at once.
ASK_LIKE_GUNICORN = """
from gevent import monkey; monkey.patch_all()
import sys
import ext, redis
try:
    ext.make_redis(sys.argv[1]).ping()
except redis.TimeoutError:
    print("TimeoutError")
"""


def test_a_redis_whose_backlog_is_full_is_a_timeout() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as sockets:
        path = f"{folder}/socket"
        server = sockets.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(path)
        server.listen(0)
        with suppress(BlockingIOError):
            for _ in range(10):
                client = sockets.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(path)
        command = [sys.executable, "-c", ASK_LIKE_GUNICORN, f"unix://{path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "TimeoutError\n", done.stderr


def test_with_redis_away_the_phone_gets_a_page(own_desk: Desk) -> None:
    client = own_desk.app().test_client()
    own_desk.server.stop()
    page = client.get("/scan/x")
    assert (page.status_code, page.mimetype) == (503, "text/html")


@pytest.mark.parametrize("frozen", [False, True])
def test_with_the_broker_away_the_confirmation_stays_usable(
    desk: Desk, own_desk: Desk, frozen: bool
) -> None:
    app = desk.app(CELERY_BROKER_URL=config.broker_url(own_desk.url))
    client = app.test_client()
    scan(app.test_client(), code(client)["uuid"])
    if frozen:
        os.kill(own_desk.server._process.pid, signal.SIGSTOP)
    else:
        own_desk.server.stop()
    answer = client.post("/j/login")
    assert result(answer) == (503, 1009) and answer.headers["Retry-After"]
    assert client.get("/j/me").status_code == 401
    if frozen:
        os.kill(own_desk.server._process.pid, signal.SIGCONT)
    else:
        own_desk.server.start()
    assert client.post("/j/login").status_code == 200
    assert client.get("/j/me").status_code == 200


# Settings


REFUSED: dict[str, list[object]] = {
    "LOGIN_TTL": [0, "120", True],
    "VISIBILITY_TIMEOUT": [-1],
    "BOT_CLASS": ["wx.NoBot", "nomodule.Bot", "os", None],
    "PUBLIC_URL": ["desk.example", 8],
    "PROXIES": [-1],
    "SSE_MAX_STREAMS": ["many"],
    "SSE_QUEUE": [0],
    "SSE_HEARTBEAT": [0, 0.5],
    "SSE_HISTORY": [0],
    "PERMANENT_SESSION_LIFETIME": ["month", timedelta(0)],
    "SESSION_COOKIE_SAMESITE": ["None", "lax", None],
}
SECRETS: dict[str, list[object]] = {
    "SECRET_KEY": [1234567890123456, "short"],
    "REDIS_URL": ["localhost:6379", 6379, "redis://:hunter2@h:port"],
    "CELERY_BROKER_URL": ["nowhere", "foo://:hunter2@h"],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in REFUSED.items() for v in vs])
def test_start_up_refuses_what_cannot_work_by_name(desk: Desk, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} is {re.escape(repr(value))}, not "):
        desk.app(**{name: value})


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in SECRETS.items() for v in vs])
def test_a_refusal_does_not_print_what_may_be_secret(desk: Desk, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} is set to something, not ") as refusal:
        desk.app(**{name: value})
    assert str(value) not in str(refusal.value)


def test_the_lifetime_of_a_login_may_be_a_number_of_seconds(desk: Desk) -> None:
    app = desk.app(PERMANENT_SESSION_LIFETIME=3600)  # as FLASK_PERMANENT_SESSION_LIFETIME gives it
    assert app.permanent_session_lifetime == timedelta(hours=1)


def test_behind_tls_the_cookie_is_for_this_host_and_tls_alone(desk: Desk) -> None:
    app = desk.app(PUBLIC_URL="https://desk.example")
    cookie = app.test_client().get("/", base_url="https://desk.example").headers["Set-Cookie"]
    assert cookie.startswith("__Host-desk=")
    for part in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
        assert part in cookie
    assert "Domain" not in cookie


def test_the_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(config.secret_key, [tmp_path / "instance"] * 64))
    assert len(keys) == 1 and len(keys.pop()) == 64
    assert (tmp_path / "instance/secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "instance").iterdir()] == ["secret_key"]


@pytest.mark.parametrize(
    ("redis", "celery"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("unix:///a%20b/s", "redis+socket:///a%20b/s?virtual_host=0"),
        ("unix:///s?db=3", "redis+socket:///s?virtual_host=3"),
    ],
)
def test_the_broker_is_the_same_server_in_celerys_words(redis: str, celery: str) -> None:
    assert config.broker_url(redis) == celery


def test_proxies_tell_the_address_of_the_browser(desk: Desk, phone: FlaskClient) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    headers["X-Forwarded-Host"] = "evil.example"  # which nothing in our nginx block replaces
    answer = code(desk.app(PROXIES=1).test_client(), headers=headers)
    assert answer["scan_url"].startswith("https://localhost/scan/")
    assert "203.0.113.9" in phone.get(f"/scan/{answer['uuid']}").text
