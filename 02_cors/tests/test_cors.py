import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.validate import validator

import pytest
from flask import Flask, Response, make_response, send_from_directory, session
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, EnvironBuilder, TestResponse, run_wsgi_app

import cors
from app import create_app

FRONT_END = "http://127.0.0.1:8100"
ALLOWED = "Access-Control-Allow-Origin"
ASKS = {"Access-Control-Request-Method": "PUT"}
HERE = Path(__file__).parent


@pytest.fixture
def app(app: Flask) -> Flask:
    app.secret_key = "test"

    @app.get("/status/<int:status>")
    def status(status: int) -> tuple[str, int]:
        return "", status

    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError("a bug")

    @app.get("/file")
    def file() -> Response:
        return send_from_directory(HERE, "exercise.py")

    return app


def ask(client: Client, origin: str | None, url: str = "/j/echo/", **more: Any) -> TestResponse:
    headers = {**more.pop("headers", {})}
    if origin is not None:
        headers["Origin"] = origin
    return client.open(url, headers=headers, buffered=True, **more)


def preflight(client: Client, origin: str, url: str = "/j/echo/") -> TestResponse:
    return client.options(url, headers={"Origin": origin, **ASKS})


def cors_headers(answer: TestResponse) -> list[str]:
    return [name for name, _ in answer.headers if name.startswith("Access-Control-")]


def client_of(**settings: object) -> FlaskClient:
    return create_app(settings).test_client()


# The origins that may read


def test_request_without_origin_gets_vary_and_no_cors_headers(client: FlaskClient) -> None:
    answer = ask(client, None)
    assert answer.headers.getlist("Vary") == ["Origin"]
    assert cors_headers(answer) == []


@pytest.mark.parametrize("status", [200, 201, 204, 304, 400, 401, 404, 500, 503])
def test_allowed_origin_is_echoed_once_whatever_the_status(
    client: FlaskClient, status: int
) -> None:
    answer = ask(client, FRONT_END, f"/status/{status}")
    assert answer.status_code == status
    assert answer.headers.getlist(ALLOWED) == [FRONT_END]
    assert answer.headers.getlist("Vary") == ["Origin"]


@pytest.mark.parametrize(("url", "status"), [("/nowhere", 404), ("/boom", 500), ("/j/echo", 308)])
def test_allowed_origin_can_read_flasks_own_answers(
    client: FlaskClient, url: str, status: int
) -> None:
    answer = ask(client, FRONT_END, url)
    assert answer.status_code == status
    assert answer.headers[ALLOWED] == FRONT_END


STRANGERS = [
    "null",
    "",
    "*",
    "https://127.0.0.1:8100",
    "http://127.0.0.1",
    "http://127.0.0.1:81000",
    "http://127.0.0.1.evil.example:8100",
    "HTTP://127.0.0.1:8100",
    "http://127.0.0.1:8100/",
    " http://127.0.0.1:8100",
    "http://evil.example/http://127.0.0.1:8100",
    "http://evil.example#http://127.0.0.1:8100",
    "http://user@127.0.0.1:8100",
    "http://127.0.0.1:8100, http://evil.example",
    "http://127.0.0.1:8100\tx",
    "http://127.0.0.1:8100\x00",
]


