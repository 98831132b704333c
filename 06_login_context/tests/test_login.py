import io
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
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import segno
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from redis import Redis, RedisError
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import events
from conftest import Desk, until
from scan import change_state
from sse import SSE
from views.login import Sessions
from wx import Contact, DemoBot

LogIn = Callable[..., FlaskClient]


def code(client: FlaskClient, **kwargs: Any) -> dict[str, Any]:
    answer = client.post("/j/login/qr", **kwargs)
    assert answer.status_code == 201 and answer.json
    return dict(answer.json)


def scan(client: FlaskClient, uuid: str, action: str = "confirm", account: str = "ada") -> int:
    return client.post(f"/scan/{uuid}", data={"account": account, "action": action}).status_code


def result(answer: Any) -> tuple[int, int]:
    return answer.status_code, answer.json["error_code"]


def state(client: FlaskClient, uuid: str) -> str:
    answer = client.get(f"/j/login/qr/{uuid}")
    assert answer.status_code == 200 and answer.json
    return str(answer.json["state"])


def claim(client: FlaskClient, key: str) -> Any:
    return client.post("/j/login", json={"key": key})


def login_id(client: FlaskClient) -> str:
    with client.session_transaction() as session:
        return str(session["login"])


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


def test_a_code_can_be_asked_for_until_it_is_confirmed(client: FlaskClient) -> None:
    made = code(client)
    found: Any = client.get(f"/j/login/qr/{made['uuid']}").json
    assert (found["uuid"], found["qr"], found["state"]) == (made["uuid"], made["qr"], "pending")
    assert 100 < found["expires_in"] <= 120
    assert state(client, "unknown") == "expired"
    assert client.get("/j/login/qr/unknown.svg").status_code == 404


def test_the_key_is_told_once_and_does_not_follow_from_the_code(client: FlaskClient) -> None:
    made = code(client)
    for path in (f"/j/login/qr/{made['uuid']}", made["qr"], f"/scan/{made['uuid']}"):
        assert made["key"] not in client.get(path).text
    assert made["key"] not in made["uuid"]


def test_before_the_login_there_is_no_cookie(client: FlaskClient) -> None:
    assert "Set-Cookie" not in client.get("/").headers
    assert "Set-Cookie" not in client.post("/j/login/qr").headers


def test_too_many_codes_for_one_address_are_429(desk: Desk) -> None:
    app = desk.app(CODES_PER_MINUTE=3, PROXIES=1)

    def ask(address: str) -> Any:
        return app.test_client().post("/j/login/qr", headers={"X-Forwarded-For": address})

    desk.redis.delete("codes:203.0.113.7", "codes:203.0.113.8")
    answers = [ask("203.0.113.7") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429, 429]
    assert result(answers[-1]) == (429, 1007)
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert ask("203.0.113.8").status_code == 201
    claim = {"json": {"key": "of a code"}, "headers": {"X-Forwarded-For": "203.0.113.8"}}
    claims = [app.test_client().post("/j/login", **claim) for _ in range(3)]
    assert [answer.status_code for answer in claims] == [400, 400, 429]
    assert 0 < desk.redis.ttl("codes:203.0.113.7") <= 60


def test_no_two_codes_are_the_same_and_each_has_128_bits(client: FlaskClient) -> None:
    uuids = [code(client)["uuid"] for _ in range(5)]
    assert len(set(uuids)) == 5
    assert all(len(uuid) * 4 >= 128 for uuid in uuids)


def test_public_url_is_what_the_code_carries_and_where_the_phone_is_let_in(desk: Desk) -> None:
    app = desk.app(PUBLIC_URL="https://desk.example/")
    url = code(app.test_client())["scan_url"]
    assert url.startswith("https://desk.example/scan/")
    path = url.removeprefix("https://desk.example")
    for base_url, status in [("https://desk.example", 200), ("https://evil.example", 400)]:
        assert app.test_client().get(path, base_url=base_url).status_code == status


