import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.security import check_password_hash
from werkzeug.test import TestResponse

URL = "/v1/client/register"
# Python takes these for text, but UTF-8 has no lone surrogates and no client needs a NUL.
HALVES = ["long enough\ud800", "\ud83d@desk.example", "a\0b@desk.example"]
ADA = {"account": "ada@desk.example", "secret": "a long secret", "type": "email", "nickname": "Ada"}


def register(client: FlaskClient, **fields: Any) -> TestResponse:
    return client.post(URL, json=ADA | fields)


def code(answer: TestResponse) -> tuple[int, int]:
    return answer.status_code, answer.get_json()["error_code"]


@pytest.mark.parametrize(
    ("kind", "account"),
    [
        ("email", "林@bücher.example"),
        ("mobile", "13800138000"),
        ("mobile", "+442071838750"),
        ("mini_program", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"),
    ],
)
def test_a_client_of_each_type_is_made(client: FlaskClient, kind: str, account: str) -> None:
    answer = register(client, type=kind, account=account)
    assert answer.status_code == 201
    assert answer.json == {"error_code": 0, "msg": "success", "request": f"POST {URL}"}


def test_an_account_that_exists_is_1004(client: FlaskClient) -> None:
    register(client)
    assert code(register(client, nickname="Grace")) == (400, 1004)


def test_of_many_registrations_at_once_one_succeeds(app: Flask) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: register(app.test_client()), range(8))
        assert sorted(answer.status_code for answer in answers) == [201] + [400] * 7


@pytest.mark.parametrize("kind", [None, "fax", "", 7, ["email"], {"email": 1}])
def test_an_unknown_or_missing_type_is_1006(client: FlaskClient, kind: object) -> None:
    assert code(register(client, type=kind)) == (400, 1006)


def test_all_fields_that_are_wrong_are_named_at_once(client: FlaskClient) -> None:
    answer = register(client, account="ada", secret="short", nickname=None)
    assert code(answer) == (400, 1000)
    assert answer.get_json()["msg"] == {
        "account": ["An e-mail address is needed."],
        "secret": ["8 to 128 characters are needed."],
        "nickname": ["A text is needed."],
    }


@pytest.mark.parametrize(
    ("kind", "account"),
    [
        ("email", "ada@desk"),
        ("email", "a b@desk.example"),
        ("email", "ada@desk.example\n"),
        ("email", "ada@..example"),
        ("mobile", "138-0013-8000"),
        ("mobile", "１３８００１３８０００"),
        ("mini_program", "openid"),
    ],
)
def test_each_type_has_a_rule_of_its_own(client: FlaskClient, kind: str, account: str) -> None:
    answer = register(client, type=kind, account=account)
    assert code(answer) == (400, 1000)
    assert list(answer.get_json()["msg"]) == ["account"]


@pytest.mark.parametrize("field", ["account", "secret", "nickname"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        12345678,
        1.5,
        True,
        ["a long list"],
        {"a": {"b": "c"}},
        "",
        " " * 9,
        "x" * 2**20,
        *HALVES,
    ],
    ids=repr,
)
def test_anything_but_a_text_of_that_length_is_1000(
    client: FlaskClient, field: str, value: object
) -> None:
    answer = register(client, **{field: value})
    assert code(answer) == (400, 1000)
    assert list(answer.get_json()["msg"]) == [field]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"7", b"\xff\xfe", b"[" * 100_000, b"1" * 5000],
    ids=lambda body: repr(body[:9]),
)
def test_a_body_that_is_not_a_json_object_is_1000(client: FlaskClient, body: bytes) -> None:
    answer = client.post(URL, data=body, content_type="application/json")
    assert code(answer) == (400, 1000)


def test_another_content_type_is_1000(client: FlaskClient) -> None:
    assert code(client.post(URL, data=ADA)) == (400, 1000)


def test_a_body_that_is_too_large_is_413(client: FlaskClient) -> None:
    client.application.config["MAX_CONTENT_LENGTH"] = 1000
    assert register(client, secret="x" * 1000).status_code == 413


def test_another_sms_is_429_and_says_when_to_try_again(client: FlaskClient) -> None:
    answer = client.post("/v1/client/sms")
    assert code(answer) == (429, 1004)
    assert answer.headers["Retry-After"] == "30"


def test_the_secret_is_stored_hashed_and_told_to_nobody(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        made, again, wrong = register(client), register(client), register(client, nickname="")
    for answer in (made, again, wrong):
        assert ADA["secret"] not in answer.text
    assert ADA["secret"] not in caplog.text
    [stored] = app.extensions["clients"].values()
    assert ADA["secret"] not in str(stored)
    assert check_password_hash(stored["secret"], ADA["secret"])
