"""What "Use it in your app" does to apps that have something already: the apps in neighbours/.

Each technique is copied into each of them as its README says, once right after the app is made and
once at the end. Then the technique's answers have to be right, and what the app did before has to
be the same. Where the README's table "If your app has ..." has a row, a test shows what it says.
"""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from book import CHAPTERS
from conftest import missing
from servers import free_port, process
from wiring import (
    TABLE,
    TITLE,
    Answer,
    Client,
    Copy,
    Forked,
    Neighbour,
    Real,
    recipe,
    replace,
    split,
)

TECHNIQUES = CHAPTERS[:5]
NEIGHBOURS = [
    Neighbour("Flask-RESTful", "restful.py", "restful"),
    Neighbour("Flask-RESTX", "restx.py", "restx"),
    Neighbour("flask-smorest", "smorest.py", "smorest"),
    Neighbour("APIFlask", "apiflask_.py", "apiflask_"),
    Neighbour("Flask-Login", "login.py", "login"),
    Neighbour("CSRFProtect", "csrf.py", "csrf"),
    Neighbour("Sentry", "sentry.py", "sentry"),
    Neighbour("flask-cors", "old_cors.py", "old_cors"),
    Neighbour("a prefix by DispatcherMiddleware", "dispatched.py", "dispatched", "/shop"),
    Neighbour("a prefix by a middleware of its own", "prefixed.py", "prefixed", "/shop"),
    Neighbour("nested blueprints", "nested.py", "nested"),
    Neighbour("async views", "async_views.py", "async_views"),
    Neighbour("a package with a factory", "package", "shop"),
    Neighbour("its own errors or exceptions", "own_errors", "stock"),
    Neighbour("a handler for HTTPException", "http_handler.py", "http_handler"),
    Neighbour("a handler for 404", "own_404.py", "own_404"),
    Neighbour("a handler for Exception", "own_exception.py", "own_exception"),
    Neighbour("a blueprint's handler", "blueprint_handler.py", "blueprint_handler"),
    Neighbour("a JSON provider of its own", "own_json.py", "own_json"),
    Neighbour("logging of its own", "own_logging.py", "own_logging"),
]
BY_NAME = {neighbour.name: neighbour for neighbour in NEIGHBOURS}
# Where what stands between Flask and the network makes a difference: files, and headers of CORS.
REAL = [
    (number, neighbour)
    for number in ("01", "02")
    for neighbour in NEIGHBOURS
    if neighbour.name in ("async views", "a package with a factory") or neighbour.mount
]

Step = tuple[str, str, dict[str, Any]]


def step(request: str, **arguments: Any) -> Step:
    method, path = request.split(" ")
    return method, path, arguments


# What works in each neighbour before anything is copied: its requests, in this order.
USED = {
    "Flask-RESTful": [
        step("GET /"),
        step("GET /api/todos/milk"),
        step("GET /api/todos/none"),
        step("PUT /api/todos/tea", json={"task": "drink tea"}),
        step("PUT /api/todos/tea", json={}),
        step("DELETE /api/todos/milk"),
        step("GET /nope"),
    ],
    "Flask-RESTX": [
        step("GET /"),
        step("GET /api/cats/1"),
        step("GET /api/cats/2"),
        step("GET /api/cats/7"),
        step("PUT /api/cats/3", json={"name": "Kuro"}),
        step("PUT /api/cats/3", json={}),
        step("GET /api/swagger.json"),
        step("GET /nope"),
    ],
    "flask-smorest": [
        step("GET /"),
        step("GET /api/pets/"),
        step("POST /api/pets/", json={"name": "Bello"}),
        step("POST /api/pets/", json={"name": "Rex"}),
        step("POST /api/pets/", json={}),
        step("DELETE /api/pets/"),
    ],
    "APIFlask": [
        step("GET /"),
        step("GET /api/pets/1"),
        step("GET /api/pets/2"),
        step("POST /api/pets", json={"name": "Bello"}),
        step("POST /api/pets", json={"name": "Rex"}),
        step("POST /api/pets", json={}),
        step("GET /openapi.json"),
    ],
    "Flask-Login": [
        step("GET /account"),
        step("GET /api/me"),
        step("GET /api/office/keys"),
        step("POST /login", data={"password": "lovelace"}),
        step("GET /account"),
        step("GET /api/me"),
        step("GET /api/office/keys"),
    ],
    "CSRFProtect": [
        step("GET /token"),
        step("POST /comments", data={"text": "no token"}),
        step("POST /api/comments", json={"text": "no token"}),
        step("POST /hook"),
        step("POST /comments", data={"text": "Hello", "csrf_token": "<token>"}),
        step("POST /api/comments", json={"text": "Hi"}, headers={"X-CSRFToken": "<token>"}),
    ],
    "Sentry": [
        step("GET /api/share/4"),
        step("GET /api/share/0"),
        step("GET /old"),
    ],
    "flask-cors": [
        step("GET /"),
        step("GET /api/news"),
        step("POST /api/news"),
    ],
    "a prefix by DispatcherMiddleware": [
        step("GET /"),
        step("GET /shop/"),
        step("GET /shop/first"),
        step("GET /shop/api/books/1"),
        step("GET /shop/nope"),
    ],
    "a prefix by a middleware of its own": [
        step("GET /"),
        step("GET /shop/"),
        step("GET /shop/first"),
        step("GET /shop/api/books/1"),
        step("GET /shop/nope"),
    ],
    "nested blueprints": [
        step("GET /"),
        step("GET /api/v1/orders/7"),
        step("GET /api/v1/orders/101"),
        step("GET /api/v1/share/4"),
    ],
    "async views": [
        step("GET /"),
        step("GET /api/rates/eur"),
        step("GET /api/rates/usd"),
        step("GET /api/rates/xxx"),
    ],
    "a package with a factory": [
        step("GET /"),
        step("GET /api/customers/7"),
        step("GET /api/customers/8"),
    ],
    "its own errors or exceptions": [
        step("GET /"),
        step("POST /api/pay/500"),
        step("POST /api/pay/50000"),
        step("GET /api/stock/tea"),
        step("GET /help/E42"),
    ],
    "a handler for HTTPException": [
        step("GET /"),
        step("GET /api/invoices/7"),
        step("GET /api/invoices/101"),
        step("GET /nope"),
        step("POST /"),
    ],
    "a blueprint's handler": [
        step("GET /"),
        step("GET /api/letters/7"),
        step("GET /api/letters/101"),
    ],
    "a JSON provider of its own": [
        step("GET /api/day"),
        step("POST /api/echo", json={"a": [1]}),
        step("POST /api/echo", data="{", headers={"Content-Type": "application/json"}),
    ],
    "a handler for Exception": [
        step("GET /api/shares/4"),
        step("GET /shares/4"),
        step("GET /shares/0"),
        step("GET /nope"),
    ],
    "logging of its own": [
        step("GET /api/greet/ada"),
        step("GET /nope"),
    ],
    "a handler for 404": [
        step("GET /"),
        step("GET /api/books/7"),
        step("GET /nope"),
    ],
}