@pytest.mark.parametrize("origin", STRANGERS)
@pytest.mark.parametrize("url", ["/j/echo/", "/files/versions.txt", "/j/public", "/boom"])
def test_unknown_origin_gets_no_cors_headers(client: FlaskClient, origin: str, url: str) -> None:
    environ = EnvironBuilder(url).get_environ() | {"HTTP_ORIGIN": origin}
    asks = environ | {"REQUEST_METHOD": "OPTIONS", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT"}
    for answer in (client.open(environ, buffered=True), client.open(asks, buffered=True)):
        assert cors_headers(answer) == []
        assert answer.headers.getlist("Vary") == ["Origin"]


def test_two_origin_headers_are_no_origin(client: FlaskClient) -> None:
    headers = [("Origin", FRONT_END), ("Origin", FRONT_END)]
    assert cors_headers(client.get("/j/echo/", headers=headers)) == []


def test_an_allowed_page_may_read_these_headers(client: FlaskClient) -> None:
    exposed = ask(client, FRONT_END).headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Location", "X-Request-ID"} <= set(exposed)


# Headers that other code has set


def test_vary_of_the_session_is_kept(app: Flask, client: FlaskClient) -> None:
    @app.get("/login")
    def login() -> str:
        session["user"] = "Ada"
        return ""

    assert ask(client, FRONT_END, "/login").headers.getlist("Vary") == ["Cookie", "Origin"]


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        (["Accept-Language", "Cookie"], ["Accept-Language", "Cookie", "Origin"]),
        (["Accept, origin"], ["Accept, origin"]),
        (["Cookie", "Origin"], ["Cookie", "Origin"]),
        (["X-Original-URL"], ["X-Original-URL", "Origin"]),
        (["*"], ["*"]),
        (["Cookie, *"], ["Cookie, *"]),
        ([""], ["", "Origin"]),
    ],
)
def test_vary_has_origin_once_beside_what_is_there(
    app: Flask, client: FlaskClient, lines: list[str], sent: list[str]
) -> None:
    @app.get("/vary")
    def vary() -> Response:
        return make_response("", [("Vary", line) for line in lines])

    for origin in (FRONT_END, "https://evil.example", None):
        assert ask(client, origin, "/vary").headers.getlist("Vary") == sent


def test_cors_headers_of_other_code_are_replaced(app: Flask, client: FlaskClient) -> None:
    @app.get("/other")
    def other() -> tuple[str, list[tuple[str, str]]]:
        headers = [
            ("access-control-allow-origin", "*"),
            ("Access-Control-Allow-Origin", "https://evil.example"),
            ("ACCESS-CONTROL-ALLOW-CREDENTIALS", "true"),
            ("X-Access-Control", "kept"),
        ]
        return "", headers

    answer = ask(client, "https://evil.example", "/other")
    assert [name for name, _ in answer.headers if name.lower().startswith("access-")] == []
    assert answer.headers["X-Access-Control"] == "kept"
    assert ask(client, FRONT_END, "/other").headers.getlist(ALLOWED) == [FRONT_END]


def test_flask_cors_on_an_old_blueprint_lets_no_stranger_in() -> None:
    flask_cors = pytest.importorskip("flask_cors")
    app = Flask("old")
    flask_cors.CORS(app, origins="*", supports_credentials=True)
    app.add_url_rule("/news", view_func=lambda: "news")
    app.config.update(CORS_ORIGINS=[FRONT_END])
    client = app.test_client()
    assert ask(client, "https://evil.example", "/news").headers[ALLOWED] == "https://evil.example"

    cors.init_app(app)
    for answer in (
        ask(client, "https://evil.example", "/news"),
        preflight(client, "https://evil.example", "/news"),
    ):
        assert cors_headers(answer) == []
    answer = ask(client, FRONT_END, "/news")
    assert answer.headers.getlist(ALLOWED) == [FRONT_END]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert answer.headers.getlist("Vary") == ["Origin"]


# Preflights


@pytest.mark.parametrize("url", ["/j/echo/", "/j/echo", "/j/nope", "/j/members", "/files/nope"])
def test_a_preflight_is_answered_by_the_wrapper_whatever_the_path(
    client: FlaskClient, url: str
) -> None:
    answer = preflight(client, FRONT_END, url)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers[ALLOWED] == FRONT_END
    assert answer.headers.getlist("Vary") == ["Origin"]
    methods = answer.headers["Access-Control-Allow-Methods"].split(", ")
    assert methods == ["GET", "POST", "PUT", "PATCH", "DELETE"]
    sendable = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Content-Type", "Authorization", "X-Request-ID"} <= set(sendable)
    assert answer.headers["Access-Control-Max-Age"] == "600"
    assert "Content-Length" not in answer.headers  # RFC 9110, 8.6: not with a 204


