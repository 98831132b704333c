from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask, Response, abort, make_response, request, session
from flask.testing import FlaskClient
from werkzeug.debug import DebuggedApplication
from werkzeug.test import Client, TestResponse

from app import create_app

FRONT_END = "http://localhost:5173"  # the default
PREFLIGHT = {"Access-Control-Request-Method": "PUT"}


@pytest.fixture
def app(app: Flask) -> Flask:
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a bug is a 500, as in production

    @app.get("/status/<int:status>")
    def status(status: int) -> tuple[str, int]:
        return "", status

    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError("a bug")

    return app


def ask(
    client: Client, origin: str | None, url: str = "/j/echo/", method: str = "GET"
) -> TestResponse:
    headers = {"Origin": origin} if origin else {}
    return client.open(url, method=method, headers=headers, buffered=True)


def preflight(client: Client, origin: str, url: str = "/j/echo/") -> TestResponse:
    return client.options(url, headers={"Origin": origin, **PREFLIGHT})


def cors_headers(answer: TestResponse) -> list[str]:
    return [name for name in dict(answer.headers) if name.startswith("Access-Control-")]


# Who may read


def test_request_without_origin_gets_vary_and_no_cors_headers(client: FlaskClient) -> None:
    answer = ask(client, None)
    assert answer.headers["Vary"] == "Origin"
    assert cors_headers(answer) == []


@pytest.mark.parametrize("status", [200, 201, 204, 304, 400, 401, 404, 500, 503])
def test_allowed_origin_is_echoed_once_whatever_the_status(
    client: FlaskClient, status: int
) -> None:
    answer = ask(client, FRONT_END, f"/status/{status}")
    assert answer.status_code == status
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [FRONT_END]
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(("url", "status"), [("/nowhere", 404), ("/uploads", 405), ("/boom", 500)])
def test_allowed_origin_can_read_flasks_own_errors(
    client: FlaskClient, url: str, status: int
) -> None:
    answer = ask(client, FRONT_END, url)
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == FRONT_END


STRANGERS = [
    "null",
    "https://localhost:5173",
    "http://localhost",
    "http://localhost:51730",
    "http://LOCALHOST:5173",
    "http://localhost:5173.evil.example",
    "http://evil.example/http://localhost:5173",
    "http://evil-localhost:5173",
    "http://localhost:5173, http://evil.example",
]


@pytest.mark.parametrize("origin", STRANGERS)
def test_unknown_origin_gets_no_cors_headers(client: FlaskClient, origin: str) -> None:
    for answer in (ask(client, origin), ask(client, origin, "/boom"), preflight(client, origin)):
        assert cors_headers(answer) == []
        assert "Origin" in answer.vary


def test_files_can_be_read_from_any_origin(client: FlaskClient) -> None:
    uploaded = client.post("/uploads", data={"file": (BytesIO(b"hello"), "a.txt")})
    answer = ask(client, "https://anywhere.example", uploaded.location or "")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_vary_of_the_session_is_kept(app: Flask, client: FlaskClient) -> None:
    app.secret_key = "test"

    @app.get("/login")
    def login() -> str:
        session["user"] = "Ada"
        return ""

    assert set(ask(client, FRONT_END, "/login").vary) == {"Origin", "Cookie"}


# Preflight


def test_preflight_names_methods_headers_and_how_long_to_remember(client: FlaskClient) -> None:
    answer = preflight(client, FRONT_END)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == FRONT_END
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, PUT, PATCH, DELETE"
    assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type, Authorization"
    assert answer.headers["Access-Control-Max-Age"] == "600"


def test_plain_options_is_no_preflight(client: FlaskClient) -> None:
    answer = ask(client, FRONT_END, method="OPTIONS")
    assert cors_headers(answer) == ["Access-Control-Allow-Origin"]


# Settings


def test_credentials_only_when_set(tmp_path: Path, client: FlaskClient) -> None:
    assert "Access-Control-Allow-Credentials" not in ask(client, FRONT_END).headers
    app = create_app({"UPLOAD_FOLDER": tmp_path, "CORS_CREDENTIALS": True})
    assert ask(app.test_client(), FRONT_END).headers["Access-Control-Allow-Credentials"] == "true"
    assert cors_headers(ask(app.test_client(), "https://evil.example")) == []


