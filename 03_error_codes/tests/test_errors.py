"""What errors.py does."""

import copy
import logging
import pickle
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, abort, got_request_exception, make_response, request
from flask.testing import FlaskClient
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import HTTPException, TooManyRequests, Unauthorized
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

import errors
from app import create_app
from errors import ApiException


def sent(response: TestResponse) -> tuple[int, object]:
    return response.status_code, response.json


# The exception


@pytest.mark.parametrize("error", errors.CATALOGUE)
def test_an_exception_is_sent_with_code_message_and_status(
    app: Flask, client: FlaskClient, error: errors.Error
) -> None:
    @app.get("/anywhere")
    def view() -> str:
        raise ApiException(error)

    assert sent(client.get("/anywhere")) == (error.status, {"r": error.code, "msg": error.message})


@pytest.mark.parametrize("message", ["Gone since Monday.", "", "没有", "<b>"])
def test_a_message_of_its_own_is_sent_as_it_is(
    app: Flask, client: FlaskClient, message: str
) -> None:
    @app.get("/anywhere")
    def view() -> str:
        raise ApiException(errors.not_found, message)

    assert sent(client.get("/anywhere")) == (404, {"r": 1003, "msg": message})


def test_an_exception_as_message_is_its_text(app: Flask, client: FlaskClient) -> None:
    @app.get("/number")
    def view() -> str:
        try:
            return str(int("seven"))
        except ValueError as error:
            raise ApiException(errors.illegal_state, error) from error  # type: ignore[arg-type]

    body = {"r": 1004, "msg": "invalid literal for int() with base 10: 'seven'"}
    assert sent(client.get("/number")) == (400, body)


@pytest.mark.parametrize("message", [None, "Gone since Monday."])
def test_a_copy_says_the_same(app: Flask, message: str | None) -> None:
    error = ApiException(errors.not_found, message)
    pickled = pickle.loads(pickle.dumps(error))
    for same in (copy.copy(error), copy.deepcopy(error), pickled):
        assert type(same) is ApiException
        assert str(same) == str(error) == (message or "not_found")
        with app.test_request_context():
            assert same.to_result().json == error.to_result().json


def test_a_subclass_may_send_more(app: Flask, client: FlaskClient) -> None:
    class TooFast(ApiException):
        def to_result(self) -> Response:
            response = super().to_result()
            response.headers["Retry-After"] = "30"
            return response

    @app.get("/often")
    def often() -> str:
        raise TooFast(errors.illegal_state)

    assert client.get("/often").headers["Retry-After"] == "30"


# HTTP errors and bugs


@pytest.mark.parametrize("prefix", ["/j", "/j/", "/"])
@pytest.mark.parametrize("path", ["/j", "/j/", "/j/nope", "/j/users/9/nope"])
def test_an_unknown_url_of_the_api_is_1003(prefix: str, path: str) -> None:
    client = create_app({"API_PREFIX": prefix}).test_client()
    assert sent(client.get(path)) == (404, {"r": 1003, "msg": "not_found"})


@pytest.mark.parametrize("path", ["/", "/nope", "/jobs", "/other/j/nope", "/J/nope"])
def test_outside_the_api_errors_are_flasks_own_pages(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "<!doctype html>" in answer.text


def test_a_status_without_an_entry_is_its_own_code(client: FlaskClient) -> None:
    answer = client.patch("/j/users")
    assert sent(answer) == (405, {"r": 405, "msg": "Method Not Allowed"})
    assert set(answer.allow) == {"GET", "HEAD", "OPTIONS"}


def test_what_an_abort_says_stays_on_the_server(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    app.add_url_rule("/j/db", view_func=lambda: abort(500, "psycopg2: password=hunter2"))
    app.add_url_rule("/j/bad", "bad", lambda: abort(400, ValueError("line 7")))
    assert sent(client.get("/j/db")) == (500, {"r": 1000, "msg": "unknown_error"})
    assert caplog.messages == ["500 Internal Server Error: psycopg2: password=hunter2"]
    assert sent(client.get("/j/bad")) == (400, {"r": 400, "msg": "Bad Request"})


def test_headers_of_an_http_error_are_kept(app: Flask, client: FlaskClient) -> None:
    @app.get("/j/busy")
    def busy() -> str:
        raise TooManyRequests(retry_after=30)

    @app.get("/j/login")
    def login() -> str:
        raise Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "desk"}))

    assert client.get("/j/busy").headers["Retry-After"] == "30"
    assert client.get("/j/login").headers["WWW-Authenticate"] == "Basic realm=desk"


