"""What goes wrong in the article's version of this chapter, and that it doesn't in ours."""

import json
import pickle
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.test import TestResponse

import article
import errors
from exceptions import ApiException, ParameterException, Success

ARTICLE = "?version=article"
REGISTER = "/v1/client/register"


@pytest.fixture
def app(app: Flask) -> Flask:
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a bug is a 500, as in production
    return app


def raised(error: HTTPException, path: str = "/here") -> TestResponse:
    """Return what a Flask app without any handler answers when a view raises *error*."""
    app = Flask("plain")

    @app.get("/<path:path>")
    def view(path: str) -> str:
        raise error

    return app.test_client().get(path)


def test_trap_get_body_takes_a_second_argument(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = client.post(REGISTER + ARTICLE, json={"type": "fax"})
    assert (wrong.status_code, wrong.mimetype) == (500, "text/html")
    assert "takes from 1 to 2 positional arguments but 3 were given" in caplog.text
    right = client.post(REGISTER, json={"type": "fax"})
    assert (right.status_code, right.get_json()["error_code"]) == (400, 1006)


def test_trap_headers_get_lost(client: FlaskClient) -> None:
    wrong, right = client.post("/v1/client/sms" + ARTICLE), client.post("/v1/client/sms")
    assert wrong.status_code == right.status_code == 429
    assert "Retry-After" not in wrong.headers
    assert right.headers["Retry-After"] == "30"

    class Wrong(article.ApiException, MethodNotAllowed):
        code = 405

    class Right(ApiException, MethodNotAllowed):
        code = 405

    wrong_405, right_405 = Wrong(), Right()
    wrong_405.valid_methods = right_405.valid_methods = ["GET"]
    assert "Allow" not in raised(wrong_405).headers
    assert raised(right_405).headers["Allow"] == "GET"


def test_trap_0_and_an_empty_message_are_values() -> None:
    wrong = raised(article.ApiException(msg="", error_code=0)).get_json()
    assert (wrong["msg"], wrong["error_code"]) == ("sorry, we made a mistake", 999)
    right = raised(ApiException("", error_code=0)).get_json()
    assert (right["msg"], right["error_code"]) == ("", 0)


def test_trap_no_request_no_body() -> None:
    with pytest.raises(RuntimeError, match="request context"):
        article.Success().get_response()
    assert Success().get_response().get_json()["request"] is None


def test_trap_1000_cannot_mean_two_things(client: FlaskClient) -> None:
    first = {"unknown_error": 1000}  # the first article's catalogue, and chapter 03's
    second = {"unknown_error": 999, "invalid_parameter": 1000}  # the second article's
    assert first["unknown_error"] == second["invalid_parameter"]
    codes = [entry["error_code"] for entry in errors.catalogue()]
    assert len(set(codes)) == len(codes)
    assert client.get("/j/boom").get_json()["error_code"] == 999
    assert client.post(REGISTER, json=[]).get_json()["error_code"] == 1000


def test_trap_a_question_mark_may_be_part_of_the_path() -> None:
    path = "/what%3F/now?q=1"
    assert raised(article.Success(), path).get_json()["request"] == "GET /what"
    assert raised(Success(), path).get_json()["request"] == "GET /what?/now"


def test_trap_a_class_attribute_is_shared_by_every_raise() -> None:
    class Wrong(ApiException):
        msg: dict[str, str] = {}  # noqa: RUF012

        def __init__(self, field: str) -> None:
            super().__init__()
            self.msg[field] = "is wrong"

    assert raised(Wrong("account")).get_json()["msg"] == {"account": "is wrong"}
    two_clients = {"account": "is wrong", "secret": "is wrong"}
    assert raised(Wrong("secret")).get_json()["msg"] == two_clients

    raised(ParameterException({"account": "is wrong"}))
    answer = raised(ParameterException({"secret": "is wrong"}))
    assert answer.get_json()["msg"] == {"secret": "is wrong"}


class Demanding(HTTPException):  # at the top level, because pickle finds a class by its name
    def __init__(self, error_code: int) -> None:
        super().__init__()
        self.error_code = error_code


def test_trap_strange_input_is_still_input(client: FlaskClient) -> None:
    # Deeply nested brackets: a RecursionError, which silent=True doesn't cover.
    nested: dict[str, Any] = {"data": b"[" * 100_000, "content_type": "application/json"}
    assert client.post(REGISTER + ARTICLE, **nested).status_code == 500
    assert client.post(REGISTER, **nested).status_code == 400

    # Half an emoji: legal in JSON, but it has no UTF-8 encoding.
    half = "Nobody is called \ud83d."
    with pytest.raises(UnicodeEncodeError):
        Response(json.dumps({"msg": half}, ensure_ascii=False))
    assert raised(ApiException(half)).get_json()["msg"] == half


def test_trap_a_required_argument_breaks_pickle() -> None:
    with pytest.raises(TypeError, match="missing 1 required"):
        pickle.loads(pickle.dumps(Demanding(1006)))
    assert pickle.loads(pickle.dumps(ApiException(error_code=1006))).error_code == 1006