@pytest.mark.parametrize("origin", [None, "https://anywhere.example"])
def test_star_lets_everybody_read(tmp_path: Path, origin: str | None) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "CORS_ORIGINS": "*"})
    answer = ask(app.test_client(), origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in answer.headers


def test_empty_list_lets_nobody_read(tmp_path: Path) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "CORS_ORIGINS": []})
    assert cors_headers(ask(app.test_client(), FRONT_END)) == []


MALFORMED = [
    "http://a.example/",
    "http://a.example/path",
    "a.example",
    "//a.example",
    "HTTP://a.example",
    "http://A.example",
    "http://user@a.example",
    "http://a.example:port",
    "http://a.example:80",
    "https://a.example:443",
    "http://a.example\n",
    "http://*.a.example",
    "null",
    "*",
    "",
    None,
]


@pytest.mark.parametrize("entry", MALFORMED)
def test_malformed_origin_is_refused_by_name(tmp_path: Path, entry: object) -> None:
    with pytest.raises(ValueError, match="CORS_ORIGINS") as refused:
        create_app({"UPLOAD_FOLDER": tmp_path, "CORS_ORIGINS": [FRONT_END, entry]})
    assert repr(entry) in str(refused.value)


@pytest.mark.parametrize("origins", [FRONT_END, "", 5173, None, {FRONT_END: True}])
def test_origins_that_are_no_list_are_refused(tmp_path: Path, origins: object) -> None:
    with pytest.raises(ValueError, match="CORS_ORIGINS"):
        create_app({"UPLOAD_FOLDER": tmp_path, "CORS_ORIGINS": origins})


def test_settings_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_CORS_ORIGINS", '["https://a.example", "https://b.example:8443"]')
    monkeypatch.setenv("FLASK_CORS_CREDENTIALS", "no")
    with pytest.raises(ValueError, match="CORS_CREDENTIALS is 'no'"):
        create_app({"UPLOAD_FOLDER": tmp_path})
    monkeypatch.setenv("FLASK_CORS_CREDENTIALS", "true")
    client = create_app({"UPLOAD_FOLDER": tmp_path}).test_client()
    answer = ask(client, "https://b.example:8443")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://b.example:8443"


# Traps


def wrong(hook: object) -> FlaskClient:
    """A client of an app with one view and the given hook."""
    app = Flask("wrong")
    app.add_url_rule("/j/echo/", view_func=lambda: "")
    app.after_request(hook)  # type: ignore[type-var]
    return app.test_client()


def test_trap_headers_add_sends_the_header_twice(app: Flask, client: FlaskClient) -> None:
    def add(response: Response) -> Response:
        response.headers.add("Access-Control-Allow-Origin", "*")
        return response

    def public() -> Response:
        return make_response("", {"Access-Control-Allow-Origin": "*"})

    twice = wrong(add)
    twice.application.add_url_rule("/public", view_func=public)
    answer = ask(twice, FRONT_END, "/public")
    assert answer.headers.getlist("Access-Control-Allow-Origin") == ["*", "*"]

    app.add_url_rule("/public", view_func=public)
    answer = ask(client, FRONT_END, "/public")
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [FRONT_END]


def test_trap_star_and_credentials_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="CORS_CREDENTIALS"):
        create_app({"UPLOAD_FOLDER": tmp_path, "CORS_ORIGINS": "*", "CORS_CREDENTIALS": True})


