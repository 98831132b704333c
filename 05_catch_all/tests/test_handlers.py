import json
import logging
import re
from io import StringIO
from logging.config import dictConfig
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, abort, got_request_exception, request
from flask.logging import default_handler
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers, WWWAuthenticate
from werkzeug.debug import DebuggedApplication
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    RequestedRangeNotSatisfiable,
    TooManyRequests,
    Unauthorized,
    default_exceptions,
)
from werkzeug.test import TestResponse

import handlers
from app import create_app
from exceptions import ApiException

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
JSON = {"Accept": "application/json"}
SECRET = "the password is hunter2"


@pytest.fixture
def app(app: Flask) -> Flask:
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a bug is a 500, as in production

    @app.route("/j/bug")
    @app.route("/bug", endpoint="page_bug")
    def bug() -> str:
        raise KeyError(SECRET)

    return app


def result(answer: TestResponse) -> tuple[int, int, str]:
    body = answer.get_json()
    return answer.status_code, body["error_code"], body["msg"]


# HTTP errors under the API's paths


@pytest.mark.parametrize("path", ["/j/nope", "/j", "/j/", "/v1", "/v1/client/nope"])
def test_an_unknown_url_of_the_api_is_1003(client: FlaskClient, path: str) -> None:
    assert result(client.get(path, headers=HTML))[:2] == (404, 1003)


@pytest.mark.parametrize("status", default_exceptions)
@pytest.mark.parametrize("how", ["raise", "abort"])
def test_every_http_exception_keeps_its_status(
    app: Flask, client: FlaskClient, status: int, how: str
) -> None:
    @app.get("/j/error")
    def view() -> str:
        if how == "abort":
            abort(status)
        raise default_exceptions[status]()

    code = {403: 1001, 404: 1003, 500: 999}.get(status, 1007)
    message = "unknown_error" if status == 500 else default_exceptions[status].description
    assert result(client.get("/j/error")) == (status, code, message)


