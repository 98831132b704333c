"""What "Use it in your app" does to apps that have something already: the apps in neighbours/.

Each technique is copied into each of them as its README says, at the end and, where that makes a
difference and in the long form, right after the app is made. Then the technique's answers have to
be right, and what the app did before has to be the same. Where the README's table "If your app has
..." has a row, the neighbour's toml says what comes of it.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from werkzeug import Response

from asking import Client, behind_server, inside, lacks, text
from book import ONE_TECHNIQUE
from conftest import missing
from servers import free_port, process
from wiring import NEIGHBOURS, TABLE, TITLE, Neighbour, recipe

FULL = os.environ.get("FULL") == "1"  # the long form; not for 02, whose page says: call it last
CHAPTERS = {chapter.name[:2]: chapter for chapter in ONE_TECHNIQUE}
APPS = [Neighbour(path) for path in sorted(NEIGHBOURS.glob("*.toml"))]
CASES = [
    pytest.param(number, neighbour, place, id=f"{number}-{neighbour}-{place}")
    for number in CHAPTERS
    for neighbour in APPS
    for place in ("last", "first")
    if place == "last" or f"{number} first" in neighbour.rows or (FULL and number != "02")
]
# Where what stands between Flask and the network makes a difference: files, and headers of CORS.
REAL = [
    (number, neighbour)
    for number in ("01", "02")
    for neighbour in APPS
    if "async views" in neighbour.kinds or neighbour.is_package or neighbour.mount
]
each_case = pytest.mark.parametrize(("number", "neighbour", "place"), CASES)
each_chapter = pytest.mark.parametrize("chapter", ONE_TECHNIQUE, ids=lambda chapter: chapter.name)

# What somebody who has copied a technique writes next: a view that raises one of its errors, and a
# view with a bug, both below /api.
RAISES = 'raise NotFound("no tea", headers={"Retry-After": "7"}, members={"near": "milk"})'
RAISING = {"03": "raise ApiException(errors.not_found)", "04": RAISES, "05": RAISES}
VIEWS = """
@app.get("/api/raises")
def raises():
    {raise}