def test_trap_reflecting_the_origin_lets_everybody_in_with_cookies(client: FlaskClient) -> None:
    def reflect(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
        response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    evil = "https://evil.example"
    assert ask(wrong(reflect), evil).headers["Access-Control-Allow-Origin"] == evil
    assert cors_headers(ask(client, evil)) == []


@pytest.mark.parametrize(
    "matches",
    [
        lambda origin: FRONT_END in origin,
        lambda origin: origin.startswith(FRONT_END),
    ],
)
def test_trap_part_of_an_origin_matches(client: FlaskClient, matches: object) -> None:
    def allow_similar(response: Response) -> Response:
        if matches(request.headers["Origin"]):  # type: ignore[operator]
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        return response

    evil = "http://localhost:5173.evil.example"
    assert ask(wrong(allow_similar), evil).headers["Access-Control-Allow-Origin"] == evil
    assert cors_headers(ask(client, evil)) == []


def test_trap_without_vary_a_cache_mixes_the_answers_up(client: FlaskClient) -> None:
    def vary_only_when_allowed(response: Response) -> Response:
        if request.headers.get("Origin") == FRONT_END:
            response.headers["Access-Control-Allow-Origin"] = FRONT_END
            response.vary.add("Origin")
        return response

    def through_a_cache(client: FlaskClient) -> TestResponse:
        first = ask(client, None)  # somebody follows a link; a shared cache keeps the answer
        return ask(client, FRONT_END) if "Origin" in first.vary else first

    front_end_gets = through_a_cache(wrong(vary_only_when_allowed))
    assert "Access-Control-Allow-Origin" not in front_end_gets.headers
    assert through_a_cache(client).headers["Access-Control-Allow-Origin"] == FRONT_END


def test_trap_the_debugger_answers_without_cors_headers(app: Flask, client: FlaskClient) -> None:
    assert ask(client, FRONT_END, "/boom").headers["Access-Control-Allow-Origin"] == FRONT_END
    app.debug = True
    app.config["PROPAGATE_EXCEPTIONS"] = None
    answer = ask(Client(DebuggedApplication(app)), FRONT_END, "/boom")
    assert answer.status_code == 500
    assert cors_headers(answer) == []


def test_trap_files_do_not_pass_the_hook(tmp_path: Path) -> None:
    def file_from(app: Flask) -> TestResponse:
        client = app.test_client()
        uploaded = client.post("/uploads", data={"file": (BytesIO(b"hello"), "a.txt")})
        return ask(client, FRONT_END, uploaded.location or "")

    only_the_hook = create_app({"UPLOAD_FOLDER": tmp_path, "UPLOAD_HEADERS": {}})
    assert cors_headers(file_from(only_the_hook)) == []
    both = create_app({"UPLOAD_FOLDER": tmp_path})
    assert cors_headers(file_from(both)) == ["Access-Control-Allow-Origin"]


def test_trap_patch_is_not_in_the_articles_list(client: FlaskClient) -> None:
    def without_patch(response: Response) -> Response:
        response.headers["Access-Control-Allow-Methods"] = "GET,PUT,POST,DELETE"
        return response

    def allowed(client: FlaskClient) -> str:
        return preflight(client, FRONT_END).headers["Access-Control-Allow-Methods"]

    assert "PATCH" not in allowed(wrong(without_patch))
    assert "PATCH" in allowed(client)


def test_trap_preflight_of_a_missing_route_fails(client: FlaskClient) -> None:
    # A browser goes on after a 2xx only: the page sees a CORS error, never the 404.
    assert preflight(client, FRONT_END, "/j/nowhere").status_code == 404
    # A method that a route lacks is no such case: the preflight passes, the 405 can be read.
    assert preflight(client, FRONT_END, "/uploads").status_code == 200
    assert ask(client, FRONT_END, "/uploads", method="PUT").status_code == 405


def test_trap_a_blocked_post_has_still_run(app: Flask, client: FlaskClient) -> None:
    data = {"file": (BytesIO(b"from a foreign page"), "a.txt")}
    answer = client.post("/uploads", data=data, headers={"Origin": "https://evil.example"})
    assert cors_headers(answer) == []  # the page cannot read that ...
    assert answer.status_code == 201  # ... its file was stored
    assert len(list(app.config["UPLOAD_FOLDER"].iterdir())) == 1


def test_trap_a_login_hook_stops_the_preflight(app: Flask, client: FlaskClient) -> None:
    def login_required() -> None:
        if "Authorization" not in request.headers:
            abort(401)

    def login_required_but_for_preflights() -> None:
        if request.method != "OPTIONS":  # which never carries a cookie or Authorization
            login_required()

    app.before_request_funcs = {None: [login_required]}
    assert preflight(client, FRONT_END).status_code == 401
    app.before_request_funcs = {None: [login_required_but_for_preflights]}
    assert preflight(client, FRONT_END).status_code == 200
    assert ask(client, FRONT_END).status_code == 401


def test_trap_response_vary_forgets_a_second_line(client: FlaskClient) -> None:
    def vary_add(response: Response) -> Response:
        response.vary.add("Origin")
        return response

    def two_lines() -> Response:
        response = make_response("")
        response.headers.add("Vary", "Accept-Language")
        response.headers.add("Vary", "Cookie")
        return response

    forgetful = wrong(vary_add)
    forgetful.application.add_url_rule("/two", view_func=two_lines)
    assert ask(forgetful, FRONT_END, "/two").headers.getlist("Vary") == ["Accept-Language, Origin"]

    client.application.add_url_rule("/two", view_func=two_lines)
    answer = ask(client, FRONT_END, "/two")
    assert answer.headers.getlist("Vary") == ["Accept-Language, Cookie, Origin"]
