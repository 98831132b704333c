"""What goes wrong in the article's version of this chapter, and that it doesn't in ours."""

import pytest
from flask import Flask, Response, make_response, request
from flask.testing import FlaskClient
from werkzeug.debug import DebuggedApplication
from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.test import Client, TestResponse

import cors
from app import create_app

FRONT_END = "http://127.0.0.1:8100"
STRANGER = "http://localhost:8100"
DESK = "https://desk.example"
EVIL = "https://desk.example.evil.example"  # its owner only needs evil.example
ALLOWED = "Access-Control-Allow-Origin"
ECHO = "/j/echo/"
FILE = "/files/versions.txt"


def ask(client: Client, origin: str | None, url: str = ECHO, method: str = "GET") -> TestResponse:
    headers = {"Origin": origin} if origin else {}
    return client.open(url, method=method, headers=headers, buffered=True)


def preflight(client: Client, url: str, method: str = "PUT") -> TestResponse:
    headers = {"Origin": FRONT_END, "Access-Control-Request-Method": method}
    return client.options(url, headers=headers)


def wrong(hook: object) -> FlaskClient:
    """A client of an app with one view and the given hook, for what the article doesn't do."""
    app = Flask("wrong")
    app.add_url_rule(ECHO, view_func=lambda: "")
    app.after_request(hook)  # type: ignore[type-var]
    return app.test_client()


def test_trap_everybody_may_read(client: FlaskClient, article_client: FlaskClient) -> None:
    assert ask(article_client, STRANGER).headers[ALLOWED] == "*"
    assert ALLOWED not in ask(client, STRANGER).headers
    assert ask(client, FRONT_END).headers[ALLOWED] == FRONT_END


def test_trap_a_blocked_post_has_still_run(client: FlaskClient) -> None:
    stored = []

    @client.application.post("/notes")
    def add_note() -> tuple[str, int]:
        stored.append(request.form["text"])
        return "stored", 201

    form = {"text": "from a foreign page"}
    answer = client.post("/notes", data=form, headers={"Origin": STRANGER})
    assert ALLOWED not in answer.headers  # the page can't read the answer ...
    assert stored == ["from a foreign page"]  # ... to what has happened


