import copy
import json
import pickle
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, request
from flask.json.provider import JSONProvider
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    RequestedRangeNotSatisfiable,
    TooManyRequests,
    Unauthorized,
)
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

import exceptions
from exceptions import (
    AccessForbidden,
    ApiException,
    ClientTypeError,
    HttpError,
    IllegalState,
    NotFound,
    ParameterException,
    Success,
    UnimplementedError,
)

FAULTS = {"昵称": ["太长"], "secret": ["8 to 128 characters are needed."]}
CATALOGUE = {  # a public contract, so it stands here once more, on purpose
    Success: (200, 0, "success"),
    ApiException: (500, 999, "unknown_error"),
    ParameterException: (400, 1000, "invalid_parameter"),
    AccessForbidden: (403, 1001, "access_forbidden"),
    UnimplementedError: (400, 1002, "unimplemented_error"),
    NotFound: (404, 1003, "not_found"),
    IllegalState: (400, 1004, "illegal_state"),
    ClientTypeError: (400, 1006, "invalid_client"),
    HttpError: (500, 1007, "http_error"),
}


def raised(
    error: BaseException, path: str = "/j/here", app: Flask | None = None, **options: Any
) -> TestResponse:
    """Return what *app*, by default one without any handler, answers when a view raises *error*."""
    app = app or Flask("plain")

    @app.route("/j/<path:path>", methods=["GET", "POST"])
    def view(path: str) -> str:
        raise error

    return app.test_client().open(path, **options)


# The body


@pytest.mark.parametrize("error", CATALOGUE, ids=lambda error: error.__name__)
def test_a_class_says_status_code_and_message(error: type[ApiException]) -> None:
    status, error_code, msg = CATALOGUE[error]
    answer = raised(error())
    assert answer.status_code == status
    assert answer.json == {"error_code": error_code, "msg": msg, "request": "GET /j/here"}


def test_a_raise_overrides_its_class_and_nothing_else() -> None:
    answer = raised(NotFound("gone", code=410, error_code=7))
    assert answer.status_code == 410
    assert answer.json == {"error_code": 7, "msg": "gone", "request": "GET /j/here"}
    assert (NotFound.code, NotFound.error_code, NotFound.msg) == CATALOGUE[NotFound]


def test_further_members_join_the_body() -> None:
    assert raised(Success(members={"user": {"id": 1}})).get_json()["user"] == {"id": 1}


def test_further_members_replace_none_of_the_three() -> None:
    body = raised(Success(members={"request": "forged", "msg": 7, "error_code": 8})).get_json()
    assert body == {"error_code": 0, "msg": "success", "request": "GET /j/here"}


def test_what_is_passed_as_members_is_left_alone() -> None:
    members = {"hint": "x"}
    error = Success(members=members)
    error.members["more"] = "y"
    assert members == {"hint": "x"}


def test_one_exception_may_be_raised_for_every_request() -> None:
    error = ParameterException({"a"}, members={"hint": "x"})
    before = copy.deepcopy((error.msg, error.members, error.code, error.description))
    for path in ("/j/first", "/j/second"):
        assert raised(error, path).get_json()["request"] == f"GET {path}"
    assert (error.msg, error.members, error.code, error.description) == before


def test_values_look_as_they_do_in_other_answers_of_the_app() -> None:
    day = {"day": date(2026, 11, 21)}
    app = Flask("plain")
    app.add_url_rule("/dict", "dict", lambda: day)
    app.add_url_rule("/success", "success", lambda: Success(members=day))
    client = app.test_client()
    assert client.get("/success").get_json()["day"] == client.get("/dict").get_json()["day"]


def test_members_are_sorted_where_the_app_sorts_and_only_there() -> None:
    app = Flask("plain")
    app.add_url_rule("/", view_func=lambda: Success(members={"b": 1, "a": 2}))
    assert list(app.test_client().get("/").get_json())[:2] == ["a", "b"]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    assert list(app.test_client().get("/").get_json())[:2] == ["b", "a"]


def test_0_and_an_empty_message_are_values() -> None:
    body = raised(ApiException("", error_code=0)).get_json()
    assert (body["msg"], body["error_code"]) == ("", 0)


