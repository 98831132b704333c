import json
import logging
import re
from io import StringIO
from logging.config import dictConfig
from typing import Any, NoReturn

import pytest
from flask import Blueprint, Flask, abort, got_request_exception, request
from flask.logging import default_handler
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers, WWWAuthenticate
from werkzeug.debug import DebuggedApplication
from werkzeug.exceptions import (
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    RequestedRangeNotSatisfiable,
    TooManyRequests,
    Unauthorized,
    default_exceptions,
)
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Response

import handlers
from app import create_app
from exceptions import ApiException, NotFound

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
JSON = {"Accept": "application/json"}
BASIC = WWWAuthenticate("basic", {"realm": "the desk"})
SECRET = "the password is hunter2"
FORGED = "[2026-01-01 00:00:00,000] INFO in login [-]: Login by admin"


@pytest.fixture
def app(app: Flask) -> Flask:
    @app.route("/j/bug")
    @app.route("/bug", endpoint="page_bug")
    def bug() -> str:
        raise KeyError(SECRET)

    return app


def result(answer: TestResponse) -> tuple[int, int, str]:
    body = answer.get_json()
    return answer.status_code, body["error_code"], body["msg"]


def add_raising(app: Flask, path: str, error: BaseException) -> None:
    """Add a view at *path* that raises *error*."""

    def view() -> str:
        raise error

    app.add_url_rule(path, path, view)


def logged(app: Flask, path: str, **headers: str) -> tuple[TestResponse, str]:
    """Return the answer and what Flask's own log says, as on a server."""
    app.logger.addHandler(default_handler)  # Flask does so where logging is not configured
    log = StringIO()
    try:
        return app.test_client().get(path, headers=headers, errors_stream=log), log.getvalue()
    finally:
        app.logger.removeHandler(default_handler)


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


@pytest.mark.parametrize("prefix", ["", "/desk"])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/j/users/Ada", 200),
        ("HEAD", "/j/users/Ada", 200),
        ("OPTIONS", "/j/users/Ada", 200),
        ("PATCH", "/j/users/Ada", 405),
        ("GET", "/j/users/nobody", 404),
        ("HEAD", "/j/users/nobody", 404),
        ("GET", "/j/nope", 404),
        ("HEAD", "/j/nope", 404),
        ("OPTIONS", "/j/nope", 404),
        ("GET", "/j/bug", 500),
        ("HEAD", "/j/bug", 500),
        ("POST", "/j/sync", 500),
        ("GET", "/nope", 404),
        ("OPTIONS", "/nope", 404),
    ],
)
def test_method_path_and_prefix_decide_as_http_says(
    app: Flask, prefix: str, method: str, path: str, status: int
) -> None:
    mounted = DispatcherMiddleware(Response("another app"), {"/desk": app}) if prefix else app
    conditional = {"If-None-Match": "*", "Range": "bytes=0-9"}
    answer = Client(mounted).open(prefix + path, method=method, headers=conditional)
    assert answer.status_code == status
    assert len(answer.headers.getlist("X-Request-ID")) == 1
    assert len(answer.headers.getlist("Content-Type")) == 1
    if method == "HEAD":
        assert answer.data == b""
        assert answer.content_length
    elif path.startswith("/j/") and status != 200:
        assert answer.get_json()["request"] == f"{method} {prefix}{path}"
    if status == 405:
        assert set(answer.allow) == {"GET", "HEAD", "OPTIONS"}


