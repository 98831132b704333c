"""What goes wrong in the article's version of this chapter, and that it doesn't in ours."""

from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask, Response, abort, make_response, request
from flask.testing import FlaskClient
from werkzeug.debug import DebuggedApplication
from werkzeug.test import Client, TestResponse

from app import create_app

FRONT_END = "http://localhost:5173"
DESK = "https://desk.example"
EVIL = "https://evil.example"
ALLOWED = "Access-Control-Allow-Origin"
ECHO = "/j/echo/"
ARTICLE = "?version=article"


@pytest.fixture
def app(app: Flask) -> Flask:
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a bug is a 500, as in production
    app.config.update(CORS_ORIGINS=[FRONT_END], CORS_CREDENTIALS=False)

    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError("a bug")

    return app


def ask(client: Client, origin: str | None, url: str = ECHO, method: str = "GET") -> TestResponse:
    headers = {"Origin": origin} if origin else {}
    return client.open(url, method=method, headers=headers, buffered=True)


def preflight(client: Client, origin: str, url: str = ECHO) -> TestResponse:
    headers = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    return client.options(url, headers=headers)


def wrong(hook: object) -> FlaskClient:
    """A client of an app with one view and the given hook, for what the article doesn't do."""
    app = Flask("wrong")
    app.add_url_rule(ECHO, view_func=lambda: "")
    app.after_request(hook)  # type: ignore[type-var]
    return app.test_client()


def test_trap_everybody_may_read(client: FlaskClient) -> None:
    assert ask(client, EVIL, ECHO + ARTICLE).headers[ALLOWED] == "*"
    assert ALLOWED not in ask(client, EVIL).headers
    assert ask(client, FRONT_END).headers[ALLOWED] == FRONT_END


def test_trap_star_and_cookies_exclude_each_other(client: FlaskClient, tmp_path: Path) -> None:
    # Browsers refuse "*" for a request with cookies; checks/ shows it in a real one.
    assert ask(client, FRONT_END, ECHO + ARTICLE).headers[ALLOWED] == "*"
    with pytest.raises(ValueError, match="CORS_CREDENTIALS"):
        create_app({"UPLOAD_FOLDER": tmp_path, "CORS_ORIGINS": "*", "CORS_CREDENTIALS": True})
    client.application.config["CORS_CREDENTIALS"] = True
    answer = ask(client, FRONT_END)
    assert answer.headers[ALLOWED] == FRONT_END
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def test_trap_reflecting_the_origin_lets_everybody_in_with_cookies(client: FlaskClient) -> None:
    def reflect(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
        response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    assert ask(wrong(reflect), EVIL).headers[ALLOWED] == EVIL
    client.application.config["CORS_CREDENTIALS"] = True
    assert ALLOWED not in ask(client, EVIL).headers


@pytest.mark.parametrize(
    "matches",
    [
        lambda origin: DESK in origin,
        lambda origin: origin.startswith(DESK),
    ],
)
def test_trap_part_of_an_origin_matches(client: FlaskClient, matches: object) -> None:
    def allow_similar(response: Response) -> Response:
        if matches(request.headers["Origin"]):  # type: ignore[operator]
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        return response

    client.application.config["CORS_ORIGINS"] = [DESK]
    evil = "https://desk.example.evil.example"  # its owner only needs that domain
    assert ask(wrong(allow_similar), evil).headers[ALLOWED] == evil
    assert ALLOWED not in ask(client, evil).headers


def test_trap_without_vary_a_cache_mixes_the_answers_up(client: FlaskClient) -> None:
    def vary_only_when_allowed(response: Response) -> Response:
        if request.headers.get("Origin") == FRONT_END:
            response.headers["Access-Control-Allow-Origin"] = FRONT_END
            response.vary.add("Origin")
        return response

    def through_a_cache(client: FlaskClient) -> TestResponse:
        first = ask(client, None)  # somebody follows a link, and a shared cache keeps the answer
        return ask(client, FRONT_END) if "Origin" in first.vary else first

    assert ALLOWED not in through_a_cache(wrong(vary_only_when_allowed)).headers
    assert through_a_cache(client).headers[ALLOWED] == FRONT_END


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


def test_trap_headers_add_sends_the_header_twice(client: FlaskClient) -> None:
    def add(response: Response) -> Response:
        response.headers.add("Access-Control-Allow-Origin", "*")  # as the article does
        return response

    def public() -> Response:
        return make_response("", {"Access-Control-Allow-Origin": "*"})

    twice = wrong(add)
    twice.application.add_url_rule("/public", view_func=public)
    assert ask(twice, FRONT_END, "/public").headers.getlist(ALLOWED) == ["*", "*"]

    client.application.add_url_rule("/public", view_func=public)
    assert ask(client, FRONT_END, "/public").headers.getlist(ALLOWED) == [FRONT_END]


def test_trap_patch_is_not_in_the_list(client: FlaskClient) -> None:
    def allowed(url: str) -> str:
        return preflight(client, FRONT_END, url).headers["Access-Control-Allow-Methods"]

    assert allowed(ECHO + ARTICLE) == "GET,PUT,POST,DELETE"
    assert "PATCH" in allowed(ECHO)


def test_trap_files_do_not_pass_the_hook(client: FlaskClient) -> None:
    def file_from(version: str) -> TestResponse:
        data = {"file": (BytesIO(b"hello"), "a.txt")}
        url = client.post(f"/uploads{version}", data=data).location
        return ask(client, FRONT_END, f"{url}{version}")

    wrong = file_from(ARTICLE)
    assert (wrong.status_code, wrong.headers.get(ALLOWED)) == (200, None)
    assert file_from("").headers[ALLOWED] == "*"


def test_trap_the_debugger_answers_without_cors_headers(app: Flask, client: FlaskClient) -> None:
    assert ask(client, FRONT_END, "/boom").headers[ALLOWED] == FRONT_END
    app.debug = True
    app.config["PROPAGATE_EXCEPTIONS"] = None
    answer = ask(Client(DebuggedApplication(app)), FRONT_END, "/boom")
    assert answer.status_code == 500
    assert ALLOWED not in answer.headers


def test_trap_preflight_of_a_missing_route_fails(client: FlaskClient) -> None:
    # A browser goes on after a 2xx only: the page sees a CORS error, never the 404.
    assert preflight(client, FRONT_END, "/j/nowhere").status_code == 404
    # A method that a route lacks is another case: the preflight passes, the 405 can be read.
    assert preflight(client, FRONT_END, "/uploads").status_code == 200
    assert ask(client, FRONT_END, "/uploads", method="PATCH").status_code == 405


def test_trap_a_blocked_post_has_still_run(app: Flask, client: FlaskClient) -> None:
    data = {"file": (BytesIO(b"from a foreign page"), "a.txt")}
    answer = client.post("/uploads", data=data, headers={"Origin": EVIL})
    assert ALLOWED not in answer.headers  # the page cannot read that ...
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