@pytest.mark.parametrize("msg", ["Nobody is called 林.", "Half an emoji: \ud83d.", FAULTS, [1], 0])
def test_a_message_may_be_anything_that_json_can_hold(msg: object) -> None:
    assert raised(ParameterException(msg)).get_json()["msg"] == msg


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("not now")


class Lazy:
    """A text that is translated when it is needed, as extensions for languages have."""

    def __str__(self) -> str:
        return "nicht gefunden"


def nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


def endless() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


UNFIT = [
    ({"account"}, "{'account'}"),
    (b"raw", "b'raw'"),
    (ValueError("not a number"), "not a number"),
    (Lazy(), "nicht gefunden"),
    ({1: "one", "a": "two"}, "{1: 'one', 'a': 'two'}"),  # sorting fails
    ({("a", "b"): "one"}, "{('a', 'b'): 'one'}"),
    (endless(), "{'again': {...}}"),
    (nested(), "<list>"),
    (Unprintable(), "<Unprintable>"),
]


@pytest.mark.parametrize(("msg", "text"), UNFIT, ids=lambda value: type(value).__name__)
def test_a_message_that_json_cannot_hold_is_sent_as_text(msg: object, text: str) -> None:
    answer = raised(ParameterException(msg, members={"hint": "x"}))
    assert answer.status_code == 400
    assert answer.json == {"error_code": 1000, "msg": text, "request": "GET /j/here", "hint": "x"}


def test_half_an_emoji_is_a_message_where_json_is_not_escaped() -> None:
    app = Flask("plain")
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    answer = raised(ParameterException("林 and half an emoji: \ud83d"), app=app)
    assert (answer.status_code, answer.get_json()["msg"]) == (400, "林 and half an emoji: ?")


def test_a_member_that_json_cannot_hold_is_a_bug_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert raised(Success(members={"user": object()})).status_code == 500
    assert "Object of type object is not JSON serializable" in caplog.text


# A JSON provider of the app's own


class Plain(JSONProvider):
    """One that takes none of the options of Flask's own."""

    def dumps(self, obj: Any) -> str:  # type: ignore[override]
        return "[" + json.dumps(obj) + "]"

    def loads(self, s: str | bytes) -> Any:  # type: ignore[override]
        return {"got": json.loads(s)}


def echo() -> Success:
    return Success(members={"json": request.get_json()})


def test_the_apps_own_json_provider_stays() -> None:
    app = Flask("plain")
    app.json = Plain(app)
    exceptions.init_app(app)
    app.add_url_rule("/echo", view_func=echo, methods=["POST"])
    client = app.test_client()

    answer = client.post("/echo", data="[1]", content_type="application/json")
    [body] = json.loads(answer.text)
    assert body["json"] == {"got": [1]}

    deep = client.post("/echo", data="[" * 100_000, content_type="application/json")
    assert deep.status_code == 400


def test_nested_json_is_400_in_every_view() -> None:
    app = Flask("plain")
    exceptions.init_app(app)
    app.add_url_rule("/method", "method", echo, methods=["POST"])
    app.add_url_rule("/property", "property", lambda: {"json": request.json}, methods=["POST"])
    client = app.test_client()
    for path in ("/method", "/property"):
        for body in (b"[" * 100_000, b'{"a":' * 100_000):
            answer = client.post(path, data=body, content_type="application/json")
            assert answer.status_code == 400
        assert client.post(path, json={"a": [1]}).get_json()["json"] == {"a": [1]}


# The request


def test_the_request_is_method_and_path_without_the_query() -> None:
    answer = raised(Success(), "/j/林?secret=1", method="POST")
    assert answer.get_json()["request"] == "POST /j/林"


def test_outside_a_request_the_body_has_none() -> None:
    assert ApiException().get_response().get_json()["request"] is None
    with Flask("plain").app_context():
        assert ApiException().get_response().get_json()["request"] is None