def test_a_redirect_or_a_complete_response_stays_as_it_is(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/j/echo/", view_func=lambda: "echo")
    app.add_url_rule("/j/teapot", "teapot", lambda: abort(make_response("short and stout", 418)))
    gone = Response("gone for good", 410)
    app.add_url_rule("/j/gone", "gone", lambda: abort(410, response=gone))
    assert client.get("/j/teapot").text == "short and stout"
    assert client.get("/j/gone").text == "gone for good"
    assert client.get("/j/echo").location == "http://localhost/j/echo/"


def test_a_redirect_stays_as_it_is_where_exceptions_are_trapped(
    app: Flask, client: FlaskClient
) -> None:
    app.config["TRAP_HTTP_EXCEPTIONS"] = True  # now Flask asks the handlers about redirects, too
    app.add_url_rule("/j/echo/", view_func=lambda: "echo")
    assert client.get("/j/echo").location == "http://localhost/j/echo/"


def test_an_exception_without_a_status_is_a_500_where_exceptions_are_trapped(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    app.config["TRAP_HTTP_EXCEPTIONS"] = True  # otherwise Flask asks no handler about it

    @app.get("/j/vague")
    def vague() -> str:
        raise HTTPException("Something")

    assert sent(client.get("/j/vague")) == (500, {"r": 1000, "msg": "unknown_error"})
    assert not caplog.records  # a handler that fails itself would give the same answer


def test_a_bug_is_1000_logged_once_signalled_once_and_tells_nothing(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    signalled = []

    def note(sender: Flask, exception: Exception, **extra: Any) -> None:
        signalled.append(exception)

    with got_request_exception.connected_to(note, app):
        assert sent(client.get("/j/boom")) == (500, {"r": 1000, "msg": "unknown_error"})
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info and record.exc_info[0] is ZeroDivisionError
    assert [type(error) for error in signalled] == [ZeroDivisionError]


def test_a_handler_for_exception_can_leave_bugs_to_ours(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    @app.errorhandler(Exception)
    def page(error: Exception) -> tuple[str, int]:
        if errors.is_api_request():
            raise error
        return "<h1>Sorry</h1>", 500

    app.add_url_rule("/page", view_func=lambda: str(1 / 0))
    assert client.get("/page").text == "<h1>Sorry</h1>"
    assert sent(client.get("/j/users/9")) == (404, {"r": 1003, "msg": "not_found"})
    assert sent(client.get("/j/boom")) == (500, {"r": 1000, "msg": "unknown_error"})
    assert caplog.text.count("ZeroDivisionError:") == 1


def test_a_bug_fails_the_test_that_meets_it() -> None:
    client = create_app({"TESTING": True}).test_client()
    with pytest.raises(ZeroDivisionError):
        client.get("/j/boom")


def test_the_exception_that_was_raised_is_not_changed(app: Flask, client: FlaskClient) -> None:
    error = TooManyRequests("Slowly.", retry_after=30)
    before = copy.deepcopy(vars(error))

    @app.get("/j/busy")
    def busy() -> str:
        raise error

    assert client.get("/j/busy").json == client.get("/j/busy").json
    after = {name: value for name, value in vars(error).items() if name in before}
    assert after == before


@pytest.mark.parametrize("prefix", ["j/", "", 7, Path("/j")])
def test_a_prefix_that_is_not_a_path_is_refused_by_name(prefix: object) -> None:
    with pytest.raises(ValueError, match="API_PREFIX is"):
        create_app({"API_PREFIX": prefix})


def test_the_prefix_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_API_PREFIX", "/api")
    app = create_app()
    assert app.config["API_PREFIX"] == "/api"
    assert app.test_client().get("/api/nope").json == {"r": 1003, "msg": "not_found"}


# The semantics of HTTP, at the root and below a prefix

OK = None  # an answer of the view, which isn't our subject
HTTP = [
    ("GET", "/j/users/1", {}, 200, OK),
    ("GET", "/j/users/9", {}, 404, 1003),
    ("GET", "/j/nope", {}, 404, 1003),
    ("GET", "/j/boom", {}, 500, 1000),
    ("OPTIONS", "/j/users/9", {}, 200, OK),  # Flask's answer for the route, which exists
    ("OPTIONS", "/j/nope", {}, 404, 1003),
    ("PATCH", "/j/users/9", {}, 405, 405),
    ("BREW", "/j/users/9", {}, 405, 405),
    ("POST", "/j/boom", {}, 405, 405),
    ("POST", "/j/nope", {}, 404, 1003),
    ("GET", "/j/users/9", {"If-None-Match": "*"}, 404, 1003),
    ("GET", "/j/users/9", {"Range": "bytes=0-1"}, 404, 1003),
    ("GET", "/j/file", {"Range": "bytes=0-1"}, 206, OK),
    ("GET", "/j/file", {"Range": "bytes=90-"}, 416, 416),
    ("GET", "/j/file", {"If-Match": '"other"'}, 412, OK),
    ("GET", "/j/file", {"If-None-Match": '"seven"'}, 304, OK),
]


def below(mount: str, app: Flask) -> Client:
    return Client(DispatcherMiddleware(Flask("root"), {mount: app}) if mount else app)


@pytest.mark.parametrize("mount", ["", "/desk"])
@pytest.mark.parametrize(("method", "path", "headers", "status", "code"), HTTP)
def test_http(
    app: Flask,
    mount: str,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    code: int | None,
) -> None:
    @app.get("/j/file")
    def file() -> Response:
        response = Response(b"1234567")
        response.set_etag("seven")
        response.make_conditional(request, accept_ranges=True, complete_length=7)
        return response

    answer = below(mount, app).open(mount + path, method=method, headers=headers)
    assert answer.status_code == status
    if code is not OK:
        assert answer.headers.getlist("Content-Type") == ["application/json"]
        assert answer.get_json()["r"] == code
    if status == 405:
        assert "GET" in answer.allow
    if status == 416:
        assert answer.headers["Content-Range"] == "bytes */7"


@pytest.mark.parametrize("mount", ["", "/desk"])
@pytest.mark.parametrize("path", ["/j/users/1", "/j/users/9", "/j/nope", "/j/boom", "/nope"])
def test_head_is_get_without_the_body(app: Flask, mount: str, path: str) -> None:
    client = below(mount, app)
    get, head = client.get(mount + path), client.head(mount + path)
    assert head.data == b""
    assert (head.status_code, head.headers) == (get.status_code, get.headers)


# Catalogue


def test_no_code_and_no_name_is_given_twice() -> None:
    entries = [value for value in vars(errors).values() if isinstance(value, errors.Error)]
    assert sorted(entries) == sorted(errors.CATALOGUE)
    for key in ("code", "message"):
        assert len({getattr(entry, key) for entry in entries}) == len(entries)


def test_every_entry_is_named_as_its_message_says_and_explained() -> None:
    for entry in errors.CATALOGUE:
        assert getattr(errors, entry.message) is entry
        assert entry.meaning and entry.remedy


def test_no_code_of_ours_could_be_a_status() -> None:
    assert not {entry.code for entry in errors.CATALOGUE} & set(HTTPStatus)


def test_an_entry_stands_for_the_status_that_it_has() -> None:
    for status, entry in errors.FOR_STATUS.items():
        assert entry.status == status


def test_flask_errors_prints_the_catalogue(app: Flask) -> None:
    output = app.test_cli_runner().invoke(args=["errors"]).output
    assert len(output.splitlines()) == len(errors.CATALOGUE)
    assert "1003 404 not_found" in output
    assert errors.not_found.meaning in output and errors.not_found.remedy in output


# Both versions


@pytest.mark.parametrize("path", ["/j/users", "/j/users/1"])
def test_what_works_is_the_same_in_both_versions(
    client: FlaskClient, article_client: FlaskClient, path: str
) -> None:
    answer = client.get(path)
    assert sent(answer) == sent(article_client.get(path))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/j/users/9"), ("DELETE", "/j/users/1"), ("GET", "/j/settings")]
)
def test_what_the_article_gets_right_is_the_same_in_ours(
    client: FlaskClient, article_client: FlaskClient, method: str, path: str
) -> None:
    ours, articles = client.open(path, method=method), article_client.open(path, method=method)
    assert sent(ours) == sent(articles)
    assert ours.status_code in (400, 403, 404) and ours.is_json