def test_what_abort_is_told_is_the_message(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/j/gone", view_func=lambda: abort(410, "It moved to 北京."))
    assert result(client.get("/j/gone")) == (410, 1007, "It moved to 北京.")


def test_a_status_without_a_description_tells_its_name(app: Flask, client: FlaskClient) -> None:
    class PaymentRequired(HTTPException):
        code = 402

    @app.get("/j/pay")
    def view() -> str:
        raise PaymentRequired

    assert result(client.get("/j/pay")) == (402, 1007, "Payment Required")


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (MethodNotAllowed(["GET", "PUT"]), "Allow", "GET, PUT"),
        (TooManyRequests(retry_after=30), "Retry-After", "30"),
        (RequestedRangeNotSatisfiable(100), "Content-Range", "bytes */100"),
        (Unauthorized(www_authenticate=WWWAuthenticate("basic")), "WWW-Authenticate", "Basic"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_headers_that_belong_to_an_error_are_kept(
    app: Flask, client: FlaskClient, error: HTTPException, name: str, value: str
) -> None:
    @app.get("/j/error")
    def view() -> str:
        raise error

    answer = client.get("/j/error")
    assert answer.headers[name] == value
    assert answer.headers.getlist("Content-Type") == ["application/json"]


def test_an_api_exception_passes_as_it_is(client: FlaskClient) -> None:
    body = {"error_code": 1003, "msg": "not_found", "request": "GET /j/users/9"}
    assert client.get("/j/users/9").json == body


def test_malformed_json_is_an_http_error(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/j/json", view_func=lambda: request.get_json(), methods=["POST"])
    assert result(client.post("/j/json", data="{", headers=JSON))[:2] == (415, 1007)
    assert result(client.post("/j/json", data="{", content_type="application/json"))[0] == 400


def test_a_prefix_that_is_not_a_path_is_refused_by_name(tmp_path: Path) -> None:
    for prefixes in (["j"], ["/j/"], [""], ["//"], [7], "/j"):
        with pytest.raises(ValueError, match="API_PREFIXES"):
            create_app({"UPLOAD_FOLDER": tmp_path, "API_PREFIXES": prefixes})


def test_a_prefix_may_be_the_whole_site(tmp_path: Path) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "API_PREFIXES": ["/"]})
    assert result(app.test_client().get("/nope", headers=HTML))[:2] == (404, 1003)


@pytest.mark.parametrize("trap", [True, False])
def test_a_redirect_from_routing_passes_untouched(app: Flask, trap: bool) -> None:
    app.config["TRAP_HTTP_EXCEPTIONS"] = trap
    answer = app.test_client().get("/j/echo")
    assert (answer.status_code, answer.location) == (308, "http://localhost/j/echo/")


# Elsewhere


@pytest.mark.parametrize("path", ["/nope", "/jay", f"/uploads/{'0' * 64}.txt"])
def test_elsewhere_browsers_get_html_and_clients_that_prefer_json_get_json(
    client: FlaskClient, path: str
) -> None:
    for headers in (HTML, {}, {"Accept": "*/*"}, {"Accept": "image/png"}):
        assert client.get(path, headers=headers).mimetype == "text/html"
    assert result(client.get(path, headers=JSON))[:2] == (404, 1003)


# Bugs


def test_a_bug_is_999_and_its_message_stays_in_the_log(client: FlaskClient) -> None:
    answer = client.get("/j/bug")
    assert result(answer) == (500, 999, "unknown_error")
    assert "hunter2" not in answer.text


def test_a_bug_outside_the_api_is_a_page_for_a_browser(client: FlaskClient) -> None:
    answer = client.get("/bug", headers=HTML)
    assert (answer.status_code, answer.mimetype) == (500, "text/html")
    assert answer.headers["X-Request-ID"] in answer.text
    assert "hunter2" not in answer.text
    assert result(client.get("/bug", headers=JSON)) == (500, 999, "unknown_error")


def logged(app: Flask, path: str, **headers: str) -> tuple[TestResponse, str]:
    """Return the answer and what Flask's own log says, as on a server."""
    app.logger.addHandler(default_handler)  # Flask does so where logging is not configured
    log = StringIO()
    try:
        return app.test_client().get(path, headers=headers, errors_stream=log), log.getvalue()
    finally:
        app.logger.removeHandler(default_handler)


def test_a_bug_is_logged_once_with_its_traceback_and_the_id_of_the_answer(app: Flask) -> None:
    answer, log = logged(app, "/j/bug")
    assert answer.headers["X-Request-ID"] == answer.get_json()["request_id"]
    assert f"[{answer.get_json()['request_id']}]: Exception on /j/bug [GET]" in log
    assert log.count("Traceback") == log.count(f"KeyError: '{SECRET}'") == 1


def test_a_999_raised_by_hand_is_logged_once_with_its_own_traceback(app: Flask) -> None:
    @app.get("/j/hand")
    def view() -> str:
        raise ApiException("The phone doesn't answer.")

    answer, log = logged(app, "/j/hand")
    assert result(answer) == (500, 999, "The phone doesn't answer.")
    first, *traceback = log.splitlines()
    assert f"[{answer.get_json()['request_id']}]: Exception on /j/hand [GET]" in first
    assert log.count(" ERROR in ") == log.count("Traceback") == 1
    assert "The phone doesn't answer." in traceback[-1]


@pytest.mark.parametrize("path", ["/j/abort", "/abort"])
def test_a_500_that_a_view_aborts_with_is_logged_as_well(app: Flask, path: str) -> None:
    app.add_url_rule(path, view_func=lambda: abort(500, SECRET))
    answer, log = logged(app, path)
    assert answer.status_code == 500
    assert answer.headers["X-Request-ID"] in answer.text
    assert f"[{answer.headers['X-Request-ID']}]: Exception on {path} [GET]" in log
    assert log.count(" ERROR in ") == log.count("Traceback") == 1


def test_the_cause_of_a_999_raised_by_hand_is_logged_as_well(app: Flask) -> None:
    @app.get("/j/hand")
    def view() -> str:
        raise ApiException() from KeyError(SECRET)

    answer, log = logged(app, "/j/hand")
    assert result(answer) == (500, 999, "unknown_error")
    assert log.count(" ERROR in ") == 1
    assert SECRET in log


def test_logging_may_be_configured_after_the_factory(app: Flask, client: FlaskClient) -> None:
    assert "logger" not in vars(app)  # dictConfig would switch off a logger that exists


def test_a_bug_is_signalled_once(app: Flask, client: FlaskClient) -> None:
    seen = []

    def receive(sender: Flask, exception: Exception) -> None:
        seen.append(type(exception))

    with got_request_exception.connected_to(receive, app):
        client.get("/j/bug")
    assert seen == [KeyError]


def test_in_debug_mode_the_debugger_opens(app: Flask) -> None:
    app.debug, app.config["PROPAGATE_EXCEPTIONS"] = True, None
    app.wsgi_app = DebuggedApplication(app.wsgi_app, evalex=True)  # type: ignore[method-assign]
    assert "Werkzeug Debugger" in app.test_client().get("/j/bug").text


# The request's id


def test_a_well_formed_id_is_taken_over(client: FlaskClient) -> None:
    answer = client.get("/j/bug", headers={"X-Request-ID": "proxy-7.A_b"})
    assert answer.headers["X-Request-ID"] == answer.get_json()["request_id"] == "proxy-7.A_b"


@pytest.mark.parametrize("sent", ["x" * 65, "a b", "\x1b[31mred", "é", "${jndi:ldap}", "a%s"])
def test_an_id_that_is_not_fit_for_a_log_is_replaced(client: FlaskClient, sent: str) -> None:
    answer = client.get("/j/bug", headers={"X-Request-ID": sent})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_within_an_outer_app_context_every_request_has_its_own_id(app: Flask) -> None:
    with app.app_context():
        answers = [app.test_client().get("/j/bug", headers={"X-Request-ID": n}) for n in "abc"]
    assert [answer.headers["X-Request-ID"] for answer in answers] == ["a", "b", "c"]


def test_every_answer_has_an_id_of_its_own(client: FlaskClient) -> None:
    ids = [client.get(path).headers["X-Request-ID"] for path in ("/", "/", "/j/users", "/nope")]
    assert len(set(ids)) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)