@app.get("/api/bug")
def bug():
    return str(1 // 0)
"""


def wire(number: str, neighbour: Neighbour, place: str, folder: Path) -> str:
    """Do all that the README says in a copy of the neighbour; return what has to come of it."""
    row = neighbour.row(number, place)
    more = row.more
    if number in RAISING:
        views = (neighbour.views or VIEWS).replace("{raise}", RAISING[number])
        imports = "" if number == "03" else "from exceptions import NotFound"
        more = f"{imports}\n{views}\n{row.more}"
    neighbour.copy(folder)
    neighbour.wire(folder, recipe(CHAPTERS[number]), place, more)
    for name, old, new in row.edits:
        path = folder / neighbour.main.with_name(name)
        code = path.read_text(encoding="utf-8")
        assert code.count(old) == 1, f"{name} doesn't have {old!r} once"
        path.write_text(code.replace(old, new), encoding="utf-8")
    return row.says


# What each technique has to do in every neighbour


def check_cors(client: Client) -> None:
    """Pages of the listed origin read every answer, errors and preflights too; no others do."""
    listed = "https://desk.example"  # in the app that the README shows
    own = [line for line in client.neighbour.used if " http" not in line]
    for line in [*own, "GET /hello", "GET /nope"]:
        request = " | ".join(part for part in line.split(" | ") if ": <token>" not in part)
        for sender, allowed in ((listed, [listed]), (f"{listed}.evil.example", [])):
            answer = client.ask(f"{request} | Origin: {sender}")
            got = answer.headers.getlist("Access-Control-Allow-Origin")
            assert got == allowed, text(answer)
            assert ",".join(answer.headers.getlist("Vary")).count("Origin") == 1, text(answer)
    for path in {line.split(" ")[1] for line in own}:
        preflight = f"OPTIONS {path} | Origin: {listed} | Access-Control-Request-Method: PUT"
        answer = client.ask(preflight)
        assert answer.status_code in (200, 204), text(answer)
        assert answer.headers.getlist("Access-Control-Allow-Origin") == [listed], text(answer)
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"], text(answer)


# A chapter's check, and parts of one.
CHECKS: dict[str, str | Callable[[Client], None]] = {
    # A file that is sent can be fetched by the link in the answer, as a browser should see it.
    "01 files": """
POST /uploads | page -> 201 | Location: <mount>/uploads/
GET <location> -> 200 | Content-Type: application/octet-stream | <script>alert(1)</script>
GET <location> -> X-Content-Type-Options: nosniff | !Set-Cookie
HEAD <location> -> 200 | Content-Length: 25 | !<script>
GET <location> | Range: bytes=1-6 -> 206 | Content-Length: 6 | script | !<script>
GET <location> | If-None-Match: <etag> -> 304
POST /uploads | file -> 201 | "url": "<location>"
GET <location> -> 200 | Content-Type: image/png
GET /nope -> 404
GET <no upload> -> 404 | Content-Type: <type of errors>
""",
    "01": """
check files
DELETE <location> -> 405 | Allow: | GET
""",
    "02": check_cors,
    # An error that is raised has our format, and below the prefix those of HTTP as well.
    "03 raised": """
GET /api/raises -> 404 | {"r": 1003, "msg": "not_found"}
""",
    "03": """
check raised
GET /api/orders/7 -> {"number": 7}
GET /api/nope -> 404 | {"r": 1003, "msg": "not_found"}
DELETE /api/raises -> 405 | "r": 405 | Allow: | GET
GET /api/bug -> 500 | "r": 1000
>>> open("log.txt").read().count("ZeroDivisionError:") == 1
""",
    # An ApiException is sent as it is, in production and in tests.
    "04 errors": """
>>> app.config.update(TESTING=True)
check raised
>>> app.config.update(TESTING=False)
check raised
>>> "Traceback" not in open("log.txt").read()
""",
    "04": """
check errors
POST /orders/7 -> 200 | \
{"error_code": 0, "msg": "success", "request": "POST <mount>/orders/7", "number": 7}
POST /orders/101 -> 409 | "error_code": 2001 | Retry-After: 86400
""",
    "04 raised": """
GET /api/raises -> 404 | Retry-After: 7 | Content-Type: application/json | \
{"error_code": 1003, "msg": "no tea", "request": "GET <mount>/api/raises", "near": "milk"}
""",
    # Below the prefix every error is in the API's format; a bug is logged once, with its id.
    "05 below the prefix": """
GET /api/orders/5 -> {"number": 5, "share": 20}
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
            examine(client, "04", "check errors")
        check = CHECKS[name]
        if isinstance(check, str):
            examine(client, number, check)
        else:
            check(client)


Run = Callable[..., Any]  # as asking.inside, in a process of its own


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Call a function with a client of a copy, in a process that can import the copy.

    It's forked from one that has imported what the neighbours need.
    """
    forks = multiprocessing.get_context("forkserver")
    libraries = """apiflask asgiref.sync flask_cors flask_login flask_restful flask_restx
        flask_smorest flask_wtf sentry_sdk sentry_sdk.integrations.flask"""
    forks.set_forkserver_preload(["test_neighbours", *libraries.split()])
    with forks.Pool(2, maxtasksperchild=1) as pool:
        yield lambda *task: pool.apply_async(inside, task).get(timeout=60)


@each_case
def test_a_technique_works_in_an_app_that_has_more(
    number: str, neighbour: Neighbour, place: str, tmp_path: Path, run: Run
) -> None:
    says = wire(number, neighbour, place, tmp_path)
    run(tmp_path, neighbour, examine, number, says)


def use(client: Client) -> list[Response]:
    return [client.ask(line) for line in client.neighbour.used]


@cache
def answers_before(neighbour: Neighbour, run: Run) -> list[Response]:
    """Return what the neighbour answers as long as nothing has been copied into it."""
    with TemporaryDirectory() as folder:
        neighbour.copy(Path(folder))
        found: list[Response] = run(folder, neighbour, use)
        return found


def comparable(request: str, answer: Response) -> tuple[object, ...]:
    names = ("Content-Type", "Location", "Allow", "X-Todos")
    # A token is another one each time, and a description of the API grows with it.
    varies = request.endswith(("/token", "/openapi.json", "/swagger.json"))
    headers = [answer.headers.get(name) for name in names]
    return answer.status, b"" if varies else answer.data, headers


def becomes_ours(number: str, request: str, before: Response) -> bool:
    """Tell whether the answer was Flask's page of HTML where the technique has a better one."""
    is_page = before.status_code >= 400 and before.data.startswith(b"<!doctype html>")
    return number in ("03", "05") and is_page and " /api/" in request


@each_case
def test_what_worked_before_still_does(
    number: str, neighbour: Neighbour, place: str, tmp_path: Path, run: Run
) -> None:
    wire(number, neighbour, place, tmp_path)
    after = run(tmp_path, neighbour, use)
    row = neighbour.row(number, place)
    changed = dict(line.split(" -> ") for line in row.changed.splitlines())
    for line, was, now in zip(neighbour.used, answers_before(neighbour, run), after, strict=True):
        request = line.partition(" | ")[0]
        expected = changed.get(f"{request} {was.status_code}")
        same = comparable(request, was) == comparable(request, now)
        if expected:
            assert not same, f"{line} is as before"
            assert not lacks(now, expected), f"{line}: {text(now)}"
        elif becomes_ours(number, request, was):
            assert now.status == was.status, f"{line}: {text(now)}"
            assert "msg" in now.json, f"{line}: {text(now)}"
        else:
            assert same, f"{line}: {text(now)}"


@pytest.mark.drill
@pytest.mark.parametrize("server", ["gunicorn --no-control-socket --bind", "waitress --listen"])
@pytest.mark.parametrize(("number", "neighbour"), REAL, ids=str)
def test_a_technique_works_behind_a_real_server(
    number: str, neighbour: Neighbour, server: str, tmp_path: Path
) -> None:
    says = wire(number, neighbour, "last", tmp_path)
    code = f"from {neighbour.module} import *\n\nserved = {neighbour.application}\n"
    (tmp_path / "wsgi.py").write_text(code, encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", *server.split(), f"127.0.0.1:{port}", "wsgi:served"]
    with process(command, tmp_path, port, stderr=subprocess.DEVNULL):
        examine(behind_server(neighbour, port), number, says)


@each_chapter
def test_every_row_of_a_table_is_tried(chapter: Path) -> None:
    rows = recipe(chapter).rows
    assert rows, f"{chapter.name}/README.md has no table {TABLE!r} in {TITLE!r}"
    known = {kind for one in APPS for kind in one.kinds}
    tried = set()
    for neighbour in APPS:
        for key, row in neighbour.rows.items():
            if key[:2] == chapter.name[:2]:
                tried.update(row.kinds)
    untested = sorted(rows.keys() & known - tried)
    assert not untested, f"{chapter.name}: no toml has a test of the rows {untested}"
    missing_rows = sorted(tried - rows.keys())
    assert not missing_rows, f"{chapter.name}/README.md has no rows for {missing_rows}"
    assert recipe(chapter).extras.keys() <= rows.keys(), "blocks that are named after no row"


# What the modules to copy need

OLDEST = {"Flask": "3.1", "Werkzeug": "3.1"}  # as their second line says


@each_chapter
def test_a_module_says_where_it_comes_from_and_what_it_needs(chapter: Path) -> None:
    needs = " and ".join(f"{name} {version}" for name, version in OLDEST.items())
    for path in recipe(chapter).files:
        number = next(one for one in ONE_TECHNIQUE if (one / path.name).exists()).name[:2]
        origin = f'From "A Flask API, one technique at a time", chapter {number}.'
        lines = path.read_text(encoding="utf-8").splitlines()
        from_there = lines[0] == f"# {origin} SPDX-License-Identifier: 0BSD"
        assert from_there, f"{path}: it's from chapter {number}"
        assert lines[1] == f"# Needs {needs}, or later.", f"{path}: it needs {needs}"


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which Python has the oldest releases that the modules name."""
    folder = tmp_path_factory.mktemp("oldest")
    releases = [f"{name}=={version}.0" for name, version in OLDEST.items()]
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--retries", "1"]
    command += ["--target", str(folder), *releases]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if "from versions: none" in done.stderr:
        missing(f"package index to install {' and '.join(releases)} from")
    assert done.returncode == 0, done.stderr
    env = os.environ | {"PYTHONPATH": str(folder)}
    script = "from importlib.metadata import version as v; print(v('flask'), v('werkzeug'))"
    used = subprocess.check_output([sys.executable, "-c", script], env=env, text=True)
    assert used.split() == [f"{version}.0" for version in OLDEST.values()]
    return env


@pytest.mark.drill
@each_chapter
def test_a_chapter_passes_with_the_oldest_releases_that_its_modules_name(
    chapter: Path, oldest: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=chapter, env=oldest, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
