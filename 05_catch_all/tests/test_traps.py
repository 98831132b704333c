"""What goes wrong in the article's version of this chapter, and that it doesn't in ours."""

import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from flask import Flask, Response, abort, got_request_exception, make_response, request
from flask.logging import default_handler
from flask.testing import FlaskClient
from werkzeug.debug import DebuggedApplication
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.test import TestResponse

import article
import errors
from exceptions import ApiException

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
JSON = {"Accept": "application/json"}
ARTICLE = "?version=article"


@pytest.fixture
def app(app: Flask) -> Flask:
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a bug is a 500, as in production
    return app


def tracebacks(client: FlaskClient, caplog: pytest.LogCaptureFixture, url: str) -> int:
    """Meet the bug at *url*; return how many tracebacks are in the log afterwards."""
    caplog.clear()
    assert client.get(url).get_json()["error_code"] == 999
    return sum(record.exc_info is not None for record in caplog.records)


def test_trap_a_handler_for_exception_hides_every_bug(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    signals = []

    def receive(sender: Flask, exception: Exception) -> None:
        signals.append(exception)

    with got_request_exception.connected_to(receive):
        assert tracebacks(client, caplog, "/j/boom" + ARTICLE) == len(signals) == 0
        assert tracebacks(client, caplog, "/j/boom") == len(signals) == 1


def test_trap_a_rebuilt_405_loses_allow(client: FlaskClient) -> None:
    wrong, right = client.patch("/j/users" + ARTICLE), client.patch("/j/users")
    assert wrong.status_code == right.status_code == 405
    assert "Allow" not in wrong.headers
    assert set(right.allow) == {"GET", "HEAD", "OPTIONS"}


def test_trap_pages_for_people_become_json(client: FlaskClient) -> None:
    assert client.get("/nope" + ARTICLE, headers=HTML).mimetype == "application/json"
    assert client.get("/nope", headers=HTML).mimetype == "text/html"
    assert client.get("/nope", headers=JSON).mimetype == "application/json"


def test_trap_two_representations_need_vary(client: FlaskClient) -> None:
    wrong = Flask("wrong")

    @wrong.errorhandler(404)
    def handle(error: HTTPException) -> HTTPException:
        return errors.NotFound() if request.accept_mimetypes.accept_json else error

    assert not wrong.test_client().get("/nope", headers=JSON).vary
    for headers in (HTML, JSON):
        assert "Accept" in client.get("/nope", headers=headers).vary


@pytest.mark.parametrize("sent", ["x" * 65, "a b", "\x1b[31mred", "é", "${jndi:ldap}", "a%s"])
def test_trap_an_id_may_be_any_text(app: Flask, sent: str) -> None:
    def log_of(app: Flask, url: str) -> tuple[TestResponse, str]:
        app.logger.addHandler(default_handler)  # Flask does so where logging isn't configured
        log = StringIO()
        try:
            headers = {"X-Request-ID": sent}
            answer = app.test_client().get(url, headers=headers, errors_stream=log)
            return answer, log.getvalue()
        finally:
            app.logger.removeHandler(default_handler)

    wrong = Flask("wrong")

    @wrong.get("/")
    def view() -> str:
        wrong.logger.error("failed [%s]", request.headers["X-Request-ID"])
        return ""

    assert f"[{sent}]" in log_of(wrong, "/")[1]
    answer, log = log_of(app, "/j/boom")
    assert f"[{answer.headers['X-Request-ID']}]" in log
    assert f"[{sent}]" not in log


def test_trap_a_handler_for_a_status_goes_first(app: Flask, client: FlaskClient) -> None:
    app.register_error_handler(404, lambda error: ("<h1>Our own page</h1>", 404))
    assert client.get("/j/nope").mimetype == "text/html"  # Flask prefers it to HTTPException's
    assert client.patch("/j/users").mimetype == "application/json"


def test_trap_an_exception_may_bring_its_own_response(app: Flask, client: FlaskClient) -> None:
    theirs = article.create_app()
    for each in (app, theirs):
        gone = Response("gone for good", 410)
        each.add_url_rule("/j/gone", "gone", lambda gone=gone: abort(410, response=gone))
        each.add_url_rule("/j/teapot", "teapot", lambda: abort(make_response("short", 418)))
        each.add_url_rule("/j/folder/", "folder", lambda: "")
    assert theirs.test_client().get("/j/gone").get_json()["error_code"] == 1007
    assert client.get("/j/gone").text == "gone for good"
    assert client.get("/j/teapot").text == "short"  # has no status: Flask asks no handler
    assert client.get("/j/folder").status_code == 308


def debugger_opens(app: Flask) -> bool:
    app.debug = True
    app.config["PROPAGATE_EXCEPTIONS"] = None
    app.wsgi_app = DebuggedApplication(app.wsgi_app, evalex=True)  # type: ignore[method-assign]
    return "Werkzeug Debugger" in app.test_client().get("/j/boom").text


def test_trap_a_handler_for_exception_keeps_the_debugger_shut(app: Flask) -> None:
    wrong = Flask("wrong")
    wrong.register_error_handler(Exception, lambda error: ApiException())
    wrong.add_url_rule("/j/boom", view_func=lambda: str(1 / 0))
    assert not debugger_opens(wrong)
    assert debugger_opens(article.create_app())  # it raises again in debug mode
    assert debugger_opens(app)


def test_trap_an_exception_raised_again_comes_back_as_a_500(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Raising again hides nothing, but it is longer than a handler for HTTPException."""
    longer, came = Flask("longer"), []

    @longer.errorhandler(Exception)
    def handle(error: Exception) -> Any:
        came.append(type(error))
        if not isinstance(error, HTTPException):
            raise error
        return ApiException()

    longer.add_url_rule("/j/boom", view_func=lambda: str(1 / 0))
    assert tracebacks(longer.test_client(), caplog, "/j/boom") == 1
    assert came == [ZeroDivisionError, InternalServerError]
    assert tracebacks(client, caplog, "/j/boom") == 1


def test_trap_middleware_teardown_and_generators_are_out_of_reach(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    def generate() -> Iterator[str]:
        yield "the headers are out"
        raise KeyError("a bug")

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        if request.path == "/j/teardown":
            raise KeyError("a bug")

    def middleware(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/j/middleware":
            raise KeyError("a bug")
        return flask_app(environ, start_response)

    app.add_url_rule("/j/stream", "stream", lambda: Response(generate()))
    app.add_url_rule("/j/teardown", "teardown", lambda: "sent")
    app.add_url_rule("/j/hook", "hook", lambda: "sent")

    @app.after_request
    def hook(response: Response) -> Response:
        if request.path == "/j/hook":
            raise errors.AccessForbidden()
        return response

    with caplog.at_level(logging.CRITICAL):
        assert client.get("/j/hook").get_json()["error_code"] == 999
        flask_app, app.wsgi_app = app.wsgi_app, middleware  # type: ignore[method-assign]
        assert client.get("/j/boom").get_json()["error_code"] == 999
    for path in ("/j/stream", "/j/teardown", "/j/middleware"):
        # From Flask 3.2 on, what a teardown function raises arrives in an ExceptionGroup.
        with pytest.raises((KeyError, ExceptionGroup)):
            client.get(path, buffered=True)
