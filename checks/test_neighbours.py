"""What "Use it in your app" does to apps that have something already: the apps in neighbours/.

Each technique is copied into each of them as its README says, at the end and, where that makes a
difference and in the long form, right after the app is made. Then the technique's answers have to
be right, and what the app did before has to be the same. Where the README's table "If your app has
..." has a row, the neighbour's toml says what comes of it.
"""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import wiring
from asking import Answer, Client, Real, Run, processes
from book import ONE_TECHNIQUE
from conftest import missing
from servers import free_port, process
from wiring import TABLE, TITLE, Copy, Neighbour, recipe, replace, split

FULL = os.environ.get("FULL") == "1"  # the long form; not for 02, whose page says: call it last
CHAPTERS = {chapter.name[:2]: chapter for chapter in ONE_TECHNIQUE}
NEIGHBOURS = [Neighbour(path) for path in sorted(wiring.NEIGHBOURS.glob("*.toml"))]
CASES = [
    pytest.param(number, neighbour, place, id=f"{number}-{neighbour}-{place}")
    for number in CHAPTERS
    for neighbour in NEIGHBOURS
    for place in ("last", "first")
    if place == "last" or f"{number} first" in neighbour.rows or (FULL and number != "02")
]
# Where what stands between Flask and the network makes a difference: files, and headers of CORS.
REAL = [
    (number, neighbour)
    for number in ("01", "02")
    for neighbour in NEIGHBOURS
    if neighbour.module == "async_views" or neighbour.is_package or neighbour.mount
]
each_case = pytest.mark.parametrize(("number", "neighbour", "place"), CASES)
each_chapter = pytest.mark.parametrize("chapter", ONE_TECHNIQUE, ids=lambda chapter: chapter.name)

# What somebody who has copied a technique writes next: a view that raises one of its errors, and a
# view with a bug, both below /api.
RAISES = 'raise NotFound("no tea", headers={"Retry-After": "7"}, members={"near": "milk"})'
RAISING = {
    "03": ("from errors import ApiException, not_found", "raise ApiException(not_found)"),
    "04": ("from exceptions import NotFound", RAISES),
    "05": ("from exceptions import NotFound", RAISES),
}
VIEWS = """
@app.get("/api/raises")
def raises():
    {raise}


@app.get("/api/bug")
def bug():
    return str(1 // 0)
"""


def told_copy(number: str, neighbour: Neighbour, place: str, folder: Path) -> tuple[Copy, str]:
    """Return a copy in which all is done that the README says, and what has to come of it."""
    row = neighbour.row(number, place)
    more = row.more
    if number in RAISING:
        imports, statement = RAISING[number]
        views = (neighbour.views or VIEWS).replace("{raise}", statement)
        if "{more}" not in views:
            views += "\n{more}"
        more = f"{imports}\n{views}".replace("{more}", more)
    copy = Copy(folder, neighbour)
    copy.wire(recipe(CHAPTERS[number]), place, more)
    if row.edit:
        copy.edit(*row.edit)
    return copy, row.says


# What each technique has to do in every neighbour


def check_uploads(client: Client) -> None:
    """A file that is sent can be fetched by the link in the answer, as a browser should see it."""

    def send(name: str, content: bytes) -> Answer:
        return client.open("POST", "/uploads", data={"file": (BytesIO(content), name)})

    answer = send("a.html", b"<script>alert(1)</script>")
    assert answer.status == 201, answer
    link = answer.headers["Location"]
    assert link.startswith(f"{client.mount}/uploads/") and link == answer.json["url"], answer

    file = client.open("GET", link)
    assert (file.status, file.body) == (200, b"<script>alert(1)</script>"), file
    assert file.headers["Content-Type"] == "application/octet-stream", file
    assert file.headers["X-Content-Type-Options"] == "nosniff", file
    assert "Set-Cookie" not in file.headers, file
    head = client.open("HEAD", link)
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "25"), head
    part = client.open("GET", link, headers={"Range": "bytes=1-6"})
    assert (part.status, part.body) == (206, b"script"), part
    unchanged = client.open("GET", link, headers={"If-None-Match": file.headers["ETag"]})
    assert unchanged.status == 304, unchanged
    picture = client.open("GET", send("a.png", b"a picture").headers["Location"])
    assert picture.headers["Content-Type"] == "image/png", picture

    absent, like_others = (client.open("GET", at) for at in (f"/uploads/{'0' * 64}.png", "/nope"))
    assert absent.status == 404, absent
    assert absent.headers["Content-Type"] == like_others.headers["Content-Type"], absent
    wrong_method = client.open("DELETE", link)
    assert wrong_method.status == 405, wrong_method
    # flask-smorest leaves Allow out of all its errors.
    allows = "GET" in wrong_method.headers.get("Allow", "")
    assert allows != (client.neighbour.name == "flask-smorest"), wrong_method