def walk(client: Client, steps: list[Step]) -> list[Answer]:
    """Send the requests; what stands as <token> is filled in from the answer to GET /token."""
    token = ""
    answers = []
    for method, path, arguments in steps:
        filled = {}
        for name, value in arguments.items():
            if isinstance(value, dict):
                value = {k: token if v == "<token>" else v for k, v in value.items()}
            filled[name] = value
        answer = client.open(method, path, **filled)
        if path == "/token":
            token = answer.text
        answers.append(answer)
    return answers


# What somebody who has copied a technique writes next: a view that raises one of its errors, and a
# view with a bug, both below /api.
RAISING = {
    "03": ("from errors import ApiException, not_found", "raise ApiException(not_found)"),
    "04": (
        "from exceptions import NotFound",
        'raise NotFound("no tea", headers={"Retry-After": "7"}, members={"near": "milk"})',
    ),
}
RAISING["05"] = RAISING["04"]
PLAIN_VIEWS = """
@app.get("/api/raises")
def raises():
    {raise}


@app.get("/api/bug")
def bug():
    return str(1 // 0)
"""
VIEWS = {
    "Flask-RESTful": """
class Raises(Resource):
    def get(self):
        {raise}


class Bug(Resource):
    def get(self):
        return 1 // 0


api.add_resource(Raises, "/api/raises")
api.add_resource(Bug, "/api/bug")
""",
    "Flask-RESTX": """
@api.route("/raises")
class Raises(Resource):
    def get(self):
        {raise}


@api.route("/bug")
class Bug(Resource):
    def get(self):
        return 1 // 0
""",
    "flask-smorest": """
more = Blueprint("more", "more", url_prefix="/api")


@more.route("/raises")
class Raises(MethodView):
    def get(self):
        {raise}


@more.route("/bug")
class Bug(MethodView):
    def get(self):
        return 1 // 0


api.register_blueprint(more)
""",
    "a blueprint's handler": """
more = Blueprint("more", __name__, url_prefix="/api")
more.register_error_handler(HTTPException, as_json)
{more}


@more.get("/raises")
def raises():
    {raise}


@more.get("/bug")
def bug():
    return str(1 // 0)


app.register_blueprint(more)
""",
    "nested blueprints": """
outer = Blueprint("outer", __name__, url_prefix="/api")
inner = Blueprint("inner", __name__)


@inner.get("/raises")
def raises():
    {raise}


@inner.get("/bug")
def bug():
    return str(1 // 0)


outer.register_blueprint(inner)
app.register_blueprint(outer)
""",
    "async views": PLAIN_VIEWS.replace("def ", "async def "),
}


def written_next(number: str, neighbour: Neighbour, more: str) -> str:
    """Return what the neighbour's author writes then: *more*, and views that use the technique."""
    if number not in RAISING:
        return more
    imports, statement = RAISING[number]
    views = VIEWS.get(neighbour.name, PLAIN_VIEWS)
    if "{more}" not in views:
        views += more
    return imports + views.replace("{raise}", statement).replace("{more}", more)


# Probes: what each technique has to do in every neighbour