@pytest.mark.parametrize(
    ("host", "listens", "local"),
    [
        ("localhost:8106", "0.0.0.0", False),
        ("127.0.0.1:8106", "0.0.0.0", False),
        ("localhost:8106", "127.0.0.1", True),
        ("203.0.113.7:8106", "0.0.0.0", True),
    ],
)
def test_a_loopback_host_becomes_one_that_a_phone_reaches_if_we_listen_there(
    client: FlaskClient, host: str, listens: str, local: bool
) -> None:
    if not local:
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            if probe.connect_ex(("192.0.2.1", 9)):
                pytest.skip("this machine has no network, so it has no such address")
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


def test_the_page_sees_each_step(client: FlaskClient, phone: FlaskClient) -> None:
    uuid = code(client)["uuid"]
    assert state(client, uuid) == "pending"
    assert scan(phone, uuid, "scanned") == scan(phone, uuid, "scanned") == 200
    assert state(client, uuid) == "scanned"
    assert scan(phone, uuid) == 200
    assert state(client, uuid) == "confirmed"


def test_trap_a_preview_of_the_link_is_not_a_scan(
    app: Flask, client: FlaskClient, log_in: LogIn
) -> None:
    @app.get("/article/scan/<token>")
    def article(token: str) -> str:
        change_state(token, "scanned")
        return "Log in?"

    phone = log_in(app)
    for method in ("HEAD", "GET"):
        wrong, right = code(client)["uuid"], code(client)["uuid"]
        phone.open(f"/article/scan/{wrong}", method=method)
        assert phone.open(f"/scan/{right}", method=method).status_code == 200
        assert phone.open("/scan/unknown", method=method).status_code == 404
        assert [state(client, wrong), state(client, right)] == ["scanned", "pending"]


def test_cancelled_is_told_and_final(client: FlaskClient, phone: FlaskClient) -> None:
    made = code(client)
    assert scan(phone, made["uuid"], "cancel") == 200
    assert scan(phone, made["uuid"]) == 410
    assert state(client, made["uuid"]) == "cancelled"
    assert result(claim(client, made["key"])) == (400, 1004)


@pytest.mark.parametrize(("action", "account"), [("confirm", "eve"), ("approve", "ada"), ("", "")])
def test_a_choice_that_is_none_is_400_and_changes_nothing(
    client: FlaskClient, phone: FlaskClient, action: str, account: str
) -> None:
    uuid = code(client)["uuid"]
    assert scan(phone, uuid, action, account) == 400
    assert scan(phone, uuid) == 200


class NamelessBot(DemoBot):
    """Somebody's client whose account has an empty id."""

    @staticmethod
    def accounts() -> list[Contact]:
        return [Contact(id="", name="Nobody", kind="friend")]


def test_nobody_chosen_is_not_the_account_with_an_empty_id(desk: Desk) -> None:
    client = desk.app(BOT_CLASS="test_login.NamelessBot").test_client()
    uuid = code(client)["uuid"]
    assert client.post(f"/scan/{uuid}", data={"action": "confirm"}).status_code == 400
    assert state(client, uuid) != "confirmed"


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


def test_of_many_phones_at_once_one_wins(app: Flask, client: FlaskClient) -> None:
    for _ in range(5):
        uuid = code(client)["uuid"]

        def answer(n: int, uuid: str = uuid) -> int:
            return scan(app.test_client(), uuid, ("confirm", "cancel")[n % 2])

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(answer, range(8))) == [200] + [410] * 7


def test_a_code_expires(desk: Desk) -> None:
    app = desk.app(LOGIN_TTL=1)
    client = app.test_client()
    made = code(client)
    until(lambda: state(client, made["uuid"]) == "expired")
    assert scan(app.test_client(), made["uuid"]) == 404
    assert result(claim(client, made["key"])) == (400, 1004)


def test_it_is_redis_clock_that_says_when_a_code_expires(
    client: FlaskClient, phone: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = code(client)["uuid"]
    in_an_hour = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: in_an_hour)  # on this machine alone
    assert state(client, uuid) == "pending"
    assert scan(phone, uuid) == 200


# Claiming it