LISTED = "https://desk.example"  # the origin in the app that the README shows


def check_cors(client: Client) -> None:
    """Pages of the listed origin read every answer, errors and preflights too; no others do."""
    own = [line for line in client.neighbour.used if " http" not in line]
    for line in [*own, "GET /nope"]:
        request = " | ".join(part for part in line.split(" | ") if ": <token>" not in part)
        for sender, allowed in ((LISTED, [LISTED]), (f"{LISTED}.evil.example", [])):
            answer = client.ask(f"{request} | Origin: {sender}")
            assert answer.headers.getlist("Access-Control-Allow-Origin") == allowed, answer
            assert ",".join(answer.headers.getlist("Vary")).count("Origin") == 1, answer
    for path in {line.split(" ")[1] for line in own}:
        asked = {"Origin": LISTED, "Access-Control-Request-Method": "PUT"}
        preflight = client.open("OPTIONS", path, headers=asked)
        assert preflight.status in (200, 204), preflight
        assert preflight.headers.getlist("Access-Control-Allow-Origin") == [LISTED], preflight
        assert "PUT" in preflight.headers["Access-Control-Allow-Methods"], preflight


# A chapter's check, and parts of one.
CHECKS: dict[str, str | Callable[[Client], None]] = {
    "01": check_uploads,
    "02": check_cors,
    # An error that is raised has our format, and below the prefix those of HTTP as well.
    "03 raised": """
GET /api/raises -> 404 | {"r": 1003, "msg": "not_found"}
""",
    "03": """
check raised
GET /api/nope -> 404 | {"r": 1003, "msg": "not_found"}
DELETE /api/raises -> 405 | "r": 405 | Allow: | GET
GET /api/bug -> 500 | "r": 1000
>>> open("log.txt").read().count("ZeroDivisionError:") == 1
""",
    # An ApiException is sent as it is, in production and in tests.
    "04": """
>>> app.config.update(TESTING=True)
check raised
>>> app.config.update(TESTING=False)
check raised
>>> "Traceback" not in open("log.txt").read()
""",
    "04 raised": """
GET /api/raises -> 404 | Retry-After: 7 | Content-Type: application/json | \
{"error_code": 1003, "msg": "no tea", "request": "GET <mount>/api/raises", "near": "milk"}
""",
    # Below the prefix every error is in the API's format; a bug is logged once, with its id.
    "05 below the prefix": """
GET /api/nope -> 404 | "error_code": 1003
DELETE /api/raises -> 405 | "error_code": 1007 | Allow: | GET
GET /api/bug | X-Request-ID: id-of-the-bug -> 500 | "error_code": 999 | \
"request_id": "id-of-the-bug" | X-Request-ID: id-of-the-bug
>>> open("log.txt").read().count("ZeroDivisionError:") == 1
>>> open("log.txt").read().count("id-of-the-bug") == 1
""",
    # Elsewhere, errors are pages of HTML for clients that don't prefer JSON.
    "05": """
check below the prefix
GET /nope -> 404 | Content-Type: text/html
GET /nope | Accept: application/json -> "error_code": 1003
""",
}


def examine(client: Client, number: str, lines: str) -> None:
    """Follow *lines*; ``check`` is for the chapter's check, and ``check x`` for a part of it."""
    for line in lines.strip().splitlines():
        if line.split(" ")[0] != "check":
            client.follow(line)
            continue
        name = line.replace("check", number, 1)
        if name == "05 below the prefix":
            examine(client, "04", "check")
        check = CHECKS[name]
        if isinstance(check, str):
            examine(client, number, check)
        else:
            check(client)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with processes() as run:
        yield run