def check_uploads(client: Client, **headers: str) -> None:
    """A file that is sent can be fetched by the link in the answer, as a browser should see it."""
    at = client.mount

    def send(name: str, content: bytes) -> Answer:
        data = {"file": (BytesIO(content), name)}
        return client.post(f"{at}/uploads", data=data, headers=headers)

    answer = send("a.html", b"<script>alert(1)</script>")
    assert answer.status == 201, answer
    link = answer.headers["Location"]
    assert link.startswith(f"{at}/uploads/") and link == answer.json["url"], answer

    file = client.get(link)
    assert (file.status, file.body) == (200, b"<script>alert(1)</script>"), file
    assert file.headers["Content-Type"] == "application/octet-stream"
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in file.headers
    head = client.open("HEAD", link)
    assert (head.status, head.body) == (200, b"") and head.headers["Content-Length"] == "25"
    part = client.get(link, headers={"Range": "bytes=1-6"})
    assert (part.status, part.body) == (206, b"script"), part
    etag = file.headers["ETag"]
    assert client.get(link, headers={"If-None-Match": etag}).status == 304

    assert client.get(send("a.png", b"a picture").headers["Location"]).headers["Content-Type"] == (
        "image/png"
    )
    missing = f"{at}/uploads/{'0' * 64}.png"
    like_others = client.get(f"{at}/nope")
    assert client.get(missing).headers["Content-Type"] == like_others.headers["Content-Type"]
    assert client.get(missing).status == 404
    wrong_method = client.open("DELETE", link, headers=headers)
    assert wrong_method.status == 405, wrong_method
    # flask-smorest leaves Allow out of all its errors.
    assert ("GET" in wrong_method.headers.get("Allow", "")) != (client.name == "flask-smorest")


LISTED = "https://desk.example"  # the origin in the app that the README shows


def check_cors(client: Client) -> None:
    """Pages of the listed origin read every answer, errors and preflights too; no others do."""
    steps = USED[client.name]
    steps = [one for one in steps if one[1].startswith(client.mount)]
    for method, path, arguments in [*steps, step(f"GET {client.mount}/nope")]:
        arguments = {name: value for name, value in arguments.items() if name != "headers"}
        for sender, allowed in ((LISTED, [LISTED]), (f"{LISTED}.evil.example", [])):
            answer = client.open(method, path, headers={"Origin": sender}, **arguments)
            assert answer.headers.getlist("Access-Control-Allow-Origin") == allowed, answer
            assert ",".join(answer.headers.getlist("Vary")).count("Origin") == 1, answer
    for path in {path for _, path, _ in steps}:
        asked = {"Origin": LISTED, "Access-Control-Request-Method": "PUT"}
        preflight = client.open("OPTIONS", path, headers=asked)
        assert preflight.status in (200, 204), preflight
        assert preflight.headers.getlist("Access-Control-Allow-Origin") == [LISTED], preflight
        assert "PUT" in preflight.headers["Access-Control-Allow-Methods"], preflight


def check_reports(client: Forked) -> None:
    """Sentry has heard of the bug, once, and of nothing else."""
    if client.name == "Sentry":
        [report] = client.value("REPORTS")
        assert report["exception"]["values"][-1]["type"] == "ZeroDivisionError", report


NOT_FOUND = {"r": 1003, "msg": "not_found"}  # as chapter 03 says it


def check_raised_code(client: Forked) -> None:
    answer = client.get(f"{client.mount}/api/raises")
    assert (answer.status, answer.json) == (404, NOT_FOUND), answer


def check_codes(client: Forked) -> None:
    """Errors that are raised have our format, and below the prefix those of HTTP as well."""
    check_raised_code(client)
    at = client.mount
    answer = client.get(f"{at}/api/nope")
    assert (answer.status, answer.json) == (404, NOT_FOUND), answer
    answer = client.open("DELETE", f"{at}/api/raises")
    assert answer.status == 405 and answer.json["r"] == 405 and "Allow" in answer.headers, answer
    answer = client.get(f"{at}/api/bug")
    assert (answer.status, answer.json["r"]) == (500, 1000), answer
    assert client.log().count("ZeroDivisionError:") == 1, client.log()
    check_reports(client)


def check_exception(client: Forked) -> None:
    """An ApiException is sent as it is, in production and in tests."""
    path = f"{client.mount}/api/raises"
    members = {"request": f"GET {path}", "near": "milk"}
    for testing in (False, True):
        client.value(f"app.config.update(TESTING={testing})")
        answer = client.get(path)
        assert answer.status == 404, answer
        assert answer.json == {"error_code": 1003, "msg": "no tea", **members}, answer
        assert answer.headers["Retry-After"] == "7", answer
        assert answer.headers["Content-Type"] == "application/json"
    client.value("app.config.update(TESTING=False)")
    assert "Traceback" not in client.log(), client.log()


def check_below_prefix(client: Forked) -> None:
    """Below the prefix every error is in the API's format; a bug is logged once, with its id."""
    check_exception(client)
    at = client.mount
    answer = client.get(f"{at}/api/nope")
    assert (answer.status, answer.json["error_code"]) == (404, 1003), answer
    answer = client.open("DELETE", f"{at}/api/raises")
    assert (answer.status, answer.json["error_code"]) == (405, 1007), answer
    assert "GET" in answer.headers["Allow"], answer

    answer = client.get(f"{at}/api/bug", headers={"X-Request-ID": "id-of-the-bug"})
    assert (answer.status, answer.json["error_code"]) == (500, 999), answer
    assert answer.json["request_id"] == answer.headers["X-Request-ID"] == "id-of-the-bug"
    log = client.log()
    assert log.count("ZeroDivisionError:") == 1 and log.count("id-of-the-bug") == 1, log
    check_reports(client)