def test_login_claims_what_the_phone_confirmed(client: FlaskClient, phone: FlaskClient) -> None:
    made = code(client)
    scan(phone, made["uuid"], account="lin")
    answer = claim(client, made["key"])
    user = {"id": "lin", "name": "林徽因", "account": "lin"}
    assert answer.json["user"] == user
    me: Any = client.get("/j/me").json
    assert me["user"] == user


def test_a_page_asks_whose_login_this_is_and_none_is_no_error(
    desk: Desk, app: Flask, client: FlaskClient, log_in: LogIn
) -> None:
    nobody = client.get("/j/login")
    assert (nobody.status_code, nobody.json["user"]) == (200, None)  # type: ignore[index]
    assert "Set-Cookie" not in nobody.headers
    ada = log_in(app)
    said: Any = ada.get("/j/login").json
    me: Any = ada.get("/j/me").json
    assert said["user"] == me["user"] and said.keys() == me.keys()
    desk.redis.delete(f"login:{login_id(ada)}")  # it has ended elsewhere
    assert ada.get("/j/login").json["user"] is None  # type: ignore[index]


def test_login_before_confirmation_is_1004(client: FlaskClient, phone: FlaskClient) -> None:
    made = code(client)
    assert result(claim(client, made["key"])) == (400, 1004)
    scan(phone, made["uuid"], "scanned")
    assert result(claim(client, made["key"])) == (400, 1004)
    assert result(claim(client, "made up")) == (400, 1004)


@pytest.mark.parametrize(
    "body", ["", "[]", '{"key": 1}', '{"key": ""}', r'{"key": "\ud800"}', "[" * 5000]
)
def test_login_without_a_key_is_refused(client: FlaskClient, body: str) -> None:
    answer = client.post("/j/login", data=body, content_type="application/json")
    assert result(answer) in [(400, 1000), (400, 1004)]


def test_a_confirmation_is_useless_without_the_key(
    app: Flask, client: FlaskClient, phone: FlaskClient
) -> None:
    made, other = code(client), code(app.test_client())
    scan(phone, made["uuid"])
    for key in (other["key"], made["uuid"], made["key"][:-1]):
        assert result(claim(phone, key)) == (400, 1004)
    assert claim(client, made["key"]).status_code == 200


def test_a_claim_without_a_response_is_repeated_and_gets_the_same_login(
    client: FlaskClient, phone: FlaskClient
) -> None:
    made = code(client)
    scan(phone, made["uuid"])
    claim(phone, made["key"])  # imagine that this response never arrives
    assert claim(client, made["key"]).status_code == 200
    assert login_id(client) == login_id(phone)
    assert client.get("/j/me").status_code == 200


def test_many_claims_at_once_are_one_login(app: Flask, client: FlaskClient) -> None:
    made = code(client)
    scan(app.test_client(), made["uuid"])
    tabs = [app.test_client() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda tab: claim(tab, made["key"]).status_code, tabs))
    assert answers == [200] * 6
    assert len({login_id(tab) for tab in tabs}) == 1


def test_a_key_is_worth_nothing_after_the_logout(client: FlaskClient, phone: FlaskClient) -> None:
    made = code(client)
    scan(phone, made["uuid"])
    claim(client, made["key"])
    client.post("/j/logout")
    assert result(claim(client, made["key"])) == (400, 1004)


def test_a_session_that_was_planted_is_gone_after_the_login(
    client: FlaskClient, phone: FlaskClient
) -> None:
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"
    made = code(client)
    scan(phone, made["uuid"])
    claim(client, made["key"])
    with client.session_transaction() as session:
        assert set(session) == {"_permanent", "login"}


def test_logging_in_again_ends_the_login_before(
    desk: Desk, app: Flask, log_in: LogIn, phone: FlaskClient
) -> None:
    client = log_in(app)
    old, made = login_id(client), code(client)
    scan(phone, made["uuid"], account="lin")
    assert claim(client, made["key"]).status_code == 200
    assert desk.redis.exists(f"login:{old}") == 0
    assert json.loads(desk.events(f"login:{old}", "login")[-1]) == {"type": "logged_out"}


