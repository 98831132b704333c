"""What goes wrong in the article's version of this chapter, and that it doesn't in ours."""

import logging

import pytest
from flask import Flask
from flask.testing import FlaskClient

import article
import errors

ARTICLE = "?version=article"


@pytest.fixture
def app(app: Flask) -> Flask:
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a bug is a 500, as in production
    return app


def test_trap_a_blueprints_404_handler_misses_unknown_urls(client: FlaskClient) -> None:
    wrong = client.get("/j/nope" + ARTICLE)
    assert (wrong.status_code, wrong.mimetype) == (404, "text/html")
    right = client.get("/j/nope")
    assert (right.status_code, right.json) == (404, {"r": 1003, "msg": "not_found"})


def test_trap_two_handlers_two_shapes(client: FlaskClient) -> None:
    def shapes(version: str) -> list[list[str]]:
        answers = [client.get(url + version) for url in ("/j/users/999", "/j/boom")]
        return [sorted(answer.json or {}) for answer in answers]

    assert shapes(ARTICLE) == [["msg", "r"], ["message"]]
    assert shapes("") == [["msg", "r"], ["msg", "r"]]


def test_trap_status_400_blames_the_client_for_your_bug(client: FlaskClient) -> None:
    assert client.post("/j/sync" + ARTICLE).status_code == 400
    assert client.post("/j/sync").status_code == 500
    assert errors.unknown_error.status == client.get("/j/boom").status_code == 500


def test_trap_success_looks_like_any_other_dict(client: FlaskClient) -> None:
    assert client.get("/j/users/1" + ARTICLE).get_json().keys() == {"user"}
    assert client.get("/j/users/1").get_json()["r"] == 0


def test_trap_exceptions_have_no_message(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    bug = ZeroDivisionError("division by zero")
    with pytest.raises(AttributeError):
        article.error_handler(bug)  # what Flask 1.0 and earlier passed to a handler for 500

    # Since Flask 1.1 a handler for 500 gets an InternalServerError, which has a name.
    assert client.get("/j/boom" + ARTICLE).json == {"message": "Internal Server Error"}

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