@each_case
def test_a_technique_works_in_an_app_that_has_more(
    number: str, neighbour: Neighbour, place: str, tmp_path: Path, run: Run
) -> None:
    copy, says = told_copy(number, neighbour, place, tmp_path)
    run(copy, examine, number, says)


def use(client: Client) -> list[Answer]:
    return [client.ask(line) for line in client.neighbour.used]


@cache
def answers_before(neighbour: Neighbour, run: Run) -> list[Answer]:
    """Return what the neighbour answers as long as nothing has been copied into it."""
    with TemporaryDirectory() as folder:
        found: list[Answer] = run(Copy(Path(folder), neighbour), use)
        return found


def comparable(request: str, answer: Answer) -> tuple[object, ...]:
    names = ("Content-Type", "Location", "Allow", "X-Todos")
    # A token is another one each time, and a description of the API grows with it.
    varies = request.endswith(("/token", "/openapi.json"))
    headers = [answer.headers.get(name) for name in names]
    return answer.status, "" if varies else answer.body, headers


def becomes_ours(number: str, request: str, before: Answer) -> bool:
    """Tell whether the answer was Flask's page of HTML where the technique has a better one."""
    is_page = before.status >= 400 and before.body.startswith(b"<!doctype html>")
    return number in ("03", "05") and is_page and " /api/" in request


@each_case
def test_what_worked_before_still_does(
    number: str, neighbour: Neighbour, place: str, tmp_path: Path, run: Run
) -> None:
    copy = Copy(tmp_path, neighbour)
    row = neighbour.row(number, place)
    copy.wire(recipe(CHAPTERS[number]), place)
    after = run(copy, use)
    changed = dict(line.split(" -> ") for line in row.changed.splitlines())
    for line, was, now in zip(neighbour.used, answers_before(neighbour, run), after, strict=True):
        request = line.partition(" | ")[0]
        expected = changed.get(f"{request} {was.status}")
        same = comparable(request, was) == comparable(request, now)
        if expected:
            assert not same, f"{line} is as before"
            assert not now.lacks(expected), f"{line}: {now}"
        elif becomes_ours(number, request, was):
            assert now.status == was.status and "msg" in now.json, f"{line}: {now}"
        else:
            assert same, f"{line}: {now}"


@pytest.mark.drill
@pytest.mark.parametrize("server", ["gunicorn", "waitress"])
@pytest.mark.parametrize(("number", "neighbour"), REAL, ids=str)
def test_a_technique_works_behind_a_real_server(
    number: str, neighbour: Neighbour, server: str, tmp_path: Path
) -> None:
    copy, says = told_copy(number, neighbour, "last", tmp_path)
    port = free_port()
    with process(copy.command(server, port), tmp_path, port, stderr=subprocess.DEVNULL):
        examine(Real(copy, port), number, says)


# The README


@each_chapter
def test_every_row_of_a_table_is_tried(chapter: Path) -> None:
    page = recipe(chapter)
    assert page.rows, f"{chapter.name}/README.md has no table {TABLE!r} in {TITLE!r}"
    known = {neighbour.name for neighbour in NEIGHBOURS}
    tried = {one.name for one in NEIGHBOURS for key in one.rows if key[:2] == chapter.name[:2]}
    untested = sorted(page.rows.keys() & known - tried)
    assert not untested, f"{chapter.name}: no toml has a test of the rows {untested}"
    missing_rows = sorted(tried - page.rows.keys())
    assert not missing_rows, f"{chapter.name}/README.md has no rows for {missing_rows}"
    assert page.extras.keys() <= page.rows.keys(), "blocks that are named after no row"


def test_code_of_a_page_goes_where_a_reader_would_put_it() -> None:
    theirs = "app = Flask(__name__)\napi = Api(app, prefix='/v1')\n"
    page = 'class OurApi(Api):\n    pass\n\n\napi = OurApi(app)\n\napp.add_url_rule("/more")\n'
    together = "app = Flask(__name__)\nclass OurApi(Api):\n    pass\n\n\n"
    together += "api = OurApi(app, prefix='/v1')\n"
    assert replace(theirs, split(page)[1]) == (together, ['app.add_url_rule("/more")'])


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
        first = next(other for other in ONE_TECHNIQUE if (other / path.name).exists())
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