def test_a_login_lasts_as_long_as_its_cookie(desk: Desk, app: Flask, log_in: LogIn) -> None:
    left = desk.redis.ttl(f"login:{login_id(log_in(app))}")
    assert app.permanent_session_lifetime.total_seconds() - 60 < left


def test_trap_a_cookie_from_the_future_is_refused(
    app: Flask, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: clock)  # of the machine that answers the login
    client = log_in(app)
    monkeypatch.undo()

    app.session_interface = SecureCookieSessionInterface()  # Flask's own
    assert client.get("/j/me").status_code == 401
    app.session_interface = Sessions()
    assert client.get("/j/me").status_code == 200


def test_redis_says_when_a_login_ends_even_if_the_cookie_is_kept(
    desk: Desk, app: Flask, log_in: LogIn
) -> None:
    client = log_in(app)
    desk.redis.pexpire(f"login:{login_id(client)}", 1)
    until(lambda: client.get("/j/me").status_code == 401)


def test_trap_a_stream_outlives_its_login(desk: Desk, log_in: LogIn) -> None:
    app = desk.app(SSE_HEARTBEAT=1)
    client = log_in(app)
    with client.session_transaction() as session:
        desk.redis.pexpire(f"login:{session['login']}", 700)
    wrong, right = SSE(), app.extensions["sse"]
    wrong.init_app(Flask("article"), app.extensions["redis"], lambda: ["account:ada"])
    with wrong.app.test_request_context():
        article: Any = wrong.stream().response
    ours = client.get("/stream", buffered=False)
    assert next(article) == "retry: 2000\n\n"
    assert len(list(islice(ours.iter_encoded(), 10))) < 10  # it ends
    assert result(client.get("/stream")) == (401, 1008)
    next(article)

    right.publish("for ada alone", "account:ada")
    assert "for ada alone" in next(article)  # although nobody is logged in there any more
    article.close()
    wrong.reader = None


def test_the_stream_needs_a_login(client: FlaskClient, log_in: LogIn, app: Flask) -> None:
    assert result(client.get("/stream")) == (401, 1008)
    ada = log_in(app)
    app.extensions["redis"].delete(f"login:{login_id(ada)}")
    assert result(ada.get("/stream")) == (401, 1008)
    assert not app.extensions["sse"].queues


def test_logout_ends_it_everywhere(desk: Desk, app: Flask, log_in: LogIn) -> None:
    client = log_in(app)
    login, stolen = login_id(client), client.get_cookie("desk")
    assert client.post("/j/logout").status_code == 200 and stolen
    thief = app.test_client()
    thief.set_cookie("desk", stolen.value)
    assert result(thief.get("/j/me")) == (401, 1008)
    assert json.loads(desk.events(f"login:{login}")[-1]) == {"type": "logged_out"}
    [(_, event)] = desk.redis.xrevrange("events", count=1)
    assert event["last"] == "1"  # it ends the streams
    assert result(client.post("/j/logout")) == (401, 1008)


# Other browsers, and other people


def test_a_phone_that_invents_a_token_leaves_nothing(desk: Desk, phone: FlaskClient) -> None:
    before = set(desk.redis.keys("*:*"))
    assert scan(phone, "made-up") == 404
    assert set(desk.redis.keys("*:*")) == before


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    client: FlaskClient, phone: FlaskClient
) -> None:
    made = code(client)
    scan(phone, made["uuid"])
    [cookie] = claim(client, made["key"]).headers.getlist("Set-Cookie")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_trap_one_channel_for_all_logs_every_page_in(desk: Desk, app: Flask, log_in: LogIn) -> None:
    wrong = SSE()
    wrong.init_app(Flask("article"), app.extensions["redis"], lambda: ["login"])
    wrong.publish({"type": "logged_in", "user": "ada"}, "login")
    assert wrong.channels() == wrong.channels() == ["login"]  # every open page hears it

    lin = log_in(app, "lin")
    log_in(app, "ada")
    assert json.loads(desk.events("account:ada", "login")[-1])["user"]["id"] == "ada"
    with app.test_request_context(headers={"Cookie": f"desk={lin.get_cookie('desk').value}"}):  # type: ignore[union-attr]
        assert events.channels() == ["account:lin", f"login:{login_id(lin)}"]


