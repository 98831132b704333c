"""What goes wrong in the article's version of this chapter, and that it doesn't in ours."""

import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from flask import Flask, Response, abort, current_app, got_request_exception, request
from flask.logging import default_handler
from flask.testing import FlaskClient
from werkzeug.debug import DebuggedApplication
from werkzeug.exceptions import HTTPException, InternalServerError

import article
import handlers
from exceptions import AccessForbidden, ApiException, NotFound

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
JSON = {"Accept": "application/json"}


def tracebacks(client: FlaskClient, caplog: pytest.LogCaptureFixture, url: str) -> int:
    """Meet the bug at *url*; return how many tracebacks are in the log afterwards."""
    caplog.clear()
    assert client.get(url).get_json()["error_code"] == 999
    return sum(record.exc_info is not None for record in caplog.records)


def log_of(client: FlaskClient, url: str, **headers: str) -> list[str]:
    """Return the lines that a request leaves in Flask's own log, formatted as on a server."""
    logger = client.application.logger
    logger.addHandler(default_handler)  # Flask does so where logging isn't configured
    log = StringIO()
    try:
        client.get(url, headers=headers, errors_stream=log)
    finally:
        logger.removeHandler(default_handler)
    return log.getvalue().splitlines()


def test_trap_a_handler_for_exception_hides_every_bug(
    client: FlaskClient, article_client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    signals = []

    def receive(sender: Flask, exception: Exception) -> None:
        signals.append(exception)

    with got_request_exception.connected_to(receive):
        assert tracebacks(article_client, caplog, "/j/boom") == len(signals) == 0
        assert tracebacks(client, caplog, "/j/boom") == len(signals) == 1


def test_trap_a_rebuilt_405_loses_allow(client: FlaskClient, article_client: FlaskClient) -> None:
    wrong, right = article_client.get("/j/sync"), client.get("/j/sync")
    assert wrong.status_code == right.status_code == 405
    assert "Allow" not in wrong.headers
    assert set(right.allow) == {"POST", "OPTIONS"}


def test_trap_pages_for_people_become_json(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    assert article_client.get("/nope", headers=HTML).mimetype == "application/json"
    assert client.get("/nope", headers=HTML).mimetype == "text/html"
    assert client.get("/nope", headers=JSON).mimetype == "application/json"


def test_trap_two_representations_need_vary(client: FlaskClient) -> None:
    wrong = Flask("wrong")

    @wrong.errorhandler(404)
    def handle(error: HTTPException) -> HTTPException:
        return NotFound() if request.accept_mimetypes.accept_json else error

    assert not wrong.test_client().get("/nope", headers=JSON).vary
    for headers in (HTML, JSON):
        assert "Accept" in client.get("/nope", headers=headers).vary


def test_trap_a_500_tells_what_only_the_log_should_know(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    wrong, right = article_client.post("/j/sync"), client.post("/j/sync")
    assert wrong.status_code == right.status_code == 500
    assert "hunter2" in wrong.text
    assert right.get_json()["msg"] == "unknown_error"
    assert "hunter2" not in right.text


FORGED = "[2026-11-30 12:00:00,000] INFO in login: Login by admin"


def test_trap_a_name_writes_a_line_of_the_log(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    url = f"/j/users/x%0A{FORGED}"
    handlers_format = default_handler.formatter
    default_handler.setFormatter(logging.Formatter("%(levelname)s in %(module)s: %(message)s"))
    try:
        assert log_of(article_client, url) == ["WARNING in app: Nobody is called x", FORGED]
    finally:
        default_handler.setFormatter(handlers_format)
    [line] = log_of(client, url)
    assert line.endswith(rf"Nobody is called x\n{FORGED}")


def test_trap_a_traceback_has_the_line_as_well(app: Flask) -> None:
    @app.get("/j/color/<text>")
    def color(text: str) -> str:
        raise LookupError(f"no color {text}")

    lines = log_of(app.test_client(), f"/j/color/x%0A{FORGED}")
    assert FORGED not in lines
    assert f"    {FORGED}" in lines
    assert lines[0].endswith(rf"Exception on /j/color/x\n{FORGED} [GET]")
    assert sum(line.startswith("[") for line in lines) == 1


@pytest.mark.parametrize("sent", ["x" * 65, "x]: Login by admin [x", "${jndi:ldap}", "a%s"])
def test_trap_an_id_may_be_any_text(client: FlaskClient, sent: str) -> None:
    wrong = Flask("wrong")

    @wrong.get("/")
    def view() -> str:
        wrong.logger.error("[%s] failed", request.headers["X-Request-ID"])
        return ""

    headers = {"X-Request-ID": sent}
    assert log_of(wrong.test_client(), "/", **headers)[0].endswith(f"[{sent}] failed")
    assert sent not in log_of(client, "/j/boom", **headers)[0]
    assert sent != client.get("/j/boom", headers=headers).headers["X-Request-ID"]


def test_trap_a_handler_for_404_goes_first(app: Flask, client: FlaskClient) -> None:
    app.register_error_handler(404, lambda error: ("<h1>Our own page</h1>", 404))
    assert client.get("/j/nope").mimetype == "text/html"  # Flask prefers it to HTTPException's
    assert client.get("/j/sync").mimetype == "application/json"
    # It is filed under Werkzeug's NotFound, from which ours doesn't inherit.
    assert client.get("/j/users/nobody").mimetype == "application/json"


def test_trap_the_last_handler_for_httpexception_wins(app: Flask) -> None:
    def old_handler(error: HTTPException) -> Any:
        return {"theirs": True}, error.code

    app.register_error_handler(HTTPException, old_handler)
    handlers.init_app(app)
    late = Flask("late")
    handlers.init_app(late)
    late.register_error_handler(HTTPException, old_handler)
    assert app.test_client().get("/j/nope").get_json()["error_code"] == 1003
    assert late.test_client().get("/j/nope").get_json() == {"theirs": True}


def test_trap_an_exception_may_bring_its_own_response(app: Flask) -> None:
    theirs = article.create_app()
    for each in (app, theirs):
        gone = Response("gone for good", 410)
        each.add_url_rule("/j/gone", "gone", lambda gone=gone: abort(410, response=gone))
        each.add_url_rule("/j/teapot", "teapot", lambda: abort(Response("short", 418)))
        each.add_url_rule("/j/folder/", "folder", lambda: "")
    assert theirs.test_client().get("/j/gone").get_json()["error_code"] == 1007
    client = app.test_client()
    assert client.get("/j/gone").text == "gone for good"
    assert client.get("/j/teapot").text == "short"  # has no status: Flask asks no handler
    assert client.get("/j/folder").status_code == 308


def test_trap_flask_logs_only_what_it_has_wrapped(app: Flask) -> None:
    @app.get("/j/wrapped")
    def wrapped() -> str:
        try:
            return str(1 / 0)
        except ZeroDivisionError as error:
            raise InternalServerError(original_exception=error) from error

    wrong = Flask("wrong")
    wrong.add_url_rule("/j/wrapped", view_func=wrapped)

    @wrong.errorhandler(HTTPException)
    def handle(error: HTTPException) -> HTTPException:
        if error.code == 500 and getattr(error, "original_exception", None) is None:
            current_app.logger.error("Exception", exc_info=error)
        return error

    assert log_of(wrong.test_client(), "/j/wrapped") == []
    log = log_of(app.test_client(), "/j/wrapped")
    assert "ZeroDivisionError" in log[-1]
    assert sum("Traceback" in line for line in log) == 1


def test_trap_an_exception_may_be_raised_twice(app: Flask, client: FlaskClient) -> None:
    wrong = Flask("wrong")
    away = InternalServerError("The phone is away.")

    @wrong.errorhandler(HTTPException)
    def handle(error: HTTPException) -> HTTPException:
        error.description = f"{error.description} Request ID: {handlers.request_id()}"
        return error

    def view() -> str:
        raise away

    for each in (app, wrong):
        each.add_url_rule("/away", view_func=view)
    ids = [client.get("/away").headers["X-Request-ID"] for _ in range(2)]
    assert ids[0] not in client.get("/away").text
    texts = [wrong.test_client().get("/away").text for _ in range(2)]
    assert [text.count("Request ID") for text in texts] == [1, 2]


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
    client: FlaskClient, caplog: pytest.LogCaptureFixture
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
            raise AccessForbidden()
        return response

    with caplog.at_level(logging.CRITICAL):
        assert client.get("/j/hook").get_json()["error_code"] == 999
        flask_app, app.wsgi_app = app.wsgi_app, middleware  # type: ignore[method-assign]
        assert client.get("/j/boom").get_json()["error_code"] == 999
    for path in ("/j/stream", "/j/teardown", "/j/middleware"):
        # From Flask 3.2 on, what a teardown function raises arrives in an ExceptionGroup.
        with pytest.raises((KeyError, ExceptionGroup)):
            client.get(path, buffered=True)