def check_catch_all(client: Forked) -> None:
    """Elsewhere, errors are pages of HTML for clients that don't prefer JSON."""
    check_below_prefix(client)
    at = client.mount
    answer = client.get(f"{at}/nope")
    assert answer.status == 404 and answer.headers["Content-Type"].startswith("text/html"), answer
    answer = client.get(f"{at}/nope", headers={"Accept": "application/json"})
    assert answer.json["error_code"] == 1003, answer


CHECKS: dict[str, Callable[[Any], None]] = {
    "01": check_uploads,
    "02": check_cors,
    "03": check_codes,
    "04": check_exception,
    "05": check_catch_all,
}
PLACES = {"02": ["last"]}  # its page says: call it last


# Checks of rows: what a README says of a neighbour, where that is more than "it works"


def send(client: Client, path: str, size: int = 7, **headers: str) -> Answer:
    data = {"file": (BytesIO(b"x" * size), "a.png")}
    return client.post(path, data=data, headers=headers)


def uploads_with_login(client: Client) -> None:
    stranger = send(client, "/uploads")
    assert stranger.headers["Location"].startswith("/login"), stranger
    client.post("/login", data={"password": "lovelace"})
    check_uploads(client)


def uploads_with_csrf(client: Forked) -> None:
    assert send(client, "/uploads").status == 400
    token = client.get("/token").text
    check_uploads(client, **{"X-CSRFToken": token})
    client.value("app.config.update(UPLOAD_LIMIT=1000)")
    assert send(client, "/uploads", 100_000, **{"X-CSRFToken": token}).status == 413


def origins_of_a_file(client: Client) -> list[str]:
    link = send(client, "/uploads").headers["Location"]
    answer = client.get(link, headers={"Origin": LISTED})
    return answer.headers.getlist("Access-Control-Allow-Origin")


def uploads_outside_flask_cors(client: Client) -> None:
    check_uploads(client)
    assert origins_of_a_file(client) == []


def uploads_inside_flask_cors(client: Client) -> None:
    check_uploads(client)
    assert origins_of_a_file(client) in ([LISTED], ["*"])


def uploads_in_a_resource(client: Client) -> None:
    check_uploads(client)
    answer = send(client, "/api/files")
    assert answer.status == 201 and client.get(answer.headers["Location"]).body == b"x" * 7


def uploads_in_format_of_smorest(client: Client) -> None:
    check_uploads(client)
    missing_file = client.get(f"/uploads/{'0' * 64}.png")
    assert missing_file.json == {"code": 404, "status": "Not Found"}, missing_file


def uploads_with_handler(client: Client) -> None:
    check_uploads(client)
    link = send(client, "/uploads").headers["Location"]
    answer = client.get(link, headers={"Range": "bytes=100-"})
    assert (answer.status, answer.json["code"]) == (416, 416), answer
    assert answer.headers["Content-Range"] == "bytes */7", answer


def cors_with_login(client: Client) -> None:
    check_cors(client)
    answer = client.post("/login", data={"password": "lovelace"}, headers={"Origin": LISTED})
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Secure; HttpOnly; Path=/; SameSite=None" in answer.headers["Set-Cookie"], answer


def cors_with_csrf(client: Client) -> None:
    check_cors(client)
    asked = {"Origin": LISTED, "Access-Control-Request-Method": "POST"}
    preflight = client.open("OPTIONS", "/api/comments", headers=asked)
    assert "X-CSRFToken" in preflight.headers["Access-Control-Allow-Headers"]

    def comment() -> Answer:
        url = "https://localhost"
        token = client.get("/token", base_url=url).text
        headers = {"Origin": LISTED, "Referer": f"{LISTED}/", "X-CSRFToken": token}
        return client.post("/api/comments", json={"text": "Hi"}, base_url=url, headers=headers)

    assert "referrer does not match" in comment().text
    assert isinstance(client, Forked)
    client.value("app.config.update(WTF_CSRF_SSL_STRICT=False)")
    assert comment().status == 201


def cors_with_another_app(client: Client) -> None:
    check_cors(client)
    answer = client.get("/", headers={"Origin": LISTED})
    assert answer.headers["Access-Control-Allow-Origin"] == LISTED, answer


def codes_in_restful(client: Forked) -> None:
    check_raised_code(client)
    assert client.get("/api/nope").json == NOT_FOUND
    wrong_method, bug = client.open("DELETE", "/api/raises"), client.get("/api/bug")
    assert (wrong_method.status, wrong_method.json.keys()) == (405, {"message"}), wrong_method
    assert (bug.status, bug.json.keys()) == (500, {"message"}), bug


def codes_before_smorest(client: Forked) -> None:
    check_raised_code(client)
    assert client.get("/api/nope").json == {"code": 404, "status": "Not Found"}


def codes_with_login(client: Forked) -> None:
    check_codes(client)
    assert client.get("/api/me").headers["Location"].startswith("/login")
    client.value("login_manager.unauthorized_handler(unauthorized) is None")
    answer = client.get("/api/me")
    assert (answer.status, answer.json["r"]) == (401, 401), answer
    assert client.get("/account").headers["Location"].startswith("/login")


def codes_with_csrf(client: Forked) -> None:
    check_codes(client)
    answer = client.post("/api/comments", json={})
    assert answer.json == {"r": 1004, "msg": "The CSRF token is missing."}, answer