def test_within_a_request_the_body_needs_no_environ() -> None:
    with Flask("plain").test_request_context("/j/here?a=1", method="PUT", base_url="http://h/app"):
        assert json.loads(Success().get_body())["request"] == "PUT /app/j/here"


def test_rendering_leaves_flasks_request_where_it_is() -> None:
    app = Flask("plain")
    with app.test_request_context("/j/here") as context:
        Success().get_response(context.request.environ)
        assert context.request.environ["werkzeug.request"] is context.request


class OwnPrefix:
    """Such a middleware as apps have in which the proxy doesn't send SCRIPT_NAME."""

    def __init__(self, app: Any, prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    def __call__(self, environ: Any, start_response: Any) -> Any:
        environ["SCRIPT_NAME"] = self.prefix
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(self.prefix)
        return self.app(environ, start_response)


def below_dispatcher(app: Flask) -> Client:
    return Client(DispatcherMiddleware(Flask("root"), {"/api": app}))


def below_own_middleware(app: Flask) -> Client:
    app.wsgi_app = OwnPrefix(app.wsgi_app, "/api")  # type: ignore[method-assign]
    return app.test_client()


@pytest.mark.parametrize("mount", [below_dispatcher, below_own_middleware])
def test_the_prefix_of_the_app_is_part_of_the_request(mount: Callable[[Flask], Client]) -> None:
    app = Flask("plain")
    app.add_url_rule("/returned", view_func=lambda: Success())
    raised(NotFound(), app=app)
    client = mount(app)
    assert client.get("/api/returned").get_json()["request"] == "GET /api/returned"
    assert client.get("/api/j/here?a=1").get_json()["request"] == "GET /api/j/here"


@pytest.mark.parametrize("base_url", ["http://h/桌", "http://h/桌/", "http://h/a/b"])
@pytest.mark.parametrize("path", ["/", "/j/林", "/j/%FF", "/j/%3Fx"])
def test_the_request_is_what_flask_says_of_it(base_url: str, path: str) -> None:
    with Flask("plain").test_request_context(path, base_url=base_url):
        body = json.loads(Success().get_body())
        assert body["request"] == f"GET {request.root_path}{request.path}"


def test_a_slash_at_the_end_of_the_prefix_is_not_doubled() -> None:
    answer = Client(Success()).get("/j/here", environ_overrides={"SCRIPT_NAME": "/api/"})
    assert answer.get_json()["request"] == "GET /api/j/here"


# Headers


def test_headers_of_the_raise_are_sent() -> None:
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    answer = raised(ApiException(headers=[*cookies, ("Content-Type", "text/html")]))
    assert answer.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert answer.headers.getlist("Content-Type") == ["application/json"]


class Busy(ApiException, TooManyRequests):
    code = 429
    error_code = 2001

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


UNAUTHORIZED = Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "desk"}))


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (MethodNotAllowed(["GET"]), ("Allow", "GET")),
        (UNAUTHORIZED, ("WWW-Authenticate", "Basic realm=desk")),
        (TooManyRequests(retry_after=30), ("Retry-After", "30")),
        (RequestedRangeNotSatisfiable(100), ("Content-Range", "bytes */100")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_headers_of_a_werkzeug_exception_can_be_handed_on(
    error: HTTPException, header: tuple[str, str]
) -> None:
    answer = raised(HttpError(code=error.code, headers=error.get_headers()))
    assert answer.status_code == error.code
    assert header in answer.headers.to_wsgi_list()
    assert answer.mimetype == "application/json"


# HTTP: what a client may send, on a view that raises, one that returns, and without Flask


def returning(error: ApiException) -> Client:
    app = Flask("plain")
    app.add_url_rule("/j/here", view_func=lambda: error, methods=["GET", "POST"])
    return app.test_client()


def raising(error: ApiException) -> Client:
    app = Flask("plain")
    raised(error, app=app)
    return app.test_client()


def below_a_prefix(error: ApiException) -> Client:
    app = Flask("plain")
    raised(error, app=app)
    return Client(DispatcherMiddleware(Flask("root"), {"/api": app}))


SENT = [
    {"method": "GET"},
    {"method": "GET", "headers": {"If-None-Match": "*"}},
    {"method": "GET", "headers": {"If-Modified-Since": "Mon, 30 Nov 2026 10:00:00 GMT"}},
    {"method": "GET", "headers": {"Range": "bytes=0-9"}},
    {"method": "GET", "headers": {"Accept": "text/html"}},
    {"method": "POST", "data": b"x"},
]


@pytest.mark.parametrize("how", [raising, returning, Client, below_a_prefix])
@pytest.mark.parametrize("options", SENT, ids=str)
@pytest.mark.parametrize("error_class", [NotFound, Success])
def test_whatever_is_sent_the_answer_is_whole(
    how: Callable[[ApiException], Client], options: dict[str, Any], error_class: type[ApiException]
) -> None:
    error = error_class(headers={"Retry-After": "3"})
    path = "/api/j/here" if how is below_a_prefix else "/j/here"
    answer = how(error).open(path, **options)
    assert answer.status_code == error.code
    assert answer.get_json()["error_code"] == error.error_code
    assert answer.get_json()["request"] == f"{options['method']} {path}"
    assert answer.headers["Retry-After"] == "3"
    assert answer.headers.getlist("Content-Type") == ["application/json"]
    assert answer.headers.getlist("Content-Length") == [str(len(answer.data))]


@pytest.mark.parametrize("how", [raising, returning, Client])
def test_head_has_the_headers_of_get_and_no_body(how: Callable[[ApiException], Client]) -> None:
    client = how(NotFound(headers={"Retry-After": "3"}))
    head, get = client.head("/j/here"), client.get("/j/here")
    assert (head.status_code, head.data) == (404, b"")
    assert head.headers["Retry-After"] == "3"
    assert head.content_length == len(get.data)


@pytest.mark.parametrize("how", [raising, returning, Client])
def test_204_has_no_body(how: Callable[[ApiException], Client]) -> None:
    answer = how(Success(code=204)).get("/j/here")
    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Length" not in answer.headers


@pytest.mark.parametrize("how", [raising, returning])
def test_options_and_a_wrong_method_stay_flasks(how: Callable[[ApiException], Client]) -> None:
    client = how(NotFound())
    assert client.options("/j/here").status_code == 200
    wrong = client.delete("/j/here")
    assert (wrong.status_code, wrong.mimetype) == (405, "text/html")
    assert set(wrong.allow) == {"GET", "HEAD", "OPTIONS", "POST"}


# Beside the error handlers that an app has already


def rebuilt(error: HTTPException) -> tuple[dict[str, Any], int]:
    """A handler as frameworks have it: it makes a response of its own."""
    return {"status": error.code}, error.code or 500


def bug(error: Exception) -> tuple[str, int]:
    return "a bug", 500


def add_handlers(app: Flask) -> None:
    app.register_error_handler(HTTPException, rebuilt)
    app.register_error_handler(Exception, bug)
    for status in (400, 404, 409, 500):
        app.register_error_handler(status, rebuilt)


class Conflict(ApiException):
    code = 409
    error_code = 2002


OWN = [ApiException(), ApiException(code=404), Conflict(), HttpError(code=429), Success()]
BOTH_ORDERS = [(add_handlers, exceptions.init_app), (exceptions.init_app, add_handlers)]


@pytest.mark.parametrize("error", [*OWN, *(error() for error in CATALOGUE)], ids=repr)
@pytest.mark.parametrize("order", BOTH_ORDERS, ids=["handlers first", "init_app first"])
@pytest.mark.parametrize("trap", [False, True])
def test_other_handlers_are_never_asked_about_ours(
    error: ApiException, order: tuple[Callable[[Flask], None], ...], trap: bool
) -> None:
    app = Flask("plain")
    app.config["TRAP_HTTP_EXCEPTIONS"] = trap
    for add in order:
        add(app)
    error.headers["Retry-After"] = "3"
    answer = raised(error, app=app)
    assert (answer.status_code, answer.get_json()["error_code"]) == (error.code, error.error_code)
    assert answer.headers["Retry-After"] == "3"


def test_other_handlers_keep_every_other_error() -> None:
    app = Flask("plain")
    add_handlers(app)
    exceptions.init_app(app)
    assert raised(TooManyRequests(), app=app).get_json() == {"status": 429}
    assert app.test_client().get("/nope").get_json() == {"status": 404}


@pytest.mark.parametrize("mended", [False, True])
def test_a_handler_of_a_blueprint_goes_first_unless_it_has_one_for_ours(mended: bool) -> None:
    app = Flask("plain")
    exceptions.init_app(app)
    bp = Blueprint("old", __name__)
    bp.register_error_handler(HTTPException, rebuilt)
    if mended:
        bp.register_error_handler(ApiException, lambda error: error)

    @bp.get("/old")
    def old() -> str:
        raise Conflict()

    app.register_blueprint(bp)
    body = app.test_client().get("/old").get_json()
    assert body == ({"error_code": 2002} | body if mended else {"status": 409})


def test_there_is_no_data_that_another_framework_would_send_as_the_body() -> None:
    assert not hasattr(ApiException(members={"a": 1}), "data")


# As an exception


def same(error: ApiException) -> ApiException:
    return error


@pytest.mark.parametrize(
    "copied", [same, copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_it_survives_pickle_and_copy(copied: Callable[[ApiException], ApiException]) -> None:
    error = copied(
        ParameterException(FAULTS, code=422, headers={"Retry-After": "3"}, members={"hint": "x"})
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
    assert str(ClientTypeError({"type": "fax"})) == "400 Bad Request: {'type': 'fax'}"


# The catalogue


def ours() -> Iterable[type[ApiException]]:
    """Return every class of the module, whatever the tests have added."""
    for value in vars(exceptions).values():
        if isinstance(value, type) and issubclass(value, ApiException):
            yield value


def test_no_code_and_no_name_stands_for_two_errors() -> None:
    assert set(ours()) == set(CATALOGUE)
    for name in ("error_code", "msg"):
        assert len({getattr(error, name) for error in ours()}) == len(CATALOGUE)


def test_flask_errors_lists_every_code_with_status_and_meaning(app: Flask) -> None:
    lines = app.test_cli_runner().invoke(args=["errors"]).output.splitlines()
    codes = [int(line.split()[0]) for line in lines]
    assert codes == sorted(codes)
    for error, (status, error_code, msg) in CATALOGUE.items():
        [line] = [line for line in lines if line.split()[0] == str(error_code)]
        assert line.split()[1:3] == [str(status), msg]
        assert error.__doc__ and line.endswith(f" {error.__doc__}")


class Taken(ApiException):  # without a docstring
    code = 409
    error_code = 2003
    msg = {"account": "taken"}  # noqa: RUF012


def test_flask_errors_lists_errors_of_the_app_too(app: Flask) -> None:
    output = app.test_cli_runner().invoke(args=["errors"]).output
    assert "2003 409 {'account': 'taken'} \n" in output


def test_a_command_says_what_it_does(app: Flask) -> None:
    assert "List the error codes" in app.test_cli_runner().invoke(args=["errors", "--help"]).output


# Nothing needs init_app but what it adds


def test_an_app_that_never_calls_init_app_sends_the_same() -> None:
    error = IllegalState(headers={"Retry-After": "3"})
    with_it = Flask("plain")
    exceptions.init_app(with_it)
    one, other = raised(error), raised(error, app=with_it)
    assert (one.data, list(one.headers)) == (other.data, list(other.headers))


def test_init_app_twice_is_as_good_as_once(app: Flask) -> None:
    exceptions.init_app(app)
    exceptions.init_app(app)
    answer = raised(NotFound(), app=app)
    assert answer.get_json()["error_code"] == 1003


def test_a_response_from_a_hook_can_carry_it() -> None:
    app = Flask("plain")

    @app.before_request
    def refuse() -> None:
        raise AccessForbidden()

    @app.after_request
    def mark(response: Response) -> Response:
        response.headers["X-Seen"] = "yes"
        return response

    answer = app.test_client().get("/")
    assert answer.get_json()["error_code"] == 1001
    assert answer.headers["X-Seen"] == "yes"