def test_trap_star_and_cookies_exclude_each_other(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    # Browsers refuse "*" for a request with cookies; checks/ shows it in a real one.
    assert ask(article_client, FRONT_END).headers[ALLOWED] == "*"
    answer = ask(client, FRONT_END)
    assert answer.headers[ALLOWED] == FRONT_END
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    with pytest.raises(ValueError, match="CORS_CREDENTIALS"):
        create_app({"CORS_ORIGINS": "*", "CORS_CREDENTIALS": True})


def test_trap_patch_is_not_in_the_list(client: FlaskClient, article_client: FlaskClient) -> None:
    def methods(client: FlaskClient) -> str:
        return preflight(client, ECHO, "PATCH").headers["Access-Control-Allow-Methods"]

    assert methods(article_client) == "GET,PUT,POST,DELETE"
    assert "PATCH" in methods(client).split(", ")


def test_trap_files_do_not_pass_the_hook(client: FlaskClient, article_client: FlaskClient) -> None:
    answer = ask(article_client, FRONT_END, FILE)
    assert (answer.status_code, answer.headers.get(ALLOWED)) == (200, None)
    answer = ask(client, FRONT_END, FILE)
    assert (answer.status_code, answer.headers.get(ALLOWED)) == (200, FRONT_END)


def test_trap_a_hook_that_raises_ends_all_hooks(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    answer = ask(article_client, FRONT_END, f"{ECHO}?page=two")
    assert (answer.status_code, answer.headers.get(ALLOWED)) == (500, None)
    answer = ask(client, FRONT_END, f"{ECHO}?page=two")
    assert (answer.status_code, answer.headers.get(ALLOWED)) == (500, FRONT_END)


def test_trap_headers_add_sends_the_header_twice(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    assert ask(article_client, FRONT_END, "/j/public").headers.getlist(ALLOWED) == ["*", "*"]
    assert ask(client, FRONT_END, "/j/public").headers.getlist(ALLOWED) == [FRONT_END]


def test_trap_the_star_of_other_code_survives(client: FlaskClient) -> None:
    def assign_if_allowed(response: Response) -> Response:
        if request.headers.get("Origin") == FRONT_END:
            response.headers["Access-Control-Allow-Origin"] = FRONT_END
        return response

    def public() -> Response:
        return make_response("", {"Access-Control-Allow-Origin": "*"})

    careless = wrong(assign_if_allowed)
    careless.application.add_url_rule("/j/public", view_func=public)
    assert ask(careless, STRANGER, "/j/public").headers[ALLOWED] == "*"
    assert ALLOWED not in ask(client, STRANGER, "/j/public").headers


def test_trap_a_preflight_fails_before_the_hook_can_help(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    # A browser goes on after a 2xx only: the page sees a CORS error, never the 404.
    for url, status in [("/j/echo", 308), ("/j/nope", 404), ("/j/members", 401)]:
        assert preflight(article_client, url).status_code == status
        assert preflight(client, url).status_code == 204
        assert ask(client, FRONT_END, url, method="PUT").status_code == status
        assert ask(client, FRONT_END, url, method="PUT").headers[ALLOWED] == FRONT_END


def test_trap_an_origin_in_another_form_never_matches() -> None:
    def not_checked(response: Response) -> Response:
        if request.headers.get("Origin") in ["http://127.0.0.1:8100/"]:
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        return response

    assert ALLOWED not in ask(wrong(not_checked), FRONT_END).headers
    with pytest.raises(ValueError, match=r"'http://127\.0\.0\.1:8100/' is not just scheme://host"):
        create_app({"CORS_ORIGINS": ["http://127.0.0.1:8100/"]})


def test_trap_a_string_matches_its_parts() -> None:
    def any_part(response: Response) -> Response:
        if request.headers["Origin"] in "http://localhost:5173":
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        return response

    part = "http://localhost:517"
    assert ask(wrong(any_part), part).headers[ALLOWED] == part
    client = create_app({"CORS_ORIGINS": "http://localhost:5173"}).test_client()
    assert ALLOWED not in ask(client, part).headers
    assert ALLOWED in ask(client, "http://localhost:5173").headers


def test_trap_false_from_the_environment_is_a_true_string(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_CORS_CREDENTIALS", "False")
    careless = Flask("careless")
    careless.config.from_prefixed_env()
    assert careless.config["CORS_CREDENTIALS"]
    with pytest.raises(ValueError, match="CORS_CREDENTIALS is 'False'"):
        create_app()


def test_trap_reflecting_the_origin_lets_everybody_in_with_cookies(client: FlaskClient) -> None:
    def reflect(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
        response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    assert ask(wrong(reflect), EVIL).headers[ALLOWED] == EVIL
    assert client.application.config["CORS_CREDENTIALS"] is True
    assert ALLOWED not in ask(client, EVIL).headers


@pytest.mark.parametrize(
    "matches",
    [
        lambda origin: DESK in origin,
        lambda origin: origin.startswith(DESK),
    ],
)
def test_trap_part_of_an_origin_matches(matches: object) -> None:
    def allow_similar(response: Response) -> Response:
        if matches(request.headers["Origin"]):  # type: ignore[operator]
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        return response

    assert ask(wrong(allow_similar), EVIL).headers[ALLOWED] == EVIL
    client = create_app({"CORS_ORIGINS": [DESK]}).test_client()
    assert ALLOWED not in ask(client, EVIL).headers
    assert ask(client, DESK).headers[ALLOWED] == DESK


def test_trap_without_vary_a_cache_mixes_the_answers_up(client: FlaskClient) -> None:
    def vary_only_when_allowed(response: Response) -> Response:
        if request.headers.get("Origin") == FRONT_END:
            response.headers["Access-Control-Allow-Origin"] = FRONT_END
            response.headers.add("Vary", "Origin")
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
    assert answer.headers.getlist("Vary") == ["Accept-Language", "Cookie", "Origin"]


def test_trap_the_debugger_answers_without_cors_headers(app: Flask) -> None:
    url = f"{ECHO}?page=two"
    assert ask(app.test_client(), FRONT_END, url).headers[ALLOWED] == FRONT_END
    app.debug = True
    app.config["PROPAGATE_EXCEPTIONS"] = None
    answer = ask(Client(DebuggedApplication(app)), FRONT_END, url)
    assert answer.status_code == 500
    assert ALLOWED not in answer.headers


def test_trap_what_wraps_the_app_later_has_no_cors_headers() -> None:
    def files_in_front(app: Flask) -> None:
        files = {"/pyproject.toml": __file__}
        app.wsgi_app = SharedDataMiddleware(app.wsgi_app, files)  # type: ignore[method-assign]

    def build(*steps: object) -> FlaskClient:
        app = Flask("desk")
        app.config["CORS_ORIGINS"] = [FRONT_END]
        for step in steps:
            step(app)  # type: ignore[operator]
        return app.test_client()

    too_early = build(cors.init_app, files_in_front)
    assert ALLOWED not in ask(too_early, FRONT_END, "/pyproject.toml").headers
    last = build(files_in_front, cors.init_app)
    assert ask(last, FRONT_END, "/pyproject.toml").headers[ALLOWED] == FRONT_END