def test_trap_one_picture_for_all_visitors_logs_the_wrong_one_in(
    app: Flask, log_in: LogIn, tmp_path: Path
) -> None:
    file = tmp_path / "qr_code.svg"

    @app.get("/article/qr")
    def article() -> str:
        segno.make(secrets.token_hex()).save(str(file))
        return file.read_text()

    ada, lin = log_in(app), log_in(app, "lin")
    shown = ada.get("/article/qr").text
    assert shown != lin.get("/article/qr").text == file.read_text()  # ada's code is gone
    mine, other = code(ada)["qr"], code(lin)["qr"]
    assert ada.get(mine).text != lin.get(other).text
    assert ada.get(mine).text == ada.get(mine).text


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


def test_trap_a_cookie_renewed_by_every_answer_undoes_a_login(desk: Desk, log_in: LogIn) -> None:
    def cookie_comes_back(app: Flask) -> bool:
        """Tell whether an answer that is under way during a logout brings the cookie back."""
        return "Set-Cookie" in log_in(app).get("/j/me").headers

    assert cookie_comes_back(desk.app(SESSION_REFRESH_EACH_REQUEST=True))
    assert not cookie_comes_back(desk.app())


def test_a_401_says_how_to_log_in(client: FlaskClient) -> None:
    for path in ("/j/me", "/stream"):
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.headers.getlist("WWW-Authenticate") == ['Cookie realm="desk"']
    assert "WWW-Authenticate" not in client.get("/").headers


# Below a prefix


def go_through_the_desk(desk: Client, phone: Client, path: str) -> None:
    """Log in, open the stream and send a file, at a desk whose page is at *path*."""
    accept = {"Accept": "text/html"}
    for page in (desk.get(path), desk.get(f"{path}nope", headers=accept)):
        links = re.findall(r'(?:href|src)="(/[^"]*)"', page.text)
        assert links and all(link.startswith(path) for link in links), page.text
        assert all(desk.get(link).status_code == 200 for link in links)

    # The page itself asks for j/login/qr, and so on: addresses that are relative to its own.
    made: Any = desk.post(f"{path}j/login/qr").json
    assert desk.get(made["qr"]).mimetype == "image/svg+xml"
    assert made["scan_url"].startswith(f"http://localhost{path}scan/")
    link = made["scan_url"].removeprefix("http://localhost")
    assert f'src="{path}static/scan.js"' in phone.get(link).text
    assert phone.post(link, data={"action": "confirm", "account": "ada"}).status_code == 200
    claimed = desk.post(f"{path}j/login", json={"key": made["key"]})
    assert claimed.status_code == 200
    assert "Path=/;" in claimed.headers["Set-Cookie"]  # without it, __Host- is refused

    stream = desk.get(f"{path}stream", buffered=False)
    assert next(stream.iter_encoded()) == b"retry: 2000\n\n"
    stream.close()
    sent: Any = desk.post(f"{path}uploads", data={"file": (io.BytesIO(b"hello"), "a.txt")}).json
    assert desk.get(sent["url"]).text == "hello"
    assert desk.post(f"{path}j/logout").status_code == 200
    assert desk.get(f"{path}j/me").status_code == 401


def test_the_desk_works_below_a_prefix(app: Flask) -> None:
    mounted = DispatcherMiddleware(NotFound(), {"/a/desk": app})
    go_through_the_desk(Client(mounted), Client(mounted), "/a/desk/")
    assert Client(mounted).get("/a/desk").location == "http://localhost/a/desk/"


def test_the_desk_works_behind_a_proxy_that_takes_a_prefix_away(desk: Desk) -> None:
    app = desk.app(PROXIES=1)

    def proxy(environ: Any, start_response: Any) -> Any:
        prefix, path = "/desk", environ["PATH_INFO"]
        assert path.startswith(f"{prefix}/")
        stripped = {"PATH_INFO": path.removeprefix(prefix), "HTTP_X_FORWARDED_PREFIX": prefix}
        return app({**environ, **stripped}, start_response)

    go_through_the_desk(Client(proxy), Client(proxy), "/desk/")


