from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask, Response, make_response, session
from flask.testing import FlaskClient
from werkzeug.test import Client, TestResponse

import cors
from app import create_app

FRONT_END = "http://localhost:5173"
PREFLIGHT = {"Access-Control-Request-Method": "PUT"}


@pytest.fixture
def app(app: Flask) -> Flask:
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a bug is a 500, as in production
    app.config.update(CORS_ORIGINS=[FRONT_END], CORS_CREDENTIALS=False)

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
    "http://localhost.evil.example:5173",
    "http://LOCALHOST:5173",
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


def test_every_line_of_vary_is_kept(app: Flask, client: FlaskClient) -> None:
    @app.get("/two")
    def two_lines() -> Response:
        response = make_response("")
        response.headers.add("Vary", "Accept-Language")
        response.headers.add("Vary", "Cookie")
        return response

    answer = ask(client, FRONT_END, "/two")
    assert answer.headers.getlist("Vary") == ["Accept-Language, Cookie, Origin"]


def test_an_allowed_page_may_read_where_its_upload_went(client: FlaskClient) -> None:
    answer = ask(client, FRONT_END)
    assert answer.headers["Access-Control-Expose-Headers"] == "Location, X-Request-ID"


# Preflight


def test_preflight_names_methods_headers_and_how_long_to_remember(client: FlaskClient) -> None:
    answer = preflight(client, FRONT_END)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == FRONT_END
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, PUT, PATCH, DELETE"
    assert answer.headers["Access-Control-Allow-Headers"] == (
        "Content-Type, Authorization, X-Request-ID"
    )
    assert answer.headers["Access-Control-Max-Age"] == "600"


def test_plain_options_is_not_a_preflight(client: FlaskClient) -> None:
    answer = ask(client, FRONT_END, method="OPTIONS")
    assert "Access-Control-Allow-Methods" not in answer.headers


# Settings


def test_credentials_only_when_set(tmp_path: Path, client: FlaskClient) -> None:
    assert "Access-Control-Allow-Credentials" not in ask(client, FRONT_END).headers
    with_credentials = {"CORS_ORIGINS": [FRONT_END], "CORS_CREDENTIALS": True}
    app = create_app({"UPLOAD_FOLDER": tmp_path, **with_credentials})
    assert ask(app.test_client(), FRONT_END).headers["Access-Control-Allow-Credentials"] == "true"
    assert cors_headers(ask(app.test_client(), "https://evil.example")) == []


@pytest.mark.parametrize("origin", [None, "https://anywhere.example"])
def test_star_lets_everybody_read(tmp_path: Path, origin: str | None) -> None:
    public = {"CORS_ORIGINS": "*", "CORS_CREDENTIALS": False}
    app = create_app({"UPLOAD_FOLDER": tmp_path, **public})
    answer = ask(app.test_client(), origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in answer.headers


def test_the_default_is_the_address_of_vites_development_server() -> None:
    app = Flask("default")
    cors.init_app(app)
    app.add_url_rule("/", view_func=lambda: "")
    answer = ask(app.test_client(), FRONT_END, "/")
    assert answer.headers["Access-Control-Allow-Origin"] == FRONT_END


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
    "http://a.example:",
    "http://a.example:08102",
    "http://bücher.example",
    "http://a b.example",
    "http://[::1",
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


@pytest.mark.parametrize(
    "origin", ["http://localhost:5173", "https://a.example", "http://[::1]:8080", "capacitor://app"]
)
def test_what_browsers_send_is_accepted(tmp_path: Path, origin: str) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "CORS_ORIGINS": [origin]})
    answer = ask(app.test_client(), origin)
    assert answer.headers["Access-Control-Allow-Origin"] == origin


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