def codes_with_sentry(client: Forked) -> None:
    check_codes(client)
    assert client.get("/api/fails").status == 500
    assert len(client.value("REPORTS")) == 1


def codes_in_blueprint(client: Forked) -> None:
    check_raised_code(client)
    assert client.get("/api/nope").json == NOT_FOUND  # in no blueprint
    assert client.get("/api/bug").json == {"status": 500, "title": "Internal Server Error"}
    assert client.get("/api/letters/101").json == {"status": 404, "title": "Not Found"}


def success_by_make_response(client: Forked) -> None:
    check_exception(client)
    answer = client.get("/api/done")
    said = {"error_code": 0, "msg": "success", "request": "GET /api/done", "number": 7}
    assert (answer.status, answer.json) == (200, said), answer


def exception_beside_webargs(client: Forked) -> None:
    success_by_make_response(client)
    path = {"flask-smorest": "/api/pets/", "APIFlask": "/api/pets"}[client.name]
    assert client.post(path, **NESTED).status == 500
    assert client.post("/api/own", **NESTED).status == 400


def exception_with_login(client: Forked) -> None:
    check_exception(client)
    answer = client.get("/api/me")
    assert (answer.status, answer.json["error_code"]) == (403, 1001), answer


def exception_with_sentry(client: Forked) -> None:
    check_exception(client)
    assert client.get("/api/fails").json["error_code"] == 999
    assert client.get("/api/bug").status == 500
    check_reports(client)


def exception_with_flask_cors(client: Forked) -> None:
    check_exception(client)
    answer = client.get("/api/guests/7", headers={"Origin": LISTED})
    assert (answer.status, answer.json["error_code"]) == (404, 1003), answer
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", LISTED), answer


NESTED = {"data": "[" * 100_000, "headers": {"Content-Type": "application/json"}}


def exception_beside_errors(client: Forked) -> None:
    check_exception(client)
    assert client.value('app.test_cli_runner().invoke(args=["errors"]).output') == "E42\n"


def catch_all_with_login(client: Forked) -> None:
    check_catch_all(client)
    answer = client.get("/api/me")
    assert (answer.status, answer.json["error_code"]) == (401, 1007), answer
    assert client.get("/account").headers["Location"].startswith("/login")


def catch_all_with_sentry(client: Forked) -> None:
    check_catch_all(client)
    assert client.get("/api/fails").status == 500
    assert len(client.value("REPORTS")) == 2


def catch_all_with_flask_cors(client: Forked) -> None:
    check_catch_all(client)
    answer = client.get("/api/news", headers={"Origin": "https://desk.example"})
    assert answer.headers["Access-Control-Expose-Headers"] == "X-Request-ID", answer


def blueprint_goes_first(client: Forked) -> None:
    # It's in a blueprint, so its handler isn't asked about a path that isn't the blueprint's.
    assert client.get("/api/raises").json == {"status": 404, "title": "Not Found"}
    assert client.get("/api/nope").json["error_code"] == 1003


@dataclass
class Row:
    """A row of a table "If your app has ..." as a test.

    *check* is made instead of the technique's own. *more* is code that the reader writes for it;
    *edits* are what they change in copied files, a text and what stands there then. *changed* has
    the requests of ``USED`` that are answered differently than before, each with the status that
    it had and with a part of the new answer.
    """

    check: Callable[[Any], None] | None = None
    more: str = ""
    edits: dict[str, tuple[str, str]] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)


