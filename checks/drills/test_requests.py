"""Thousands of mutated requests at each chapter: no bug, no traceback, one format, nothing lost.

FULL=1 sends 100,000 instead of 20,000. SEED=7 is for other ones; a long run chooses by itself.
"""

import json
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

import mutated
from book import CHAPTERS
from corpus import WELL, request, with_file, with_json
from mutated import Mutated, Run, Server, fault, flask_run, log_in, served, wait_for_contacts
from report import where, write_rows

pytestmark = pytest.mark.drill

FULL = os.environ.get("FULL") == "1"
TIMES = 17_000 if FULL else 3_400  # to each of six chapters
SEED = int(os.environ.get("SEED") or (random.randrange(10**6) if FULL else 1))


HEAD = ["chapter", "requests", "2xx", "3xx", "4xx", "no status", "faults", "run"]


def by_class(statuses: Counter[str]) -> list[int]:
    """Return how many responses had a status of 2xx, 3xx and 4xx, and how many requests had none.

    None is HTTP/0.9, a connection that the server closed, or a response that wasn't waited for.
    """
    counts = [sum(n for what, n in statuses.items() if what[0] == first) for first in "234"]
    return [*counts, sum(n for what, n in statuses.items() if not what.isdigit())]


def drill(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Send the requests, say what came of it, and see that the server still works."""
    started = time.monotonic()
    outcome = Run(server, SEED).all(TIMES)
    times = sum(outcome.statuses.values())
    statuses = ", ".join(f"{count} {what}" for what, count in outcome.statuses.most_common())
    seconds = time.monotonic() - started
    with capsys.disabled():
        print(f"\n{server.chapter}: {times} requests of seed {SEED} in {seconds:.0f} s: {statuses}")
    if FULL:
        row = [server.chapter, f"{times:,}", *(f"{n:,}" for n in by_class(outcome.statuses))]
        row += [str(len(outcome.faults)), f"seed {SEED}; {where()}"]
        write_rows("the last mutated requests", HEAD, {server.chapter: row})

    end_of_log = server.said(max(0, server.log.stat().st_size - 3000))
    assert not outcome.faults, "\n\n".join([*outcome.faults, "The log ends:", end_of_log])
    well = request(WELL[server.chapter])
    assert server.send(Mutated(well)).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("chapter", CHAPTERS[:5], ids=lambda chapter: chapter.name)
def test_no_mutated_request_breaks_a_chapter(
    chapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(chapter.name[:2], tmp_path) as server:
        drill(server, capsys)


# Chapter 06


def ask(url: str, cookie: str) -> Any:
    with urlopen(Request(url, headers={"Cookie": f"desk={cookie}"}), timeout=30) as response:
        return response.read() if "/uploads/" in url else json.load(response)


def belongings(url: str, cookie: str, file: str) -> list[Any]:
    """Return what an account has: itself, its contacts, its messages, a file."""
    contacts = [f"/j/{kind}?per_page=100" for kind in ("users", "groups", "mps")]
    return [ask(f"{url}{path}", cookie) for path in ["/j/me", *contacts, "/j/messages", file]]


def test_mutated_requests_break_nothing_of_the_desk_and_lose_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served("06", tmp_path) as server:
        url = f"http://127.0.0.1:{server.port}"
        cookie = log_in(url, "omar")
        wait_for_contacts(url, cookie)
        message = {"id": "a-message-to-keep", "recipients": ["ada"], "text": "hello"}
        header = f"Cookie: desk={cookie}"
        sent = server.send(Mutated(with_json("POST /j/messages", message, header)))
        assert sent.startswith(b"HTTP/1.1 201 CREATED")
        stored = server.send(Mutated(with_file(header)))
        file = json.loads(stored.partition(b"\r\n\r\n")[2])["url"]
        before = belongings(url, cookie, file)

        drill(server, capsys)
        assert belongings(url, cookie, file) == before


# The drill itself


def answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


GOOD = json.dumps({"error_code": 1003, "msg": "", "request": ""}).encode()
FAULTS = {
    "a 500": answer("500 INTERNAL SERVER ERROR", GOOD),
    "a 503": answer("503 SERVICE UNAVAILABLE", GOOD),
    "a 500 of the server's own": answer("500 Internal Server Error", b"<h1><p>"),
    "a 500 after a good response": answer("404 NOT FOUND", GOOD) + answer("500 X", GOOD),
    "a 500 after a response without a body": (
        b"HTTP/1.1 304 NOT MODIFIED\r\nContent-Length: 99\r\n\r\n" + answer("500 X", GOOD)
    ),
    "a traceback": answer("200 OK", b"Traceback (most recent call last):"),
    "an error in HTML": answer("404 NOT FOUND", b"<!doctype html>"),
    "an error with another key": answer("404 NOT FOUND", b'{"r": 404, "msg": "Not Found"}'),
    "an error without a body": answer("404 NOT FOUND", b""),
}


@pytest.mark.parametrize("what", FAULTS)
def test_the_drill_finds(what: str) -> None:
    assert fault("05", request("GET /j/nothing"), FAULTS[what])


@pytest.mark.parametrize(
    "received",
    [
        b"",
        answer("200 OK", b"<!doctype html>"),
        answer("404 NOT FOUND", GOOD),
        answer("400 Bad Request", b"<title>Error response</title>"),
        answer("505 HTTP Version Not Supported", b"<title>Error response</title>"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer("404 NOT FOUND", GOOD),
    ],
)
def test_the_drill_accepts(received: bytes) -> None:
    assert not fault("05", request("GET /j/nothing"), received)


BUGS = {
    "status 500": "assert isinstance(data, dict)",
    "a traceback in the log": """try:
        assert isinstance(data, dict)
    except AssertionError:
        __import__("logging").exception("A bug without a 500")""",
}


@pytest.mark.parametrize("what", BUGS)
def test_the_drill_finds_a_bug_and_can_repeat_it(
    what: str, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chapter = clone / "04_http_exception_subclass"
    path = chapter / "app.py"
    line = "    data = request.get_json(silent=True)\n"
    source = path.read_text(encoding="utf-8")
    assert source.count(line) == 1
    path.write_text(source.replace(line, f"{line}    {BUGS[what]}\n"), encoding="utf-8")

    monkeypatch.setattr(mutated, "ENOUGH", 1)
    with flask_run(chapter, tmp_path) as server:
        found = Run(server, seed=1).all(2000).faults
        name, seed, number = found[0].partition(":")[0].split()
        assert what in found[0] and (name, seed) == ("04", "1")

        start = server.log.stat().st_size
        Run(server, seed=1).send(int(number))
        assert "AssertionError" in server.said(start)