def test_what_the_app_logs_carries_the_id(app: Flask) -> None:
    @app.get("/log")
    def view() -> str:
        app.logger.warning("%d%% of %s", 90, "the disk")
        app.logger.getChild("child").warning("of a child")
        return ""

    _, log = logged(app, "/log", **{"X-Request-ID": "a1"})
    assert "WARNING in test_handlers [a1]: 90% of the disk\n" in log
    assert "[a1]: of a child\n" in log


# An app with a handler of its own for a status


def test_a_handler_of_your_own_for_404_can_leave_the_api_to_ours(
    app: Flask, client: FlaskClient
) -> None:
    @app.errorhandler(404)
    def page_not_found(error: HTTPException) -> Any:
        if handlers.is_api_request():
            return handlers.http_error(error)
        return "<h1>Our own page</h1>", 404

    assert result(client.get("/j/nope"))[:2] == (404, 1003)
    assert client.get("/nope").text == "<h1>Our own page</h1>"


# An app that configures logging itself


def test_logging_of_your_own_can_show_the_id(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    pytests_own = root.handlers[:]
    dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"short": {"format": "%(levelname)s [%(request_id)s] %(message)s"}},
            "handlers": {
                "console": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
                    "filters": [handlers.add_request_id],
                    "formatter": "short",
                }
            },
            "root": {"handlers": ["console"]},
        }
    )
    try:
        client.get("/j/bug", headers={"X-Request-ID": "ticket-4711"})
    finally:
        root.handlers[:] = pytests_own
    assert "ERROR [ticket-4711] Exception on /j/bug [GET]" in capsys.readouterr().out


# Another format


class ProblemDetails(ApiException):
    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        kind = type(self)
        problem = {
            "type": f"https://desk.example/errors/{self.error_code}",
            "title": kind.msg,
            "status": self.code,
            "instance": request.path if request else None,
        }
        if self.msg != kind.msg:
            problem["detail" if isinstance(self.msg, str) else "errors"] = self.msg
        return json.dumps(problem | self.data)

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        headers = Headers(super().get_headers(environ, scope))
        headers["Content-Type"] = "application/problem+json"
        return headers.to_wsgi_list()


def test_the_same_error_as_problem_details(app: Flask, client: FlaskClient) -> None:
    ours = {"error_code": 1003, "msg": "not_found", "request": "GET /j/users/999"}
    problem = {
        "type": "https://desk.example/errors/1003",
        "title": "not_found",
        "status": 404,
        "instance": "/j/users/999",
        "detail": "No contact has the id 999.",
    }
    assert client.get("/j/users/999").json == ours

    class NotFound(ProblemDetails):
        code, error_code, msg = 404, 1003, "not_found"

    error = NotFound("No contact has the id 999.")
    app.view_functions["contacts.show_user"] = lambda user_id: error
    answer = client.get("/j/users/999")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert answer.get_json() == problem