WORKS = Row()
RAISE_AGAIN = """
@app.errorhandler(Exception)
def handle_exception(error):
    if module.is_api_request():
        raise error
"""
# By chapter and neighbour, and where it makes a difference by place. In a neighbour that isn't here
# the technique just works, so it needs no row.
ROWS: dict[tuple[str, ...], Row] = {
    ("01", "Flask-Login"): Row(
        uploads_with_login,
        'app.add_url_rule("/uploads", view_func=login_required(uploads.upload), methods=["POST"])',
    ),
    ("01", "CSRFProtect"): Row(uploads_with_csrf),
    ("01", "flask-cors", "first"): Row(uploads_outside_flask_cors, "CORS(app)"),
    ("01", "flask-cors", "last"): Row(
        uploads_inside_flask_cors, "CORS(app)\nuploads.init_app(app, middleware=False)"
    ),
    ("01", "Flask-RESTful"): Row(
        uploads_in_a_resource,
        """
class Files(Resource):
    def post(self):
        return uploads.upload()


api.add_resource(Files, "/api/files")
""",
    ),
    ("01", "Flask-RESTX"): Row(
        uploads_in_a_resource,
        """
@api.route("/files")
class Files(Resource):
    def post(self):
        return uploads.upload()
""",
    ),
    ("01", "flask-smorest"): Row(uploads_in_format_of_smorest),
    ("01", "a prefix by a middleware of its own"): WORKS,
    ("01", "a package with a factory"): WORKS,
    ("01", "a handler for HTTPException"): Row(uploads_with_handler),
    ("01", "a prefix by DispatcherMiddleware"): WORKS,
    ("01", "APIFlask"): WORKS,
    ("01", "Sentry"): WORKS,
    ("01", "nested blueprints"): WORKS,
    ("01", "async views"): WORKS,
    ("01", "its own errors or exceptions"): WORKS,
    ("02", "flask-cors"): WORKS,
    ("02", "Flask-Login"): Row(
        cors_with_login,
        """
app.config["CORS_CREDENTIALS"] = True
app.config["SESSION_COOKIE_SAMESITE"] = "None"
app.config["SESSION_COOKIE_SECURE"] = True
""",
    ),
    ("02", "CSRFProtect"): Row(
        cors_with_csrf, edits={"cors.py": ("Authorization, ", "Authorization, X-CSRFToken, ")}
    ),
    ("02", "a prefix by DispatcherMiddleware"): Row(
        cors_with_another_app,
        """
site.config["CORS_ORIGINS"] = ["https://desk.example"]
cors.init_app(site)
""",
    ),
    ("02", "a prefix by a middleware of its own"): Row(cors_with_another_app),
    ("02", "a package with a factory"): WORKS,
    ("03", "Flask-RESTful"): Row(codes_in_restful),
    ("03", "Flask-RESTX"): Row(codes_in_restful),
    ("03", "flask-smorest", "first"): Row(codes_before_smorest),
    ("03", "flask-smorest", "last"): Row(
        changed={
            "POST /api/pets/ 409": '"r":409',
            "POST /api/pets/ 422": '{"msg":"Unprocessable Entity","r":422}',
            "DELETE /api/pets/ 405": '"r":405',
        }
    ),
    ("03", "APIFlask"): WORKS,
    ("03", "Flask-Login"): Row(
        codes_with_login,
        """
def unauthorized():
    if errors.is_api_request():
        abort(401)
    return redirect(url_for("login"))
""",
    ),
    ("03", "CSRFProtect"): Row(
        codes_with_csrf,
        """
from flask_wtf.csrf import CSRFError


@app.errorhandler(CSRFError)
def no_token(error):
    return ApiException(errors.illegal_state, error.description).to_result()
""",
    ),
    ("03", "Sentry"): Row(
        codes_with_sentry,
        """
@app.get("/api/fails")
def fails():
    raise ApiException(errors.unknown_error)
""",
    ),
    ("03", "a prefix by DispatcherMiddleware"): WORKS,
    ("03", "a prefix by a middleware of its own"): WORKS,
    ("03", "nested blueprints"): WORKS,
    ("03", "a blueprint's handler"): Row(codes_in_blueprint),
    ("03", "a package with a factory"): WORKS,
    ("03", "its own errors or exceptions"): WORKS,
    ("03", "a handler for HTTPException"): Row(
        changed={"GET /api/invoices/101 404": '{"msg":"not_found","r":1003}'}
    ),
    ("03", "a handler for 404"): WORKS,
    ("03", "a handler for Exception"): Row(more=RAISE_AGAIN.replace("module", "errors")),
    ("04", "Flask-RESTful"): Row(
        success_by_make_response,
        """
from exceptions import Success
from flask import make_response


class Done(Resource):
    def get(self):
        return make_response(Success(members={"number": 7}))


api.add_resource(Done, "/api/done")
""",
    ),
    ("04", "Flask-RESTX"): Row(
        success_by_make_response,
        """
from exceptions import Success
from flask import make_response


@api.route("/done")
class Done(Resource):
    def get(self):
        return make_response(Success(members={"number": 7}))
""",
    ),
    ("04", "flask-smorest"): Row(
        exception_beside_webargs,
        """
from exceptions import Success
from flask import make_response, request

others = Blueprint("others", "others", url_prefix="/api")


@others.route("/done")
class Done(MethodView):
    @others.response(200, PetSchema)
    def get(self):
        return make_response(Success(members={"number": 7}))


api.register_blueprint(others)


@app.post("/api/own")
def own():
    return request.get_json()
""",
    ),
    ("04", "APIFlask"): Row(
        exception_beside_webargs,
        """
from exceptions import Success
from flask import make_response, request


@app.get("/api/done")
@app.output(PetOut)
def done():
    return make_response(Success(members={"number": 7}))


@app.post("/api/own")
def own():
    return request.get_json()
""",
    ),
    ("04", "Flask-Login"): Row(
        exception_with_login,
        """
from exceptions import AccessForbidden


@login_manager.unauthorized_handler
def unauthorized():
    raise AccessForbidden
""",
    ),
    ("04", "CSRFProtect"): WORKS,
    ("04", "Sentry"): Row(
        exception_with_sentry,
        """
@app.get("/api/fails")
def fails():
    raise ApiException
""",
    ),
    ("04", "flask-cors"): Row(
        exception_with_flask_cors,
        """
guests = Blueprint("guests", __name__, url_prefix="/api/guests")
CORS(guests)


@guests.get("/<int:number>")
def guest(number):
    raise NotFound


app.register_blueprint(guests)
""",
    ),
    ("04", "a prefix by DispatcherMiddleware"): WORKS,
    ("04", "a prefix by a middleware of its own"): WORKS,
    ("04", "nested blueprints"): WORKS,
    ("04", "async views"): WORKS,
    ("04", "a package with a factory"): WORKS,
    ("04", "its own errors or exceptions"): Row(
        exception_beside_errors,
        """
@app.cli.command("errors")
def errors():
    print(SOLD_OUT)
""",
    ),
    ("04", "a handler for HTTPException"): WORKS,
    ("04", "a blueprint's handler"): Row(
        more="more.register_error_handler(ApiException, lambda error: error)"
    ),
    ("05", "Flask-RESTful"): Row(
        changed={
            "GET /api/todos/none 404": '"error_code": 1003, "msg": "There is no todo none"',
            "PUT /api/todos/tea 400": '"msg": {"task": "A todo needs a task"}',
            "DELETE /api/todos/milk 405": '"error_code": 1007',
        }
    ),
    ("05", "Flask-RESTX"): Row(
        changed={
            "GET /api/cats/2 404": '"error_code": 1003, "msg": "There is no such cat',
            "PUT /api/cats/3 400": """ is a required property"}""",
        }
    ),
    ("05", "flask-smorest"): Row(
        changed={
            "POST /api/pets/ 409": '"error_code": 1007, "msg": "There is a Rex already"',
            "POST /api/pets/ 422": '"errors": {"json": {"name": ["Missing data',
            "DELETE /api/pets/ 405": '"error_code": 1007',
        }
    ),
    ("05", "APIFlask"): Row(
        changed={
            "GET /api/pets/2 404": '"There is no such pet"',
            "POST /api/pets 409": '"name": "Rex"',
            "POST /api/pets 422": '"errors": {"json": {"name": ["Missing data',
        }
    ),
    ("05", "Flask-Login"): Row(
        catch_all_with_login,
        changed={"GET /api/me 302": '"error_code": 1007', "GET /account 302": "/login"},
    ),
    ("05", "CSRFProtect"): WORKS,
    ("05", "Sentry"): Row(
        catch_all_with_sentry,
        """
@app.get("/api/fails")
def fails():
    abort(500)
""",
    ),
    ("05", "flask-cors"): Row(
        catch_all_with_flask_cors, 'cors = CORS(api, expose_headers=["X-Request-ID"])'
    ),
    ("05", "a prefix by DispatcherMiddleware"): WORKS,
    ("05", "a prefix by a middleware of its own"): WORKS,
    ("05", "its own errors or exceptions"): WORKS,
    ("05", "a handler for HTTPException", "first"): Row(
        check_below_prefix, changed={"GET /api/invoices/101 404": '"error_code": 1003'}
    ),
    ("05", "a handler for HTTPException", "last"): Row(
        changed={
            "GET /api/invoices/101 404": '"error_code": 1003',
            "GET /nope 404": "<!doctype html>",
            "POST / 405": "<!doctype html>",
        }
    ),
    ("05", "a handler for 404"): Row(check_below_prefix),
    ("05", "a handler for Exception"): Row(more=RAISE_AGAIN.replace("module", "handlers")),
    ("05", "a blueprint's handler"): Row(blueprint_goes_first),
    ("05", "logging of its own"): Row(
        edits={
            "own_logging.py": (
                '"format": "%(levelname)s %(message)s"',
                '"class": "handlers.LogFormatter", "format": "[%(request_id)s] %(message)s"',
            )
        }
    ),
}