def test_every_preflight_gets_the_same_permission(client: FlaskClient) -> None:
    first, second = (preflight(client, FRONT_END) for _ in range(2))
    assert cors_headers(first) == cors_headers(second)
    assert len(set(cors_headers(first))) == len(cors_headers(first))
    assert "Access-Control-Allow-Methods" not in ask(client, FRONT_END).headers


def test_plain_options_is_answered_by_flask(client: FlaskClient) -> None:
    answer = ask(client, FRONT_END, method="OPTIONS")
    assert answer.status_code == 200
    assert "PATCH" in answer.headers["Allow"]
    assert answer.headers[ALLOWED] == FRONT_END
    assert "Access-Control-Allow-Methods" not in answer.headers


def test_a_get_with_a_preflights_header_reaches_its_view(client: FlaskClient) -> None:
    answer = ask(client, FRONT_END, headers=ASKS)
    assert answer.status_code == 200
    assert answer.json and answer.json["method"] == "GET"


# What HTTP asks for, with a prefix and without


@pytest.fixture(params=["", "/dispatched", "/prefixed"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anywhere(app: Flask, prefix: str) -> Client:
    """A client of the app below *prefix*, which DispatcherMiddleware or its own middleware adds."""
    if prefix == "/dispatched":
        return Client(DispatcherMiddleware(NotFound(), {prefix: app}))
    if prefix == "/prefixed":
        wrapped = app.wsgi_app

        def strip_prefix(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
            environ["SCRIPT_NAME"] = prefix
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(prefix)
            return wrapped(environ, start_response)

        app.wsgi_app = strip_prefix  # type: ignore[method-assign]
    return Client(app)


@pytest.mark.parametrize("url", ["/j/echo/", "/files/versions.txt", "/file"])
def test_get_and_head(anywhere: Client, prefix: str, url: str) -> None:
    get = ask(anywhere, FRONT_END, prefix + url)
    head = ask(anywhere, FRONT_END, prefix + url, method="HEAD")
    assert (get.status_code, head.status_code) == (200, 200)
    assert get.data
    assert head.headers["Content-Length"] == get.headers["Content-Length"] or url == "/j/echo/"
    for answer in (get, head):
        assert answer.headers.getlist(ALLOWED) == [FRONT_END]
        assert answer.headers.getlist("Vary") == ["Origin"]


def test_a_wrong_method_keeps_its_allow(anywhere: Client, prefix: str) -> None:
    answer = ask(anywhere, FRONT_END, f"{prefix}/file", method="DELETE")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert answer.headers[ALLOWED] == FRONT_END


@pytest.mark.parametrize("url", ["/files/versions.txt", "/file"])
def test_a_conditional_request_is_304(anywhere: Client, prefix: str, url: str) -> None:
    etag = ask(anywhere, FRONT_END, prefix + url).headers["ETag"]
    answer = ask(anywhere, FRONT_END, prefix + url, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers[ALLOWED] == FRONT_END  # the browser checks it before it uses its cache
    assert "Origin" in answer.headers.getlist("Vary")


def test_a_range_is_206(anywhere: Client, prefix: str) -> None:
    answer = ask(anywhere, FRONT_END, f"{prefix}/file", headers={"Range": "bytes=0-2"})
    assert (answer.status_code, len(answer.data)) == (206, 3)
    assert answer.headers[ALLOWED] == FRONT_END


def test_a_preflight_below_a_prefix(anywhere: Client, prefix: str) -> None:
    assert preflight(anywhere, FRONT_END, f"{prefix}/j/nope").status_code == 204


# What WSGI asks of a middleware (PEP 3333); the validator looks at both of its sides


def served(app: WSGIApplication) -> tuple[str, Headers, str]:
    """Return status, headers and body of *app* behind the wrapper, on a server of wsgiref."""
    inner = cors.CrossOrigin(validator(app), frozenset({FRONT_END}), credentials=False)
    environ = EnvironBuilder("/?a=b", headers=[("Origin", FRONT_END)]).get_environ()
    out = BytesIO()
    SimpleHandler(BytesIO(), out, sys.stderr, environ).run(validator(inner))
    head, _, body = out.getvalue().decode().partition("\r\n\r\n")
    status, *lines = head.splitlines()
    headers = Headers()
    for line in lines:
        name, _, value = line.partition(": ")
        headers.add(name, value)
    return status.partition(" ")[2], headers, body


def test_a_stream_is_passed_on_piece_by_piece_and_closed() -> None:
    said = []

    class Stream:
        def __iter__(self) -> Iterator[bytes]:
            for number in (1, 2):
                said.append(f"made {number}")
                yield str(number).encode()

        def close(self) -> None:
            said.append("closed")

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Stream:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Stream()

    inner = cors.CrossOrigin(app, frozenset({FRONT_END}), credentials=False)
    environ = EnvironBuilder(headers=[("Origin", FRONT_END)]).get_environ()
    pieces, _, headers = run_wsgi_app(inner, environ)
    for piece in pieces:
        said.append(f"sent {piece.decode()}")
    assert said == ["made 1", "sent 1", "made 2", "sent 2"]
    assert headers[ALLOWED] == FRONT_END

    said.clear()
    assert served(app)[2] == "12"
    assert said == ["made 1", "made 2", "closed"]


def test_an_error_may_replace_headers_that_are_not_sent_yet() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise RuntimeError("a bug")
        except RuntimeError:
            start_response("500 Oops", [("Content-Type", "text/html")], sys.exc_info())
        return [b"error"]

    status, headers, body = served(app)
    assert (status, body) == ("500 Oops", "error")
    assert headers.getlist(ALLOWED) == [FRONT_END]
    assert headers.getlist("Vary") == ["Origin"]


def test_an_error_after_the_headers_ends_the_response(capfd: pytest.CaptureFixture[str]) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"half"
        try:
            raise RuntimeError("a bug")
        except RuntimeError:
            start_response("500 Oops", [("Content-Type", "text/html")], sys.exc_info())

    status, _, body = served(app)
    assert (status, body) == ("200 OK", "half")
    assert "RuntimeError: a bug" in capfd.readouterr().err


def test_the_servers_write_function_reaches_the_app() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        return [b"returned"]

    _, headers, body = served(app)
    assert body == "written returned"
    assert headers[ALLOWED] == FRONT_END


def test_the_apps_own_list_of_headers_is_left_alone() -> None:
    own = [("Content-Type", "text/plain"), (ALLOWED, "*")]

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", own)
        return [b""]

    for _ in range(2):
        assert served(app)[1].getlist(ALLOWED) == [FRONT_END]
    assert own == [("Content-Type", "text/plain"), (ALLOWED, "*")]


# Settings


def test_without_settings_nobody_may_read() -> None:
    app = Flask("default")
    cors.init_app(app)
    app.add_url_rule("/", view_func=lambda: "")
    assert cors_headers(ask(app.test_client(), FRONT_END, "/")) == []
    assert (app.config["CORS_ORIGINS"], app.config["CORS_CREDENTIALS"]) == ([], False)


def test_credentials_only_when_set() -> None:
    without = client_of(CORS_ORIGINS=[FRONT_END], CORS_CREDENTIALS=False)
    assert "Access-Control-Allow-Credentials" not in ask(without, FRONT_END).headers
    assert "Access-Control-Allow-Credentials" not in preflight(without, FRONT_END).headers
    allowed = client_of(CORS_ORIGINS=[FRONT_END], CORS_CREDENTIALS=True)
    assert ask(allowed, FRONT_END).headers["Access-Control-Allow-Credentials"] == "true"
    assert preflight(allowed, FRONT_END).headers["Access-Control-Allow-Credentials"] == "true"
    assert cors_headers(ask(allowed, "https://evil.example")) == []


@pytest.mark.parametrize("public", ["*", ["*"]])
@pytest.mark.parametrize("origin", [None, "https://anywhere.example", "null"])
def test_star_lets_everybody_read(public: object, origin: str | None) -> None:
    client = client_of(CORS_ORIGINS=public, CORS_CREDENTIALS=False)
    answer = ask(client, origin)
    assert answer.headers.getlist(ALLOWED) == ["*"]
    assert "Vary" not in answer.headers  # one answer for all, and a cache may know that
    assert preflight(client, "https://anywhere.example").headers[ALLOWED] == "*"


def test_one_string_is_a_list_of_one() -> None:
    client = client_of(CORS_ORIGINS=FRONT_END)
    assert ask(client, FRONT_END).headers[ALLOWED] == FRONT_END
    for part in ("http://127.0.0.1", "http", "h", ""):
        assert cors_headers(ask(client, part)) == []


def test_the_list_is_taken_once() -> None:
    origins = [FRONT_END]
    client = client_of(CORS_ORIGINS=origins)
    origins.append("https://late.example")
    client.application.config["CORS_ORIGINS"] = "https://desk.example.evil.example"
    for late in ("https://late.example", "https://desk.example"):
        assert cors_headers(ask(client, late)) == []
    assert ask(client, FRONT_END).headers[ALLOWED] == FRONT_END


NEVER_SENT = {
    "http://bücher.example": "punycode",
    "https://例え.example:8443": "punycode",
    "http://a.example/": "scheme://host:port",
    "http://a.example/path": "scheme://host:port",
    "http://a.example?": "scheme://host:port",
    "a.example": "scheme://host:port",
    "localhost:5173": "scheme://host:port",
    "//a.example": "scheme://host:port",
    "http://": "scheme://host:port",
    "file://": "scheme://host:port",
    "HTTP://a.example": "lower case",
    "http://A.example": "lower case",
    "http://a.example\n": "scheme://host:port",
    "http://a.example, http://b.example": "scheme://host:port",
    "http://a.example http://b.example": "scheme://host:port",
    "https://*.a.example": "scheme://host:port",
    r"https://.*\.a\.example": "scheme://host:port",
    "null": "scheme://host:port",
    "*": "scheme://host:port",
    "": "scheme://host:port",
    "http://a.example:80": "port that browsers leave out",
    "https://a.example:443": "port that browsers leave out",
    "https://a.example:99999": "CORS_ORIGINS: 'https://a.example:99999': Port out of range",
    "http://a.example:port": "CORS_ORIGINS: 'http://a.example:port': Port could not be",
    "https://[::1": "CORS_ORIGINS: 'https://[::1': Invalid IPv6 URL",
}


@pytest.mark.parametrize("entry", NEVER_SENT)
def test_an_origin_that_no_browser_sends_is_refused_by_name(entry: str) -> None:
    with pytest.raises(ValueError, match="CORS_ORIGINS") as refused:
        create_app({"CORS_ORIGINS": [FRONT_END, entry]})
    assert repr(entry) in str(refused.value)
    assert NEVER_SENT[entry] in str(refused.value)


@pytest.mark.parametrize("entry", ["http://a.example:port", "http://[::1", None, 5173])
def test_an_entry_that_is_no_address_stops_the_app(entry: object) -> None:
    with pytest.raises((ValueError, AttributeError)):
        create_app({"CORS_ORIGINS": [FRONT_END, entry]})


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:5173",
        "https://a.example",
        "https://a.example:80",
        "http://[::1]:8080",
        "https://xn--bcher-kva.example",
        "capacitor://app",
    ],
)
def test_what_browsers_send_is_accepted(origin: str) -> None:
    assert ask(client_of(CORS_ORIGINS=[origin]), origin).headers[ALLOWED] == origin


@pytest.mark.parametrize("value", ["False", "false", "no", "", 0, 1, None])
def test_credentials_that_are_neither_true_nor_false_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=f"CORS_CREDENTIALS is {value!r}, neither"):
        create_app({"CORS_CREDENTIALS": value})


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_CORS_ORIGINS", '["https://a.example", "https://b.example:8443"]')
    monkeypatch.setenv("FLASK_CORS_CREDENTIALS", "false")
    answer = ask(create_app().test_client(), "https://b.example:8443")
    assert answer.headers[ALLOWED] == "https://b.example:8443"
    assert "Access-Control-Allow-Credentials" not in answer.headers

    monkeypatch.setenv("FLASK_CORS_ORIGINS", "https://a.example")  # one needs no brackets
    assert ask(create_app().test_client(), "https://a.example").headers[ALLOWED]
