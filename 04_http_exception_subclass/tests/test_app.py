from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import article
from app import create_app

REGISTER = "/v1/client/register"
ADA = {"account": "ada@desk.example", "secret": "a long secret", "type": "email", "nickname": "Ada"}


def register(client: FlaskClient, **fields: Any) -> TestResponse:
    return client.post(REGISTER, json=ADA | fields)


def codes(answer: TestResponse) -> tuple[int, int]:
    return answer.status_code, answer.get_json()["error_code"]


@pytest.mark.parametrize("kind", ["email", "mobile", "mini_program"])
def test_a_client_of_each_type_is_registered(client: FlaskClient, kind: str) -> None:
    answer = register(client, type=kind)
    assert answer.status_code == 201
    assert answer.json == {"error_code": 0, "msg": "success", "request": f"POST {REGISTER}"}


@pytest.mark.parametrize("kind", [None, "fax", "", 7, ["email"], {"email": 1}])
def test_an_unknown_or_missing_type_is_1006(client: FlaskClient, kind: object) -> None:
    assert codes(register(client, type=kind)) == (400, 1006)


def test_all_fields_that_are_wrong_are_named_at_once(client: FlaskClient) -> None:
    answer = register(client, account=None, nickname=7)
    assert codes(answer) == (400, 1000)
    needed = ["A text is needed."]
    assert answer.get_json()["msg"] == {"account": needed, "nickname": needed}


@pytest.mark.parametrize("value", [None, 12345678, 1.5, True, ["a"], {"a": "c"}], ids=repr)
@pytest.mark.parametrize("field", ["account", "secret", "nickname"])
def test_anything_but_a_text_is_1000(client: FlaskClient, field: str, value: object) -> None:
    answer = register(client, **{field: value})
    assert codes(answer) == (400, 1000)
    assert list(answer.get_json()["msg"]) == [field]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"7", b"\xff\xfe", b"[" * 100_000, b"1" * 5000],
    ids=lambda body: repr(body[:9]),
)
def test_a_body_that_is_not_a_json_object_is_1000(client: FlaskClient, body: bytes) -> None:
    answer = client.post(REGISTER, data=body, content_type="application/json")
    assert codes(answer) == (400, 1000)


def test_another_content_type_is_1000(client: FlaskClient) -> None:
    assert codes(client.post(REGISTER, data=ADA)) == (400, 1000)


def test_another_sms_is_429_and_says_when_to_try_again(client: FlaskClient) -> None:
    answer = client.post("/v1/client/sms")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")


def test_a_user_comes_without_a_message(client: FlaskClient) -> None:
    answer = client.get("/j/users/3")
    assert answer.json == {"error_code": 0, "msg": "", "request": "GET /j/users/3", "user": "林"}


def test_a_missing_user_is_1003(client: FlaskClient) -> None:
    answer = client.get("/j/users/9?token=secret")
    assert answer.status_code == 404
    assert answer.json == {"error_code": 1003, "msg": "not_found", "request": "GET /j/users/9"}


def test_what_flask_refuses_by_itself_is_a_page_of_html(client: FlaskClient) -> None:
    # Chapter 05 is about these.
    unknown, wrong_method = client.get("/j/nope"), client.patch("/j/users/1")
    assert (unknown.status_code, unknown.mimetype) == (404, "text/html")
    assert (wrong_method.status_code, wrong_method.mimetype) == (405, "text/html")


def routes(app: Flask) -> set[tuple[str, str]]:
    return {(rule.rule, " ".join(sorted(rule.methods or ()))) for rule in app.url_map.iter_rules()}


def test_both_versions_answer_the_same_requests() -> None:
    assert routes(create_app()) == routes(article.create_app())


def test_settings_come_from_the_environment_and_then_from_the_argument(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLASK_COLOUR", '"red"')
    assert create_app().config["COLOUR"] == "red"
    assert create_app({"COLOUR": "blue"}).config["COLOUR"] == "blue"