FULL = os.environ.get("FULL") == "1"  # the long form: the technique comes first, too
NUMBERS = {chapter.name[:2]: chapter for chapter in TECHNIQUES}
CASES = [
    pytest.param(
        number,
        neighbour,
        place,
        id=f"{number}-{neighbour}-{place}",
        marks=[pytest.mark.drill] if place == "first" else [],  # to keep the quick checks quick
    )
    for number in NUMBERS
    for neighbour in NEIGHBOURS
    for place in PLACES.get(number, ["first", "last"])
    if place == "last" or FULL
]
each_case = pytest.mark.parametrize(("number", "neighbour", "place"), CASES)
each_chapter = pytest.mark.parametrize("chapter", TECHNIQUES, ids=lambda chapter: chapter.name)


def row(number: str, neighbour: Neighbour, place: str) -> Row:
    key = (number, neighbour.name)
    return ROWS.get((*key, place)) or ROWS.get(key) or Row()


@each_case
def test_a_technique_works_in_an_app_that_has_more(
    number: str, neighbour: Neighbour, place: str, tmp_path: Path
) -> None:
    copy = Copy(tmp_path, neighbour, recipe(NUMBERS[number]))
    told = row(number, neighbour, place)
    copy.wire(place, written_next(number, neighbour, told.more))
    copy.edit(told.edits)
    check = told.check or CHECKS[number]
    with copy.served() as client:
        check(client)


@cache
def answers_before(neighbour: Neighbour) -> list[Answer]:
    """Return what the neighbour answers as long as nothing has been copied into it."""
    with TemporaryDirectory() as folder, Copy(Path(folder), neighbour).served() as client:
        return walk(client, USED[neighbour.name])


def comparable(path: str, answer: Answer) -> tuple[object, ...]:
    names = ("Content-Type", "Location", "Allow", "X-Todos")
    headers = [answer.headers.get(name) for name in names]
    # A token is another one each time, and a description of the API grows with it.
    text = "" if path in ("/token", "/openapi.json") else answer.text
    return answer.status, text, headers


def becomes_ours(number: str, neighbour: Neighbour, path: str, before: Answer) -> bool:
    """Tell whether the answer was Flask's page of HTML where the technique has a better one."""
    is_page = before.status >= 400 and before.text.startswith("<!doctype html>")
    return number in ("03", "05") and is_page and path.startswith(f"{neighbour.mount}/api/")


