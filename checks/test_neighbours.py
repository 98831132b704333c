"""What "Use it in your app" does to apps that have something already: the apps in neighbours/.

Each technique is copied into each of them as its README says, once right after the app is made and
once at the end. Then the technique's answers have to be right, and what the app did before has to be
the same. Where the README's table "If your app has ..." has a row, a test shows what the row says.
"""

import os
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from book import CHAPTERS
from wiring import Answer, Copy, Neighbour, Served, recipe

TECHNIQUES = CHAPTERS[:5]
if "SAMPLES" in os.environ:
    TECHNIQUES = sorted(Path(os.environ["SAMPLES"]).iterdir())
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
]
BY_NAME = {neighbour.name: neighbour for neighbour in NEIGHBOURS}

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
        step("POST /login", data={"password": "lovelace"}),
        step("GET /account"),
        step("GET /api/me"),
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
        step("GET /api/orders/7"),
        step("GET /api/orders/8"),
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
        step("GET /api/orders/7"),
        step("GET /api/orders/101"),
        step("GET /nope"),
        step("POST /"),
    ],
    "a handler for 404": [
        step("GET /"),
        step("GET /api/orders/7"),
        step("GET /nope"),
    ],
}


def walk(served: Served, steps: list[Step]) -> list[Answer]:
    """Send the requests; what stands as <token> is filled in from the answer to GET /token."""
    token = ""
    answers = []
    for method, path, arguments in steps:
        filled = {}
        for name, value in arguments.items():
            if isinstance(value, dict):
                value = {k: token if v == "<token>" else v for k, v in value.items()}
            filled[name] = value
        answer = served.open(method, path, **filled)
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


def views(chapter: str, neighbour: Neighbour) -> str:
    """Return the imports and views that the neighbour's author adds in order to use the technique."""
    if chapter not in RAISING:
        return ""
    imports, statement = RAISING[chapter]
    return imports + VIEWS.get(neighbour.name, PLAIN_VIEWS).replace("{raise}", statement)


# Probes: what each technique has to do in every neighbour


def log_in(served: Served) -> None:
    if served.value('"login" in app.view_functions'):
        assert served.post("/login", data={"password": "lovelace"}).status == 302


def check_uploads(served: Served, **headers: str) -> None:
    """Files that are sent can be fetched by the link in the answer, as a browser should see them."""
    at = served.mount

    def send(name: str, content: bytes) -> Answer:
        data = {"file": (BytesIO(content), name)}
        return served.post(f"{at}/uploads", data=data, headers=headers)

    answer = send("a.html", b"<script>alert(1)</script>")
    assert answer.status == 201, answer
    link = answer.headers["Location"]
    assert link.startswith(f"{at}/uploads/") and link == answer.json["url"], answer

    file = served.get(link)
    assert (file.status, file.body) == (200, b"<script>alert(1)</script>"), file
    assert file.headers["Content-Type"] == "application/octet-stream"
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in file.headers
    head = served.open("HEAD", link)
    assert (head.status, head.body) == (200, b"") and head.headers["Content-Length"] == "25"
    part = served.get(link, headers={"Range": "bytes=1-6"})
    assert (part.status, part.body) == (206, b"script"), part
    etag = file.headers["ETag"]
    assert served.get(link, headers={"If-None-Match": etag}).status == 304

    assert served.get(send("a.png", b"a picture").headers["Location"]).headers["Content-Type"] == (
        "image/png"
    )
    missing = f"{at}/uploads/{'0' * 64}.png"
    like_others = served.get(f"{at}/nope")
    assert served.get(missing).headers["Content-Type"] == like_others.headers["Content-Type"]
    assert served.get(missing).status == 404
    wrong_method = served.open("DELETE", link, headers=headers)
    assert wrong_method.status == 405, wrong_method
    if served.name != "flask-smorest":  # which leaves Allow out, everywhere
        assert "GET" in wrong_method.headers["Allow"], wrong_method


def check_cors(served: Served) -> None:
    """Pages of the listed origin read every answer, errors and preflights too; no others do."""
    [origin, *_] = served.value('list(app.config["CORS_ORIGINS"])')
    steps = USED[served.name]
    steps = [one for one in steps if one[1].startswith(served.mount)]
    for method, path, arguments in [*steps, step(f"GET {served.mount}/nope")]:
        arguments = {name: value for name, value in arguments.items() if name != "headers"}
        for sender, allowed in ((origin, [origin]), (f"{origin}.evil.example", [])):
            answer = served.open(method, path, headers={"Origin": sender}, **arguments)
            assert answer.headers.getlist("Access-Control-Allow-Origin") == allowed, answer
            assert answer.headers.get("Vary", "").count("Origin") == 1, answer
    for path in {path for _, path, _ in steps}:
        asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        preflight = served.open("OPTIONS", path, headers=asked)
        assert preflight.status in (200, 204), preflight
        assert preflight.headers.getlist("Access-Control-Allow-Origin") == [origin], preflight
        assert "PUT" in preflight.headers["Access-Control-Allow-Methods"], preflight


