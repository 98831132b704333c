"""What goes wrong in the article's version or in an obvious repair, and that it doesn't in ours."""

import copy
import logging
from typing import Any

import pytest
from flask import Flask, Response, json
from flask.json.provider import JSONProvider
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException, NotFound

import article
import errors
from app import create_app


def test_trap_a_blueprints_404_handler_misses_unknown_urls(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    wrong = article_client.get("/j/nope")
    assert (wrong.status_code, wrong.mimetype) == (404, "text/html")
    right = client.get("/j/nope")
    assert (right.status_code, right.json) == (404, {"r": 1003, "msg": "not_found"})


def test_trap_two_handlers_two_shapes(client: FlaskClient, article_client: FlaskClient) -> None:
    def members(client: FlaskClient) -> list[list[str]]:
        return [sorted(client.get(path).get_json()) for path in ("/j/users/9", "/j/boom")]

    assert members(article_client) == [["msg", "r"], ["message"]]
    assert members(client) == [["msg", "r"], ["msg", "r"]]


def test_trap_400_blames_the_client_for_your_bug(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    assert article_client.post("/j/sync").status_code == 400
    answer = client.post("/j/sync")
    assert answer.status_code == client.get("/j/boom").status_code == 500
    assert answer.json == {"r": 1000, "msg": "The phone doesn't answer."}


def test_trap_error_message_does_not_exist(
    client: FlaskClient, article_client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    bug = ZeroDivisionError("division by zero")
    with pytest.raises(AttributeError):
        article.error_handler(bug)  # what Flask 1.0 and earlier passed to a handler for 500

    # Since Flask 1.1 a handler for 500 gets an InternalServerError, which has a name.
    assert article_client.get("/j/boom").json == {"message": "Internal Server Error"}

    # A handler for the exception's own class still gets the bug itself.
    wrong = Flask("wrong")
    wrong.add_url_rule("/boom", view_func=lambda: str(1 / 0))
    wrong.register_error_handler(ZeroDivisionError, lambda error: ({"msg": error.message}, 500))
    assert wrong.test_client().get("/boom").mimetype == "text/html"
    assert "AttributeError" in caplog.text

    caplog.clear()
    assert client.get("/j/boom").mimetype == "application/json"
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info and record.exc_info[0] is ZeroDivisionError


class Obvious(Exception):
    """Its text is right, as it passes that on to Exception, but then it can't be copied."""

    def __init__(self, error: errors.Error, real_message: str | None = None) -> None:
        self.code, self.status = error.code, error.status
        self.message = real_message or error.message
        super().__init__(self.message)


def test_trap_str_of_the_error_is_a_tuple() -> None:
    assert str(article.ApiException(article.not_found)) == "(1003, 'not_found', 404)"

    assert str(Obvious(errors.not_found)) == "not_found"
    with pytest.raises(AttributeError, match="'str' object has no attribute 'code'"):
        copy.copy(Obvious(errors.not_found))

    same = copy.copy(errors.ApiException(errors.not_found, "Gone since Monday."))
    assert (str(same), same.code, same.status) == ("Gone since Monday.", 1003, 404)


class Moved(NotFound):
    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [("content-type", "text/plain"), ("content-length", "5"), ("X-Moved-To", "/new")]


def test_trap_header_names_come_in_any_case(app: Flask, client: FlaskClient) -> None:
    @app.get("/j/old")
    def old() -> str:
        raise Moved()

    wrong = Response("{}", mimetype="application/json")
    for name, value in Moved().get_headers():
        if name != "Content-Type":
            wrong.headers.add(name, value)
    assert wrong.headers.getlist("Content-Type") == ["application/json", "text/plain"]

    right = client.get("/j/old")
    assert right.headers.getlist("Content-Type") == ["application/json"]
    assert right.headers.getlist("Content-Length") == [str(len(right.data))]
    assert right.headers["X-Moved-To"] == "/new"


def test_trap_a_prefix_is_not_the_beginning_of_a_word(app: Flask, client: FlaskClient) -> None:
    assert "/jobs".startswith("/j") and not "/j".startswith("/j/")  # so neither spelling does

    for prefix in ("/j", "/j/"):
        app.config["API_PREFIX"] = prefix
        assert (
            client.get("/j").json == client.get("/j/nope").json == {"r": 1003, "msg": "not_found"}
        )
        assert client.get("/jobs").mimetype == "text/html"


class Plain(JSONProvider):
    """Writes JSON with as few options as the base class asks for; counts what it wrote."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self.written: list[object] = []

    def dumps(self, obj: Any, **options: Any) -> str:
        if options:
            raise TypeError(f"unexpected {sorted(options)}")
        self.written.append(obj)
        return repr(obj).replace("'", '"')

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        raise NotImplementedError


def test_trap_a_json_provider_of_your_own(app: Flask, client: FlaskClient) -> None:
    app.json = plain = Plain(app)
    with app.app_context(), pytest.raises(TypeError, match="sort_keys"):
        json.dumps({"r": 1003}, sort_keys=False)

    assert client.get("/j/users/9").text == '{"r": 1003, "msg": "not_found"}'
    assert client.get("/j/nope").text == '{"r": 1003, "msg": "not_found"}'
    assert plain.written == [{"r": 1003, "msg": "not_found"}] * 2  # each body once


def test_trap_a_handler_for_a_status_goes_first(app: Flask, client: FlaskClient) -> None:
    def page(error: HTTPException) -> Any:
        return "<h1>Sorry</h1>", 404

    wrong = create_app({})
    wrong.register_error_handler(404, page)
    assert wrong.test_client().get("/j/nope").text == "<h1>Sorry</h1>"

    @app.errorhandler(404)
    def page_outside_the_api(error: HTTPException) -> Any:
        if errors.is_api_request():
            return errors.http_error(error)
        return page(error)

    assert client.get("/j/nope").json == {"r": 1003, "msg": "not_found"}
    assert client.get("/nope").text == "<h1>Sorry</h1>"