def test_public_url_and_the_prefix_are_not_said_twice(desk: Desk) -> None:
    app = desk.app(PUBLIC_URL="https://desk.example/desk/")
    mounted = DispatcherMiddleware(NotFound(), {"/desk": app})
    made: Any = Client(mounted).post("/desk/j/login/qr").json
    assert made["scan_url"] == f"https://desk.example/desk/scan/{made['uuid']}"


# A page that isn't there


def test_a_browser_gets_the_desks_own_page_for_a_404(client: FlaskClient) -> None:
    page = client.get("/nope", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert '<a href="/">' in page.text and page.headers["Vary"] == "Accept"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]


def test_a_program_gets_a_404_in_the_apis_format(app: Flask, log_in: LogIn) -> None:
    ada = log_in(app)
    answers = [ada.get("/j/nope"), ada.get("/nope", headers={"Accept": "application/json"})]
    answers.append(ada.get(f"/uploads/{'0' * 64}.png", headers={"Accept": "text/html"}))
    assert [result(answer) for answer in answers] == [(404, 1003)] * 3


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
        answer = client.open(path, method=method, json={"key": "x"})
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


def test_trap_redis_py_quotes_the_command_that_failed(
    own_desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    client = own_desk.app().test_client()
    own_desk.redis.config_set("maxmemory", 1)
    with own_desk.redis.pipeline() as pipe, pytest.raises(RedisError, match="scan:secret"):
        pipe.hset("scan:secret", "state", "pending").execute()

    answer = client.post("/j/login/qr")
    assert result(answer) == (503, 1009)
    assert client.get("/j/me").status_code == 401  # reading goes on
    assert "maxmemory" in caplog.text and "codes:" not in caplog.text
    own_desk.redis.config_set("maxmemory", 0)
    assert client.post("/j/login/qr").status_code == 201


def test_a_full_disk_is_507_and_other_failures_of_the_system_are_bugs(
    app: Flask, log_in: LogIn
) -> None:
    app.testing = False

    @app.get("/j/full")
    def full() -> str:
        with open("/dev/full", "wb", buffering=0) as file:  # real: no byte has room there
            file.write(b"x")
        return ""

    @app.get("/j/bug")
    def bug() -> str:
        return open("/nonexistent").read()

    ada = log_in(app)
    assert result(ada.get("/j/full")) == (507, 1007)
    assert result(ada.get("/j/bug")) == (500, 999)


# Without gevent, a socket whose backlog is full is a ConnectionError at once.
ASK_LIKE_GUNICORN = """
from gevent import monkey; monkey.patch_all()
import sys
import redis
from deploy import redis_server
from deploy.connection import connect
try:
    connect(sys.argv[1]).ping()
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
    app = desk.app(CELERY_BROKER_URL=own_desk.url)
    client = app.test_client()
    made = code(client)
    scan(app.test_client(), made["uuid"])
    if frozen:
        os.kill(own_desk.server._process.pid, signal.SIGSTOP)
    else:
        own_desk.server.stop()
    answer = claim(client, made["key"])
    assert result(answer) == (503, 1009) and answer.headers["Retry-After"]
    assert client.get("/j/me").status_code == 401
    if frozen:
        os.kill(own_desk.server._process.pid, signal.SIGCONT)
    else:
        own_desk.server.start()
    assert claim(client, made["key"]).status_code == 200
    assert client.get("/j/me").status_code == 200


# Settings


def test_behind_tls_the_cookie_is_for_this_host_and_tls_alone(desk: Desk) -> None:
    client = desk.app(PUBLIC_URL="https://desk.example").test_client()
    made = code(client)
    scan(client, made["uuid"])
    base_url = "https://desk.example"
    answer = client.post("/j/login", json={"key": made["key"]}, base_url=base_url)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-desk=")
    for part in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
        assert part in cookie
    assert "Domain" not in cookie