def check_codes(served: Served) -> None:
    """Errors that are raised, and those of HTTP below the prefix, have the first article's format."""
    log_in(served)
    at = served.mount
    not_found = {"r": 1003, "msg": "not_found"}
    for path in (f"{at}/api/raises", f"{at}/api/nope"):
        answer = served.get(path)
        assert (answer.status, answer.json) == (404, not_found), answer
    answer = served.open("DELETE", f"{at}/api/raises")
    assert answer.status == 405 and answer.json["r"] == 405 and "Allow" in answer.headers, answer
    answer = served.get(f"{at}/api/bug")
    assert (answer.status, answer.json["r"]) == (500, 1000), answer
    assert served.log().count("ZeroDivisionError") == 1, served.log()


def check_exception(served: Served) -> None:
    """An ApiException is sent as it is, in production and in tests."""
    log_in(served)
    path = f"{served.mount}/api/raises"
    members = {"request": f"GET {path}", "near": "milk"}
    for testing in (False, True):
        served.value(f"app.config.update(TESTING={testing})")
        answer = served.get(path)
        assert answer.status == 404, answer
        assert answer.json == {"error_code": 1003, "msg": "no tea", **members}, answer
        assert answer.headers["Retry-After"] == "7", answer
        assert answer.headers["Content-Type"] == "application/json"
    served.value("app.config.update(TESTING=False)")
    assert "Traceback" not in served.log(), served.log()


def check_catch_all(served: Served) -> None:
    """Below the prefix every error is in the API's format; a bug is logged once, with its id."""
    check_exception(served)
    at = served.mount
    answer = served.get(f"{at}/api/nope")
    assert (answer.status, answer.json["error_code"]) == (404, 1003), answer
    answer = served.open("DELETE", f"{at}/api/raises")
    assert (answer.status, answer.json["error_code"]) == (405, 1007), answer
    assert "GET" in answer.headers["Allow"], answer

    answer = served.get(f"{at}/api/bug", headers={"X-Request-ID": "id-of-the-bug"})
    assert (answer.status, answer.json["error_code"]) == (500, 999), answer
    assert answer.json["request_id"] == answer.headers["X-Request-ID"] == "id-of-the-bug"
    log = served.log()
    assert log.count("ZeroDivisionError:") == 1 and log.count("id-of-the-bug") == 1, log

    answer = served.get(f"{at}/nope")
    assert answer.status == 404 and answer.headers["Content-Type"].startswith("text/html"), answer
    answer = served.get(f"{at}/nope", headers={"Accept": "application/json"})
    assert answer.json["error_code"] == 1003, answer


CHECKS: dict[str, Callable[[Served], None]] = {
    "01": check_uploads,
    "02": check_cors,
    "03": check_codes,
    "04": check_exception,
    "05": check_catch_all,
}
PLACES = {"02": ["last"]}  # its page says: call it last


each_technique = pytest.mark.parametrize("chapter", TECHNIQUES, ids=lambda chapter: chapter.name)
each_neighbour = pytest.mark.parametrize("neighbour", NEIGHBOURS, ids=str)
CASES = [
    pytest.param(chapter, neighbour, place, id=f"{chapter.name[:2]}-{neighbour}-{place}")
    for chapter in TECHNIQUES
    for neighbour in NEIGHBOURS
    for place in PLACES.get(chapter.name[:2], ["first", "last"])
]
each_case = pytest.mark.parametrize(("chapter", "neighbour", "place"), CASES)


@cache
def answers_before(neighbour: Neighbour) -> list[Answer]:
    """Return what the neighbour answers while nothing has been copied into it."""
    with TemporaryDirectory() as folder, Copy(Path(folder), neighbour).served() as served:
        return walk(served, USED[neighbour.name])


def comparable(path: str, answer: Answer) -> tuple[object, ...]:
    names = ("Content-Type", "Location", "Allow", "X-Todos")
    headers = [answer.headers.get(name) for name in names]
    # A token is another one each time, and a description of the API grows with it.
    text = "" if path in ("/token", "/openapi.json") else answer.text
    return answer.status, text, headers


@each_case
def test_generic(chapter: Path, neighbour: Neighbour, place: str, tmp_path: Path) -> None:
    copy = Copy(tmp_path, neighbour, recipe(chapter))
    copy.wire(place, views(chapter.name[:2], neighbour))
    with copy.served() as served:
        CHECKS[chapter.name[:2]](served)


def becomes_ours(chapter: str, neighbour: Neighbour, path: str, before: Answer) -> bool:
    """Tell whether the technique has a better answer: for Flask's page of HTML, below the prefix."""
    is_page = before.status >= 400 and before.text.startswith("<!doctype html>")
    return chapter in ("03", "05") and is_page and path.startswith(f"{neighbour.mount}/api/")


@each_case
def test_before(chapter: Path, neighbour: Neighbour, place: str, tmp_path: Path) -> None:
    steps = USED[neighbour.name]
    copy = Copy(tmp_path, neighbour, recipe(chapter))
    copy.wire(place)
    with copy.served() as served:
        after = walk(served, steps)
    before = answers_before(neighbour)
    for (method, path, _), was, now in zip(steps, before, after, strict=True):
        if becomes_ours(chapter.name[:2], neighbour, path, was):
            assert now.status == was.status and now.json.keys() >= {"msg"}, (
                f"{method} {path}: {now}"
            )
        else:
            assert comparable(path, was) == comparable(path, now), f"{method} {path}"
