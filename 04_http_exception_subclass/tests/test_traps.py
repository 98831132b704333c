"""What goes wrong in the article's version of this chapter, and that it doesn't in ours."""

import pickle
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

import article
import exceptions
from exceptions import ApiException, ParameterException, Success

REGISTER = "/v1/client/register"


def raised(error: HTTPException, path: str = "/here") -> TestResponse:
    """Return what a Flask app without any handler answers when a view raises *error*."""
    app = Flask("plain")

    @app.get("/<path:path>")
    def view(path: str) -> str:
        raise error

    return app.test_client().get(path)


def test_trap_get_body_takes_a_second_argument(
    client: FlaskClient, article_client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = article_client.post(REGISTER, json={"type": "fax"})
    assert (wrong.status_code, wrong.mimetype) == (500, "text/html")
    assert "takes from 1 to 2 positional arguments but 3 were given" in caplog.text
    right = client.post(REGISTER, json={"type": "fax"})
    assert (right.status_code, right.get_json()["error_code"]) == (400, 1006)


def test_trap_a_message_may_be_anything(caplog: pytest.LogCaptureFixture) -> None:
    try:
        int("twelve")
    except ValueError as error:
        caught = error
    wrong = raised(article.ApiException(code=400, msg=caught))
    assert (wrong.status_code, wrong.mimetype) == (500, "text/html")
    assert "Object of type ValueError is not JSON serializable" in caplog.text
    right = raised(ParameterException(caught))
    assert right.status_code == 400
    assert right.get_json()["msg"] == "invalid literal for int() with base 10: 'twelve'"


def test_trap_a_question_mark_may_be_part_of_the_path(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    path = "/j/users/9%3F?token=secret"
    assert article_client.get(path).get_json()["request"] == "GET /j/users/9"
    assert client.get(path).get_json()["request"] == "GET /j/users/9?"


def test_trap_the_path_begins_after_the_prefix(app: Flask) -> None:
    def below_api(app: Flask) -> Client:
        return Client(DispatcherMiddleware(Flask("root"), {"/api": app}))

    wrong = below_api(article.create_app()).get("/api/j/users/9")
    assert wrong.get_json()["request"] == "GET /j/users/9"
    assert below_api(app).get("/api/j/users/9").get_json()["request"] == "GET /api/j/users/9"


def test_trap_no_request_no_body() -> None:
    with pytest.raises(RuntimeError, match="request context"):
        article.ApiException().get_response()
    assert Success().get_response().get_json()["request"] is None


def test_trap_headers_get_lost(client: FlaskClient, article_client: FlaskClient) -> None:
    wrong, right = article_client.post("/v1/client/sms"), client.post("/v1/client/sms")
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


def test_trap_0_and_an_empty_message_are_values(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    wrong = article_client.get("/j/users/1").get_json()
    assert (wrong["msg"], wrong["error_code"]) == ("sorry, we make a mistake", 999)
    right = client.get("/j/users/1").get_json()
    assert (right["msg"], right["error_code"]) == ("", 0)
    assert raised(ApiException("", error_code=0)).get_json()["error_code"] == 0


def test_trap_1000_cannot_mean_two_things(client: FlaskClient) -> None:
    first = {"unknown_error": 1000}  # the first article's catalogue, and chapter 03's
    second = {"unknown_error": 999, "invalid_parameter": 1000}  # the second article's
    assert first["unknown_error"] == second["invalid_parameter"]
    assert raised(ApiException()).get_json()["error_code"] == 999
    assert client.post(REGISTER, json=[]).get_json()["error_code"] == 1000


def error_page(error: HTTPException) -> tuple[str, int]:
    return f"<h1>{error.code} {error.name}</h1>", error.code or 500


def test_trap_somebody_elses_error_handler() -> None:
    class Wrong(article.ApiException):
        code = 429

    class Right(ApiException):
        code = 429

    def answer(error: HTTPException, base: type[HTTPException]) -> TestResponse:
        app = Flask("with pages")
        app.register_error_handler(HTTPException, error_page)
        app.register_error_handler(base, lambda error: error)
        exceptions.init_app(app)
        app.add_url_rule("/", "fail", lambda: fail(error))
        return app.test_client().get("/")

    def fail(error: HTTPException) -> str:
        raise error

    assert answer(Wrong(), article.ApiException).text == "<h1>429 Too Many Requests</h1>"
    right = answer(Right(headers={"Retry-After": "30"}), ApiException)
    assert right.get_json()["error_code"] == 999
    assert right.headers["Retry-After"] == "30"


def test_trap_strange_input_is_still_input(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    nested: dict[str, Any] = {"data": b"[" * 100_000, "content_type": "application/json"}
    assert article_client.post(REGISTER, **nested).status_code == 500  # a RecursionError
    assert client.post(REGISTER, **nested).get_json()["error_code"] == 1000


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


def test_trap_a_required_argument_breaks_pickle() -> None:
    with pytest.raises(TypeError, match="missing 1 required"):
        pickle.loads(pickle.dumps(Demanding(1006)))
    assert pickle.loads(pickle.dumps(ApiException(error_code=1006))).error_code == 1006


def test_trap_data_becomes_the_body() -> None:
    flask_restful: Any = pytest.importorskip("flask_restful")
    app = Flask("restful")

    class WithData(ApiException):
        data = {"hint": "wait"}  # noqa: RUF012

    class OurApi(flask_restful.Api):  # type: ignore[misc]
        def handle_error(self, error: Exception) -> Any:
            if isinstance(error, ApiException):
                raise error  # on to Flask
            return super().handle_error(error)

    ours = ApiException("sold out", code=409, members={"hint": "wait"})
    with app.test_request_context("/"):
        api = flask_restful.Api(app)
        assert api.handle_error(WithData("sold out", code=409)).get_json() == {"hint": "wait"}
        assert api.handle_error(ours).get_json() == {"message": "sold out"}
        with pytest.raises(ApiException, match="sold out"):
            OurApi(app).handle_error(ours)