@each_case
def test_what_worked_before_still_does(
    number: str, neighbour: Neighbour, place: str, tmp_path: Path
) -> None:
    steps = USED[neighbour.name]
    copy = Copy(tmp_path, neighbour, recipe(NUMBERS[number]))
    copy.wire(place)
    with copy.served() as client:
        after = walk(client, steps)
    changed = row(number, neighbour, place).changed
    before = answers_before(neighbour)
    for (method, path, _), was, now in zip(steps, before, after, strict=True):
        request = f"{method} {path} {was.status}"
        if request in changed:
            assert comparable(path, was) != comparable(path, now), f"{request} is as before"
            assert changed[request] in now.text, f"{request}: {now}"
        elif becomes_ours(number, neighbour, path, was):
            assert now.status == was.status and "msg" in now.json, f"{request}: {now}"
        else:
            assert comparable(path, was) == comparable(path, now), request


THEIRS = """app = Flask(__name__)
api = Api(app, prefix="/v1")


@app.errorhandler(404)
def not_found(e):
    return "theirs", 404
"""
README = """class OurApi(Api):
    pass


api = OurApi(app)


@app.errorhandler(404)
def page_not_found(error):
    if is_api_request():
        return http_error(error)
    return "a page", 404


app.add_url_rule("/more", view_func=more)
"""
TOGETHER = """app = Flask(__name__)
class OurApi(Api):
    pass


api = OurApi(app, prefix='/v1')


@app.errorhandler(404)
def not_found(e):
    if is_api_request():
        return http_error(e)
    return ('theirs', 404)
"""


def test_code_of_a_page_goes_where_a_reader_would_put_it() -> None:
    code, rest = replace(THEIRS, split(README)[1])
    assert (code, rest) == (TOGETHER, ['app.add_url_rule("/more", view_func=more)'])


@each_chapter
def test_every_row_of_a_table_is_tried(chapter: Path) -> None:
    told = recipe(chapter).rows
    assert told, f"{chapter.name}/README.md has no table {TABLE!r} in {TITLE!r}"
    tried = {key[1] for key in ROWS if key[0] == chapter.name[:2]}
    known = {neighbour.name for neighbour in NEIGHBOURS}
    untested = sorted(told.keys() & known - tried)
    assert not untested, f"{chapter.name}: ROWS has no test of the rows {untested}"
    missing_rows = sorted(tried - told.keys())
    assert not missing_rows, f"{chapter.name}/README.md has no rows for {missing_rows}"


@each_chapter
def test_code_for_a_neighbour_belongs_to_a_row(chapter: Path) -> None:
    page = recipe(chapter)
    assert page.extras.keys() <= page.rows.keys(), "blocks that are named after no row"


@pytest.mark.drill
@pytest.mark.parametrize("server", ["gunicorn", "waitress"])
@pytest.mark.parametrize(("number", "neighbour"), REAL, ids=str)
def test_a_technique_works_behind_a_real_server(
    number: str, neighbour: Neighbour, server: str, tmp_path: Path
) -> None:
    copy = Copy(tmp_path, neighbour, recipe(NUMBERS[number]))
    told = row(number, neighbour, "last")
    copy.wire("last", written_next(number, neighbour, told.more))
    copy.edit(told.edits)
    check = told.check or CHECKS[number]
    port = free_port()
    with process(copy.command(server, port), tmp_path, port, stderr=subprocess.DEVNULL):
        check(Real(copy, port))


# The header of a module

HEADER = re.compile(
    r'# From "A Flask API, one technique at a time", chapter (\d\d)\. '
    r"SPDX-License-Identifier: 0BSD\n"
    r"# Needs Flask (\d+\.\d+) and Werkzeug (\d+\.\d+), or later\.\n"
    r'"""'
)


def header(path: Path) -> tuple[str, str, str]:
    """Return the chapter that a module names, and the oldest Flask and Werkzeug."""
    found = HEADER.match(path.read_text(encoding="utf-8"))
    assert found, f"{path.parent.name}/{path.name} doesn't begin with its origin and licence"
    return found[1], found[2], found[3]


@each_chapter
def test_a_module_says_where_it_comes_from_and_what_it_needs(chapter: Path) -> None:
    for module in recipe(chapter).modules:
        path = chapter / f"{module}.py"
        first = next(other for other in TECHNIQUES if (other / path.name).exists())
        assert header(path)[0] == first.name[:2], f"{path}: it's from chapter {first.name[:2]}"


@cache
def old_releases(flask: str, werkzeug: str) -> Path:
    """Install the first release of these lines into a folder, alone, and return it."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    wanted = [f"flask=={flask}.0", f"werkzeug=={werkzeug}.0"]
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--retries", "1"]
    command += ["--target", str(folder), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if "from versions: none" in done.stderr:
        missing(f"package index to install {' and '.join(wanted)} from")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.drill
@each_chapter
def test_a_chapter_passes_with_the_oldest_releases_that_its_modules_name(chapter: Path) -> None:
    [versions] = {header(chapter / f"{module}.py")[1:] for module in recipe(chapter).modules}
    env = os.environ | {"PYTHONPATH": str(old_releases(*versions))}
    script = "import importlib.metadata as m; print(m.version('flask'), m.version('werkzeug'))"
    used = subprocess.check_output([sys.executable, "-c", script], env=env, text=True)
    assert used.split() == [f"{version}.0" for version in versions]

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=chapter, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
