import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import errors
from app import create_app
from exceptions import ApiException


def result(answer: TestResponse) -> tuple[int, int, str]:
    body = answer.get_json()
    return answer.status_code, body["error_code"], body["msg"]


# The API of chapter 03


def test_success_is_0_with_what_was_asked_for(client: FlaskClient) -> None:
    answer = client.get("/j/users/3")
    assert result(answer) == (200, 0, "success")
    assert answer.get_json()["user"] == {"id": 3, "name": "林", "blocked": False}


def test_missing_user_is_1003(client: FlaskClient) -> None:
    answer = client.get("/j/users/999")
    assert answer.status_code == 404
    assert answer.json == {"error_code": 1003, "msg": "not_found", "request": "GET /j/users/999"}


def test_delete_is_1002_with_a_message_of_its_own(client: FlaskClient) -> None:
    message = "Delete contacts on the phone."
    assert result(client.delete("/j/users/1")) == (400, 1002, message)


def test_settings_are_1001(client: FlaskClient) -> None:
    assert result(client.get("/j/settings")) == (403, 1001, "access_forbidden")


def test_a_failure_raised_by_hand_is_999_with_its_own_message(client: FlaskClient) -> None:
    assert result(client.post("/j/sync")) == (500, 999, "The phone doesn't answer.")


def test_blocking_twice_is_1004(client: FlaskClient) -> None:
    assert client.post("/j/users/1/block").status_code == 200
    assert result(client.post("/j/users/1/block"))[:2] == (400, 1004)


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
    assert other.get_json()["user"]["blocked"] is False


# Catalogue


def every_class(base: type[ApiException]) -> set[type[ApiException]]:
    mine = [c for c in base.__subclasses__() if c.__module__ in ("errors", "exceptions")]
    return {base}.union(*map(every_class, mine))


def test_the_catalogue_has_every_class_and_no_code_or_name_twice() -> None:
    assert every_class(ApiException) == set(errors.CATALOGUE)
    for key in ("error_code", "msg"):
        assert len({entry[key] for entry in errors.catalogue()}) == len(errors.CATALOGUE)


def test_every_class_is_explained() -> None:
    assert all(error.__doc__ for error in errors.CATALOGUE)


def test_api_returns_the_catalogue(client: FlaskClient) -> None:
    assert client.get("/j/errors").get_json()["errors"] == errors.catalogue()


def test_flask_errors_prints_the_catalogue(app: Flask) -> None:
    output = app.test_cli_runner().invoke(args=["errors"]).output
    assert "1003 404 not_found" in output
    assert str(errors.NotFound.__doc__) in output
