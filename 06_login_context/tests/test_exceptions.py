import copy
import json
import pickle
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    RequestedRangeNotSatisfiable,
    TooManyRequests,
    Unauthorized,
)
from werkzeug.test import Client, TestResponse

from exceptions import ApiException, ClientTypeError, ParameterException, Success

FAULTS = {"昵称": ["太长"], "secret": ["8 to 128 characters are needed."]}


def raised(error: HTTPException, path: str = "/j/here", **options: Any) -> TestResponse:
    """Return what a Flask app without any handler answers when a view raises *error*."""
    app = Flask("plain")

    @app.route("/j/<path:path>", methods=["GET", "POST"])
    def view(path: str) -> str:
        raise error

    return app.test_client().open(path, **options)


# The body


@pytest.mark.parametrize(
    ("error", "status", "error_code", "msg"),
    [
        (ApiException(), 500, 999, "unknown_error"),
        (ClientTypeError(), 400, 1006, "invalid_client"),
        (ParameterException(), 400, 1000, "invalid_parameter"),
        (Success(), 200, 0, "success"),
    ],
)
def test_a_class_says_status_code_and_message(
    error: ApiException, status: int, error_code: int, msg: str
) -> None:
    answer = raised(error)
    assert answer.status_code == status
    assert answer.json == {"error_code": error_code, "msg": msg, "request": "GET /j/here"}


def test_a_raise_overrides_its_class_and_nothing_else() -> None:
    answer = raised(ApiException("gone", code=410, error_code=7))
    assert answer.status_code == 410
    assert answer.json == {"error_code": 7, "msg": "gone", "request": "GET /j/here"}
    assert (ApiException.code, ApiException.msg, ApiException.error_code) == (
        500,
        "unknown_error",
        999,
    )


def test_further_members_join_the_body() -> None:
    assert raised(Success(data={"user": {"id": 1}})).get_json()["user"] == {"id": 1}


def test_further_members_replace_none_of_the_three() -> None:
    body = raised(Success(data={"request": "forged", "msg": 7, "error_code": 8})).get_json()
    assert body == {"error_code": 0, "msg": "success", "request": "GET /j/here"}


def test_what_is_passed_as_data_is_left_alone() -> None:
    data = {"hint": "x"}
    error = Success(data=data)
    error.data["more"] = "y"
    assert data == {"hint": "x"}


def test_rendering_leaves_flasks_request_where_it_is() -> None:
    app = Flask("plain")
    with app.test_request_context("/j/here") as context:
        Success().get_response(context.request.environ)
        assert context.request.environ["werkzeug.request"] is context.request


def test_values_look_as_they_do_in_other_answers_of_the_app() -> None:
    day = {"day": date(2026, 11, 21)}
    app = Flask("plain")
    app.add_url_rule("/dict", "dict", lambda: day)
    app.add_url_rule("/success", "success", lambda: Success(data=day))
    client = app.test_client()
    assert client.get("/success").get_json()["day"] == client.get("/dict").get_json()["day"]


def test_within_a_request_the_body_needs_no_environ() -> None:
    with Flask("plain").test_request_context("/j/here?a=1", method="PUT"):
        assert json.loads(Success().get_body())["request"] == "PUT /j/here"


@pytest.mark.parametrize("msg", ["Nobody is called 林.", "Half an emoji: \ud83d."])
def test_a_message_may_be_any_text(msg: str) -> None:
    assert raised(ApiException(msg)).get_json()["msg"] == msg


def test_0_and_an_empty_message_are_values() -> None:
    body = raised(ApiException("", error_code=0)).get_json()
    assert (body["msg"], body["error_code"]) == ("", 0)


def test_a_message_may_be_a_mapping() -> None:
    assert raised(ParameterException(FAULTS)).get_json()["msg"] == FAULTS


def test_the_request_is_method_and_path_without_the_query() -> None:
    answer = raised(Success(), "/j/林?secret=1", method="POST")
    assert answer.get_json()["request"] == "POST /j/林"


def test_outside_a_request_the_body_has_none() -> None:
    assert ApiException().get_response().get_json()["request"] is None


def test_raised_returned_or_called_it_is_the_same_answer() -> None:
    error = ParameterException(FAULTS, headers={"Retry-After": "3"})
    app = Flask("plain")
    app.add_url_rule("/j/here", view_func=lambda: error)
    answers = [
        raised(error),
        app.test_client().get("/j/here"),
        Client(error).get("/j/here"),  # no Flask at all
    ]
    assert len({answer.data for answer in answers}) == 1
    for answer in answers:
        assert (answer.status_code, answer.mimetype) == (400, "application/json")
        assert answer.headers["Retry-After"] == "3"


def test_head_and_204_have_no_body() -> None:
    assert raised(ApiException(), method="HEAD").data == b""
    assert raised(Success(code=204)).data == b""


# Headers


def test_headers_of_the_raise_are_sent() -> None:
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    answer = raised(ApiException(headers=[*cookies, ("Content-Type", "text/html")]))
    assert answer.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert answer.headers.getlist("Content-Type") == ["application/json"]


class Busy(ApiException, TooManyRequests):
    code, error_code = 429, 2001

    def __init__(self) -> None:
        super().__init__("wait")
        self.retry_after = 30


def test_headers_of_a_second_parent_are_sent() -> None:
    answer = raised(Busy())
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")
    assert answer.get_json()["error_code"] == 2001


def test_a_header_of_the_raise_replaces_the_parents() -> None:
    busy = Busy()
    busy.headers["Retry-After"] = "60"
    assert raised(busy).headers.getlist("Retry-After") == ["60"]


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (MethodNotAllowed(["GET"]), ("Allow", "GET")),
        (Unauthorized(www_authenticate=WWWAuthenticate("basic")), ("WWW-Authenticate", "Basic")),
        (TooManyRequests(retry_after=30), ("Retry-After", "30")),
        (RequestedRangeNotSatisfiable(100), ("Content-Range", "bytes */100")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_headers_of_a_werkzeug_exception_can_be_handed_on(
    error: HTTPException, header: tuple[str, str]
) -> None:
    answer = raised(ApiException(code=error.code, headers=error.get_headers()))
    assert header in answer.headers.to_wsgi_list()
    assert answer.mimetype == "application/json"


# As an exception


def same(error: ApiException) -> ApiException:
    return error


@pytest.mark.parametrize(
    "copied", [same, copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_it_survives_pickle_and_copy(copied: Callable[[ApiException], ApiException]) -> None:
    error = copied(
        ParameterException(FAULTS, code=422, headers={"Retry-After": "3"}, data={"hint": "x"})
    )
    assert type(error) is ParameterException
    assert json.loads(error.get_body()) == {
        "error_code": 1000,
        "msg": FAULTS,
        "request": None,
        "hint": "x",
    }
    assert (error.code, error.headers["Retry-After"]) == (422, "3")


def test_repr_and_str_say_what_it_is() -> None:
    error = ClientTypeError("no fax")
    assert repr(error) == "<ClientTypeError '400: Bad Request'>"
    assert str(error) == "400 Bad Request: no fax"