def test_what_abort_is_told_is_the_message(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/j/gone", view_func=lambda: abort(410, "It moved to 北京."))
    assert result(client.get("/j/gone")) == (410, 1007, "It moved to 北京.")


def test_abort_may_be_told_an_exception_or_the_fields(app: Flask, client: FlaskClient) -> None:
    for path, what in [
        ("value", ValueError("not < a > number")),
        ("fields", {"age": ["Too low."]}),
    ]:
        for prefix in ("/j/", "/"):
            app.add_url_rule(prefix + path, prefix + path, lambda what=what: abort(400, what))
    assert result(client.get("/j/value")) == (400, 1007, "not < a > number")
    assert "not &lt; a &gt; number" in client.get("/value", headers=HTML).text
    assert client.get("/j/fields").get_json()["msg"] == {"age": ["Too low."]}
    assert client.get("/fields", headers=HTML).status_code == 400


def test_a_status_without_a_description_tells_its_name(app: Flask, client: FlaskClient) -> None:
    class PaymentRequired(HTTPException):
        code = 402

    add_raising(app, "/j/pay", PaymentRequired())
    assert result(client.get("/j/pay")) == (402, 1007, "Payment Required")


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (MethodNotAllowed(["GET", "PUT"]), "Allow", "GET, PUT"),
        (TooManyRequests(retry_after=30), "Retry-After", "30"),
        (RequestedRangeNotSatisfiable(100), "Content-Range", "bytes */100"),
        (Unauthorized(www_authenticate=BASIC), "WWW-Authenticate", 'Basic realm="the desk"'),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("path", ["/j/error", "/error"])
def test_headers_that_belong_to_an_error_are_kept(
    app: Flask, client: FlaskClient, error: HTTPException, name: str, value: str, path: str
) -> None:
    add_raising(app, path, error)
    for accept in (HTML, JSON):
        answer = client.get(path, headers=accept)
        assert answer.headers[name] == value
        assert len(answer.headers.getlist("Content-Type")) == 1


def test_an_api_exception_passes_as_it_is(client: FlaskClient) -> None:
    body = {"error_code": 1003, "msg": "not_found", "request": "GET /j/users/nobody"}
    assert client.get("/j/users/nobody").json == body


def test_malformed_json_is_an_http_error(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/j/json", view_func=lambda: request.get_json(), methods=["POST"])
    assert result(client.post("/j/json", data="{", headers=JSON))[:2] == (415, 1007)
    assert result(client.post("/j/json", data="{", content_type="application/json"))[0] == 400


def abort_as_webargs(status: int, **data: Any) -> NoReturn:
    """Raise an error as the ``abort`` of webargs and of flask-smorest does."""
    error: Any = default_exceptions[status]()
    error.data = data
    raise error


def test_what_webargs_says_of_an_error_is_kept(app: Flask, client: FlaskClient) -> None:
    fields = {"json": {"name": ["Missing."]}}
    app.add_url_rule("/j/fields", "fields", lambda: abort_as_webargs(422, messages=fields))
    taken = {"message": "Taken.", "errors": {"name": 1}, "headers": {"Retry-After": "3"}}
    app.add_url_rule("/j/taken", "taken", lambda: abort_as_webargs(409, **taken))
    secret = {"message": SECRET, "errors": SECRET}
    app.add_url_rule("/j/secret", "secret", lambda: abort_as_webargs(500, **secret))

    answer = client.get("/j/fields")
    assert result(answer)[:2] == (422, 1007)
    assert answer.get_json()["errors"] == fields
    answer = client.get("/j/taken")
    assert result(answer) == (409, 1007, "Taken.")
    assert (answer.get_json()["errors"], answer.headers["Retry-After"]) == ({"name": 1}, "3")
    assert SECRET not in client.get("/j/secret").text


def test_an_attribute_data_may_be_something_else(app: Flask, client: FlaskClient) -> None:
    class Odd(HTTPException):
        code = 418
        description = "An odd pot."
        data = ("not", "webargs")

    add_raising(app, "/j/odd", Odd())
    assert result(client.get("/j/odd")) == (418, 1007, "An odd pot.")


class Rendering(HTTPException):
    code = 409

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        return "a body of its own"


class Responding(HTTPException):
    code = 409

    def get_response(self, environ: Any = None, scope: Any = None) -> Any:
        return Response("a body of its own", 409)


@pytest.mark.parametrize("error", [Rendering(), Responding()])
def test_a_class_that_renders_itself_is_left_alone(
    app: Flask, client: FlaskClient, error: HTTPException
) -> None:
    add_raising(app, "/j/own", error)
    assert (client.get("/j/own").status_code, client.get("/j/own").text) == (
        409,
        "a body of its own",
    )


class SeeOther(HTTPException):
    code = 303

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        return [("Location", "/elsewhere"), ("Content-Type", "text/html")]


def test_a_status_below_400_is_no_error(app: Flask, client: FlaskClient) -> None:
    add_raising(app, "/j/moved", SeeOther())
    answer = client.get("/j/moved")
    assert (answer.status_code, answer.location, answer.mimetype) == (
        303,
        "/elsewhere",
        "text/html",
    )


@pytest.mark.parametrize("trap", [True, False])
def test_a_redirect_from_routing_passes_untouched(app: Flask, trap: bool) -> None:
    app.config["TRAP_HTTP_EXCEPTIONS"] = trap
    app.add_url_rule("/j/folder/", "folder", lambda: "")
    answer = app.test_client().get("/j/folder")
    assert (answer.status_code, answer.location) == (308, "http://localhost/j/folder/")


# Settings


@pytest.mark.parametrize("prefixes", [["j"], [""], [7], "/j", ["/j", None]])
def test_a_prefix_that_is_not_a_path_is_refused_by_name(prefixes: object) -> None:
    with pytest.raises(ValueError, match="API_PREFIXES"):
        create_app({"API_PREFIXES": prefixes})


@pytest.mark.parametrize(
    ("prefixes", "path"),
    [(["/"], "/nope"), (["/api"], "/api/nope"), (["/api/"], "/api"), (["/api/v2"], "/api/v2/x")],
)
def test_below_a_prefix_everything_is_json(prefixes: list[str], path: str) -> None:
    client = create_app({"API_PREFIXES": prefixes}).test_client()
    assert result(client.get(path, headers=HTML))[:2] == (404, 1003)


@pytest.mark.parametrize("path", ["/apis", "/ap", "/", "/x/api/y"])
def test_beside_a_prefix_browsers_get_html(path: str) -> None:
    client = create_app({"API_PREFIXES": ["/api", "/v1/"]}).test_client()
    assert client.get(path, headers=HTML).mimetype == "text/html"


def test_the_setting_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_API_PREFIXES", '["/api"]')
    assert result(create_app().test_client().get("/api/nope"))[:2] == (404, 1003)


def test_the_command_of_the_catalogue_is_there(app: Flask) -> None:
    assert "1007" in app.test_cli_runner().invoke(args=["errors"]).output


# Elsewhere


@pytest.mark.parametrize("path", ["/nope", "/jay"])
def test_elsewhere_browsers_get_html_and_clients_that_prefer_json_get_json(
    client: FlaskClient, path: str
) -> None:
    for headers in (HTML, {}, {"Accept": "*/*"}, {"Accept": "image/png"}):
        assert client.get(path, headers=headers).mimetype == "text/html"
    assert result(client.get(path, headers=JSON))[:2] == (404, 1003)


# Bugs, and other 500s


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


def test_a_bug_is_logged_once_with_its_traceback_and_the_id_of_the_answer(app: Flask) -> None:
    answer, log = logged(app, "/j/bug")
    assert answer.headers["X-Request-ID"] == answer.get_json()["request_id"]
    assert f"[{answer.get_json()['request_id']}]: Exception on /j/bug [GET]" in log
    assert log.count("Traceback") == log.count(f"KeyError: '{SECRET}'") == 1


def test_a_999_raised_by_hand_is_logged_once_with_its_own_traceback(app: Flask) -> None:
    add_raising(app, "/j/hand", ApiException("The phone doesn't answer."))
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


def test_a_500_is_never_sent_with_its_own_message(app: Flask, client: FlaskClient) -> None:
    for path in ("/j/abort", "/abort"):
        app.add_url_rule(path, path, lambda: abort(500, SECRET))
    for path in ("/j/abort", "/abort"):
        for headers in (HTML, JSON):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 500
            assert SECRET not in answer.text
            assert answer.headers["X-Request-ID"] in answer.text


class Limited(ApiException):
    """An error whose class asks for an argument, and renders itself in its own way."""

    def __init__(self, left: int) -> None:
        super().__init__(f"{left} left", headers={"Retry-After": "5"})

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        return super().get_body(environ, scope).replace("error_code", "number")


def test_a_500_of_a_class_of_your_own_stays_what_it_is(app: Flask, client: FlaskClient) -> None:
    add_raising(app, "/j/limited", Limited(3))
    answer = client.get("/j/limited")
    assert (answer.status_code, answer.headers["Retry-After"]) == (500, "5")
    assert (answer.get_json()["number"], answer.get_json()["msg"]) == (999, "3 left")
    assert answer.get_json()["request_id"] == answer.headers["X-Request-ID"]


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
    ids = [
        client.get(path).headers["X-Request-ID"] for path in ("/j/users/Ada", "/j/bug", "/x") * 2
    ]
    assert len(set(ids)) == 6
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)


def test_the_id_is_kept_in_environ_under_a_name_of_ours(app: Flask) -> None:
    """Another middleware may keep its own ``request_id`` there."""
    app.add_url_rule("/environ", "environ", lambda: request.environ["request_id"])
    answer = app.test_client().get("/environ", environ_overrides={"request_id": "a proxy's"})
    assert answer.text == "a proxy's"
    assert answer.headers["X-Request-ID"] != "a proxy's"


# The log


def test_what_the_app_logs_carries_the_id(app: Flask) -> None:
    @app.get("/log")
    def view() -> str:
        app.logger.warning("%d%% of %s", 90, "the disk")
        app.logger.getChild("child").warning("of a child")
        return ""

    _, log = logged(app, "/log", **{"X-Request-ID": "a1"})
    assert "WARNING in test_handlers [a1]: 90% of the disk\n" in log
    assert "[a1]: of a child\n" in log


def formatted(message: str, error: BaseException | None = None) -> str:
    info = (type(error), error, None) if error else None
    record = logging.LogRecord("desk", logging.ERROR, "desk.py", 1, message, None, info)
    return handlers.LogFormatter(handlers.LOG_FORMAT).format(record)


def test_outside_a_request_the_id_is_a_dash() -> None:
    assert formatted("started").endswith("ERROR in desk [-]: started")


@pytest.mark.parametrize("between", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\x1b"])
def test_a_record_has_one_line_whatever_its_message(between: str) -> None:
    line = formatted(f"Nobody is called x{between}{FORGED}")
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_in_a_traceback_only_the_first_line_looks_like_a_record() -> None:
    first, *rest = formatted("failed", ValueError(f"x\n{FORGED}\r{FORGED}\x1b[2J")).splitlines()
    assert first.endswith("failed")
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_what_people_write_stays_readable() -> None:
    assert formatted("林 says: naïve, 50 €, C:\\temp").endswith("林 says: naïve, 50 €, C:\\temp")


def test_a_traceback_formatted_by_another_handler_first_is_indented_too() -> None:
    error = ValueError(f"x\n{FORGED}")
    info = (ValueError, error, None)
    record = logging.LogRecord("desk", logging.ERROR, "desk.py", 1, "failed", None, info)
    plain = logging.Formatter().format(record)  # leaves its text in the record
    ours = handlers.LogFormatter(handlers.LOG_FORMAT).format(record)
    assert FORGED in plain.splitlines()
    assert FORGED not in ours.splitlines()
    assert logging.Formatter().format(record) == plain


# An app that has things of its own


def test_an_async_view_logs_and_answers_with_one_id(app: Flask) -> None:
    pytest.importorskip("asgiref")

    @app.get("/j/async")
    async def view() -> str:
        app.logger.warning("before the bug")
        return str(1 / 0)

    answer, log = logged(app, "/j/async")
    assert log.count(f"[{answer.get_json()['request_id']}]: ") == 2
    assert log.count("Traceback") == 1


def test_a_blueprint_in_a_blueprint_is_covered(app: Flask, client: FlaskClient) -> None:
    inner = Blueprint("inner", __name__, url_prefix="/inner")
    inner.add_url_rule("/bug", view_func=lambda: str(1 / 0))
    outer = Blueprint("outer", __name__, url_prefix="/j/outer")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    assert result(client.get("/j/outer/inner/bug"))[:2] == (500, 999)
    assert result(client.get("/j/outer/inner/nope"))[:2] == (404, 1003)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_handler_of_your_own_for_a_status_can_leave_the_api_to_ours(
    app: Flask, client: FlaskClient, status: int
) -> None:
    @app.errorhandler(status)
    def our_own_page(error: HTTPException) -> Any:
        if handlers.is_api_request():
            return handlers.http_error(error)
        return "<h1>Our own page</h1>", status

    for path in ("/j/abort", "/abort"):
        app.add_url_rule(path, path, lambda: abort(status))
    assert client.get("/j/abort").get_json()["request"] == "GET /j/abort"
    assert client.get("/abort").text == "<h1>Our own page</h1>"


def test_a_handler_of_your_own_for_exception_can_give_bugs_back(app: Flask) -> None:
    @app.errorhandler(Exception)
    def anything(error: Exception) -> Any:
        if handlers.is_api_request():
            raise error
        return "<h1>Our own page</h1>", 500

    answer, log = logged(app, "/j/bug")
    assert result(answer) == (500, 999, "unknown_error")
    assert log.count("Traceback") == log.count(f"KeyError: '{SECRET}'") == 1
    assert app.test_client().get("/bug").text == "<h1>Our own page</h1>"
    assert result(app.test_client().get("/j/nope"))[:2] == (404, 1003)


def test_logging_of_your_own_can_show_the_id(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    pytests_own = root.handlers[:]
    short = "%(levelname)s [%(request_id)s] %(message)s"
    dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"short": {"()": handlers.LogFormatter, "fmt": short}},
            "handlers": {
                "console": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stdout",
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
        return json.dumps({**problem, **self.members})

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        headers = Headers(super().get_headers(environ, scope))
        headers["Content-Type"] = "application/problem+json"
        return headers.to_wsgi_list()


OURS = {"error_code": 1003, "msg": "not_found", "request": "GET /j/users/Alan"}
PROBLEM = {
    "type": "https://desk.example/errors/1003",
    "title": "not_found",
    "status": 404,
    "instance": "/j/users/Alan",
    "detail": "Nobody is called Alan.",
}


def test_the_same_error_as_problem_details(app: Flask, client: FlaskClient) -> None:
    assert client.get("/j/users/Alan").json == OURS

    class NotFoundProblem(ProblemDetails, NotFound):
        pass

    error = NotFoundProblem("Nobody is called Alan.")
    app.view_functions["views.show_user"] = lambda name: error
    answer = client.get("/j/users/Alan")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert answer.get_json() == PROBLEM


# What was raised


def test_what_was_raised_is_never_changed(app: Flask, client: FlaskClient) -> None:
    """The same objects, made once, are raised for every request."""
    errors = [InternalServerError(SECRET), ApiException("away"), MethodNotAllowed(["GET"])]
    before = [repr(vars(error)) for error in errors]
    paths = []
    for number, error in enumerate(errors):
        for path in (f"/j/{number}", f"/{number}"):
            add_raising(app, path, error)
            paths.append(path)
    for path in paths:
        for accept in (HTML, JSON):
            client.get(path, headers=accept)
    assert [repr(vars(error)) for error in errors] == before


@pytest.mark.parametrize("how", ["in the except", "later"])
def test_a_wrapper_that_a_view_raises_is_logged_once(app: Flask, how: str) -> None:
    @app.get("/j/wrapped")
    def view() -> str:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            if how == "in the except":
                raise InternalServerError(original_exception=error) from None
            kept = error
        raise InternalServerError(original_exception=kept)

    answer, log = logged(app, "/j/wrapped")
    assert result(answer) == (500, 999, "unknown_error")
    assert log.count("Traceback") == log.count(" ERROR in ") == log.count(SECRET + "'\n") == 1
    assert "in view\n        raise KeyError(SECRET)\n" in log
