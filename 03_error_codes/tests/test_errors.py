import logging
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, abort, make_response
from flask.testing import FlaskClient
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import TooManyRequests, Unauthorized
from werkzeug.test import TestResponse

import errors
from app import create_app
from errors import ApiException


@pytest.fixture
def app(app: Flask) -> Flask:
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a bug is a 500, as in production
    return app


def result(answer: TestResponse) -> tuple[int, object]:
    return answer.status_code, answer.json


# Success


def test_a_dict_gets_r_0(client: FlaskClient) -> None:
    user = {"id": 1, "name": "Ada", "blocked": False}
    assert result(client.get("/j/users/1")) == (200, {"r": 0, "user": user})
    assert client.get("/j/users").json["r"] == 0  # type: ignore[index]


def test_a_dict_in_a_tuple_gets_r_0_and_keeps_status_and_headers(client: FlaskClient) -> None:
    @client.application.get("/tuple")
    def view() -> tuple[dict[str, str], int, dict[str, str]]:
        return {"made": "yes"}, 201, {"Location": "/made"}

    answer = client.get("/tuple")
    assert result(answer) == (201, {"r": 0, "made": "yes"})
    assert answer.location == "/made"


@pytest.mark.parametrize("status", [429, "429 SLOW DOWN", HTTPStatus.TOO_MANY_REQUESTS])
def test_a_dict_with_an_error_status_is_not_a_success(client: FlaskClient, status: Any) -> None:
    client.application.add_url_rule("/busy", view_func=lambda: ({"error": "wait"}, status))
    assert result(client.get("/busy")) == (429, {"r": 429, "error": "wait"})


def test_anything_but_a_dict_stays_as_it_is(client: FlaskClient) -> None:
    client.application.add_url_rule("/text", view_func=lambda: ("plain", 202))
    assert (client.get("/text").text, client.get("/text").status_code) == ("plain", 202)


def test_text_of_any_language_survives(client: FlaskClient) -> None:
    assert client.get("/j/users/3").json["user"]["name"] == "林"  # type: ignore[index]


# Errors


def test_missing_user_is_1003(client: FlaskClient) -> None:
    assert result(client.get("/j/users/999")) == (404, {"r": 1003, "msg": "not_found"})


def test_delete_is_1002_with_a_message_of_its_own(client: FlaskClient) -> None:
    body = {"r": 1002, "msg": "Delete contacts on the phone."}
    assert result(client.delete("/j/users/1")) == (400, body)


def test_settings_are_1001(client: FlaskClient) -> None:
    assert result(client.get("/j/settings")) == (403, {"r": 1001, "msg": "access_forbidden"})


def test_blocking_twice_is_1004(client: FlaskClient) -> None:
    assert client.post("/j/users/1/block").status_code == 200
    again = client.post("/j/users/1/block")
    assert (again.status_code, again.json["r"]) == (400, 1004)  # type: ignore[index]


def test_of_many_blocks_at_once_one_succeeds(app: Flask) -> None:
    class SlowDict(dict[str, object]):
        def __getitem__(self, key: str) -> object:
            value = super().__getitem__(key)
            time.sleep(0.002)  # without the lock, the others would read the same meanwhile
            return value

    users = app.extensions["contacts"].users
    users[1] = SlowDict(users[1])
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: app.test_client().post("/j/users/1/block"), range(40))
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 39


def test_each_app_has_an_address_book_of_its_own(client: FlaskClient, tmp_path: Path) -> None:
    client.post("/j/users/1/block")
    other = create_app({"UPLOAD_FOLDER": tmp_path}).test_client().get("/j/users/1")
    assert other.json["user"]["blocked"] is False  # type: ignore[index]


def test_an_empty_real_message_is_a_message() -> None:
    assert ApiException(errors.not_found, "").to_result().json == {"r": 1003, "msg": ""}


@pytest.mark.parametrize("path", ["/j/nope", "/j/", "/j"])
def test_unknown_url_of_the_api_is_1003(client: FlaskClient, path: str) -> None:
    assert result(client.get(path)) == (404, {"r": 1003, "msg": "not_found"})


def test_a_failure_raised_by_hand_is_a_500_with_its_own_message(client: FlaskClient) -> None:
    body = {"r": 1000, "msg": "The phone doesn't answer."}
    assert result(client.post("/j/sync")) == (500, body)


def test_wrong_method_keeps_allow(client: FlaskClient) -> None:
    answer = client.patch("/j/users")
    assert result(answer) == (405, {"r": 405, "msg": "Method Not Allowed"})
    assert set(answer.allow) == {"GET", "HEAD", "OPTIONS"}
    assert answer.headers.getlist("Content-Type") == ["application/json"]


def test_outside_the_api_errors_are_flasks_own_pages(client: FlaskClient) -> None:
    for path in ("/nope", "/jobs"):
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (404, "text/html")
        assert "<!doctype html>" in answer.text


def test_headers_of_an_http_error_are_kept(app: Flask, client: FlaskClient) -> None:
    @app.get("/j/busy")
    def busy() -> str:
        raise TooManyRequests(retry_after=30)

    @app.get("/j/login")
    def login() -> str:
        raise Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "desk"}))

    assert client.get("/j/busy").headers["Retry-After"] == "30"
    assert client.get("/j/login").headers["WWW-Authenticate"] == "Basic realm=desk"


def test_a_redirect_or_a_response_of_its_own_passes_unchanged(
    app: Flask, client: FlaskClient
) -> None:
    app.add_url_rule("/j/teapot", view_func=lambda: abort(make_response("short and stout", 418)))
    gone = Response("gone for good", 410)
    app.add_url_rule("/j/gone", "gone", lambda: abort(410, response=gone))
    assert client.get("/j/teapot").text == "short and stout"
    assert client.get("/j/gone").text == "gone for good"
    assert client.get("/j/echo").status_code == 308


def test_a_redirect_keeps_its_location_where_exceptions_are_trapped(
    app: Flask, client: FlaskClient
) -> None:
    app.config["TRAP_HTTP_EXCEPTIONS"] = True
    assert client.get("/j/echo").location == "http://localhost/j/echo/"


def test_a_bug_is_1000_logged_once_and_tells_nothing(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert result(client.get("/j/boom")) == (500, {"r": 1000, "msg": "unknown_error"})
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info and record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize("prefix", ["j/", "/j", 7])
def test_a_prefix_that_is_not_a_path_is_refused_by_name(tmp_path: Path, prefix: object) -> None:
    with pytest.raises(ValueError, match=f"API_PREFIX is {prefix!r}"):
        create_app({"UPLOAD_FOLDER": tmp_path, "API_PREFIX": prefix})


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


def test_api_returns_the_catalogue(client: FlaskClient) -> None:
    answer = client.get("/j/errors").json
    assert answer == {"r": 0, "errors": [entry._asdict() for entry in errors.CATALOGUE]}


def test_flask_errors_prints_the_catalogue(app: Flask) -> None:
    output = app.test_cli_runner().invoke(args=["errors"]).output
    assert "1003 404 not_found" in output
    assert errors.not_found.meaning in output and errors.not_found.remedy in output
