"""Thousands of mutated requests at each chapter: no bug, no traceback, one format, nothing lost.

Good requests, those of the chapters' pages, are mutated at random and sent as bytes to the server
that the chapter really runs on. FULL=1 sends 100,000 instead of 9,000, and other ones each time;
with SEED=7 a run can be repeated.
"""

import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from subprocess import STDOUT
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

import curl
from book import CHAPTERS
from book_pages import pages_of
from desk import Desk
from desks import LIMITS
from ledger import Browser, Ledger
from pages import cards
from report import FULL
from servers import free_port, process

pytestmark = pytest.mark.drill

TIMES = 17_000 if FULL else 1_500  # to each of six chapters
SEED = int(os.environ.get("SEED") or (time.time() if FULL else 1))
AT_ONCE = 8
LIMIT = "1000000"  # bytes of an upload; with 16 MiB, the drill would mostly wait for large bodies

# Good requests

BROKEN = ("/j/boom", "/j/sync", "/j/echo/?page=two")  # a 500 on purpose
# Each chapter has some of them, and a 404 for the others.
ANYWHERE = """GET / | GET /contacts | GET /uploads/a.txt | POST /uploads | GET /nothing
    GET /j/echo/?a=1&b=2 | PUT /j/echo/ | GET /files/versions.txt | GET /j/users | GET /j/users/1
    HEAD /j/users/9 | DELETE /j/users/1 | GET /j/users/Ada | GET /j/settings"""
AT_DESK = """GET / | GET /j/me | GET /j/nothing | POST /j/login/qr | GET /j/login/qr/CODE
    GET /j/login/qr/CODE.svg | GET /scan/CODE | GET /j/users?q=a&page=1&per_page=20
    GET /j/groups?page=2 | POST /j/contacts | GET /j/messages | GET /stream?last_event_id=1
    HEAD /stream | DELETE /j/me | GET /uploads/nothing.txt | GET /static/page.js"""
MESSAGE = {"id": "a-message-of-mine", "recipients": ["lin"], "text": "你好", "attachment": None}
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
JSON = "Content-Type: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"
MULTIPART = "Content-Type: multipart/form-data; boundary=b"
CHUNKED = "Transfer-Encoding: chunked"


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a request; *line* is its method and its target."""
    lines = [f"{line} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def requests(text: str, *headers: str) -> list[bytes]:
    return [request(line.strip(), *headers) for line in text.replace("\n", "|").split("|")]


def of_pages(chapter: Path) -> list[bytes]:
    """Return the requests that *chapter* has as curl commands in its pages, and some more."""
    found = requests(ANYWHERE)
    sides = [card.side("ours") for page in pages_of(chapter) for card in cards(page)]
    for exchange in [exchange for side in sides if side for exchange in side.exchanges]:
        with suppress(curl.Refused):
            said = curl.parse(exchange.command)
            if said.target not in BROKEN and len(said.body) < 10_000:
                headers = [f"{name}: {value}" for name, value in said.headers[1:]]
                found.append(request(f"{said.method} {said.target}", *headers, body=said.body))
    return found


def of_desk(ada: Browser, leaving: Browser) -> list[bytes]:
    """Return chapter 06's, with a code that nobody has used yet, and a login that may end."""
    code, cookie = ada.new_code(), f"Cookie: {ada.cookie}"
    key, message = json.dumps({"key": code["key"]}), json.dumps(MESSAGE)
    confirm, file = b"account=ada&action=confirm", PART + b"\r\nhello\n\r\n--b--\r\n"
    return [
        *requests(AT_DESK.replace("CODE", code["uuid"]), cookie),
        request("GET /j/me"),
        request(f"POST /scan/{code['uuid']}", FORM, body=confirm),
        request("POST /j/login", JSON, body=key.encode()),
        request("POST /j/messages", cookie, JSON, body=message.encode()),
        request("POST /uploads", cookie, MULTIPART, body=file),
        request("GET /stream", cookie, "Last-Event-ID: 1-0"),
        request("POST /j/logout", f"Cookie: {leaving.cookie}"),
    ]


# Mutations

PIECES = [
    *b"% %00 %ff %0d%0a %2e%2e%2f ../ // \\ ' \" ; , : = & ? # @ [ ] { * x --b -1 0 1e9".split(),
    *(b"\0", b"\1", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\r\n folded", b" ", b"\t", b"\x80"),
    *(b"\xff", "é🎉".encode(), "٣".encode(), b"", b"9" * 5000, b"x" * 70_000),
    *(b"a/b, " * 2000, b"a=b; " * 3000),
]
FIRST_LINE = [
    b"GET POST PUT PATCH DELETE HEAD OPTIONS TRACE CONNECT PROPFIND get GE+T G\xff".split(),
    b"""* //a /[ /%zz /%00 /\xff http://a/j/users http://a:b@c/ a:80 /j /j/ /j// /j/../j/users
        /j/users/%D9%A3 /j/users?page=1e9&per_page=0 /?%00=%ff /j/users/1/block/ /j/login/qr/x
        /uploads/%2e%2e/app.py /uploads/..%5capp.py /uploads//etc/passwd /scan/x""".split(),
    b"HTTP/0.9 HTTP/1.0 HTTP/2.0 HTTP/9.9 HTTP/1 http/1.1 HTTP/1.1.1 X/1.1".split(),
]
NAMES = b"""X Host Content-Length Transfer-Encoding Content-Encoding Expect Connection Cookie Accept
    Content-Type Range If-None-Match If-Range If-Modified-Since Authorization Origin Sec-Fetch-Site
    Access-Control-Request-Method X-Request-ID X-Forwarded-For X-Forwarded-Host Last-Event-ID"""
HEADERS = [
    b"X", b": y", b" X: y", b"X : y", b"X\0Y: z", b"X_Y: z", b"Host: [::1]",
    b"Content-Length: 5, 5", b"Content-Length: 17000000", b"Transfer-Encoding: gzip, chunked",
    b"Expect: 100-continue", b"Connection: Upgrade\r\nUpgrade: websocket",
    b"Cookie: desk=.eJw.x.y", b'Cookie: a="\\377', b"Accept: */*;q=x",
    b"Content-Type: application/json; charset=utf-7", b"Range: bytes=9-1",
    b"Range: bytes=" + b"0-," * 2000, b"If-Range: Sat, 99 Nov 2026 99:99:99 GMT",
    b"If-Modified-Since: Sat, 01 Jan 0001 00:00:00 +2359", b"Authorization: Basic x",
    b"Origin: null", b"Access-Control-Request-Method: PUT", b"Last-Event-ID: 9-1",
    b"\r\nGET /j/users/1 HTTP/1.1\r\nHost: a",  # a second request on the same connection
    *[name + b": " + value for name in NAMES.split() for value in PIECES],
]  # fmt: skip
END = b"\r\n--b--\r\n"
SIZES = b"5 6 4 -5 0x5 5_0 +5 z ffffffffffffffffffff 5;a=b 5;\0=\xff".split()
BODIES = {
    JSON: [
        b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b"-1e999", b"NaN", b'"\\ud800"', b"\xff",
        b'{"type": "email", "type": []}', b"\xef\xbb\xbf{}", b"x" * 2**19,
    ],
    MULTIPART: [
        b"--b", END, PART, PART + b"\r\nhalf", (PART + b"\r\nx\r\n") * 1500 + END,
        PART + b"Content-Type: \xff\r\nContent-Length: -1\r\n\r\nx" + END,
        PART.replace(b"a.txt", b"\xff\0/../" + b"x" * 5000) + b"\r\nx" + END,
        PART.replace(b"a.txt", b"\"; filename*=x'y'%zz") + b"\r\nx" + END,
        PART.replace(b'; filename="a.txt"', b"") + b"\r\n" + b"x" * 600_000 + END,
        PART + b"X: " + b"y" * 70_000 + b"\r\n\r\nx" + END,
    ],
    FORM: [b"a=1&" * 3000, b"%ff=%00&account=%ff&action=\xff"],
    CHUNKED: [
        *[size + b"\r\nhello\r\n0\r\n\r\n" for size in SIZES], b"5\r\nhel", b"5\nhello\n0\n\n",
        b"5\r\nhello\r\n0\r\nHost\0: x\r\n\r\n", b"1\r\nx\r\n" * 3000 + b"0\r\n\r\n",
    ],
}  # fmt: skip
# Werkzeug 3.1 makes two things a 500 that aren't the chapters' to mend: an OverflowError for a date
# with a huge number in it, and a ValueError for an Authorization: Basic that isn't ASCII.
HUGE_DATE = re.compile(rb"(?i)((?:If-Modified-Since|If-Range):[^\r\n]*?)\d{9,}")
NO_ASCII = re.compile(rb"(?i)(Authorization:)[^\r\n]*[\x80-\xff][^\r\n]*")


def change_first_line(data: bytes, r: Random) -> bytes:
    line, newline, rest = data.partition(b"\r\n")
    words = line.split(b" ")
    at = r.randrange(min(3, len(words)))
    words[at] = r.choice(FIRST_LINE[at])
    return b" ".join(words) + newline + rest


def change_parts(data: bytes, r: Random) -> bytes:
    """Replace some lines or bytes by something odd, once or more often, or leave them out."""
    separator = r.choice((b"\r\n", b""))
    parts = data.split(separator) if separator else [bytes([byte]) for byte in data]
    odd = HEADERS if separator else PIECES
    at = r.randint(0, len(parts))
    new = r.choice((*[r.choice(odd)] * 4, *parts[at : at + 1]))
    parts[at : at + r.randint(0, 2)] = [new[:70_000]] * r.choice((0, 1, 1, 1, 2, 150))
    return (separator if r.random() < 0.9 else separator[1:]).join(parts)


def change_body(data: bytes, r: Random) -> bytes:
    """Give it another body, and sometimes announce another length of it."""
    head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    lines = [line for line in head if not line.startswith((b"Content-", b"Transfer-"))]
    kind, bodies = r.choice(list(BODIES.items()))
    body = r.choice(bodies)
    lines.append(kind.encode())
    if kind != CHUNKED:
        length = len(body) + r.choice((0, 0, 0, -3, 1, 10**8))
        lines.append(b"Content-Length: %d" % max(0, length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def mutated(good: list[bytes], number: int) -> bytes:
    """Return a request; of one SEED, the same number is the same one."""
    r = Random(f"{SEED} {number}")
    data = r.choice(good)
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        data = r.choice((change_first_line, change_parts, change_parts, change_body))(data, r)
    data = NO_ASCII.sub(rb"\g<1> x", HUGE_DATE.sub(rb"\g<1>1", data))
    target = re.match(rb"\S* (\S*)", data)
    try:
        urlsplit(target[1].decode("latin-1") if target else "").port  # noqa: B018
    except ValueError:  # it's no URL, and the development server fails by itself
        return good[0]
    return data


# What comes back

# What errors look like, by chapter: their keys, and under which paths all of them are like that.
# (In chapter 04, those that Werkzeug raises are still HTML.)
CODED = {"error_code", "msg", "request"}
FORMATS: dict[str, tuple[set[str], tuple[str, ...]]] = {
    "03": ({"r", "msg"}, ("/j/",)),
    "05": (CODED, ("/j/", "/v1/")),
    "06": (CODED, ("/j/", "/uploads/", "/stream/")),
}
# Pages that a server sends by itself, before the app is called: Python's http.server, gunicorn.
SERVERS_OWN = (b"<title>Error response</title>", b"<h1><p>")
TRACEBACK = "Traceback (most recent call last)"


def send(port: int, data: bytes, leave_after: float | None = None) -> bytes:
    """Send a request and return everything that comes back, or leave after some seconds."""
    received = b""
    # A time limit, so that a server that hangs doesn't stop the drill.
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        try:
            client.sendall(data)
            if leave_after is not None:
                time.sleep(leave_after)
                return b""
            client.shutdown(socket.SHUT_WR)  # so that no server waits for more
            while piece := client.recv(2**16):
                received += piece
                if b"Content-Type: text/event-stream" in received:  # that has no end
                    break
        except TimeoutError:
            raise
        except OSError:
            pass  # a server may hang up whenever it has had enough
    return received


def statuses(received: bytes) -> list[int]:
    """Return the status of each response; there may be several, or none."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] ([2-5]\d\d) ", received)]


def fault(chapter: str, data: bytes, received: bytes) -> str:
    """Return what is wrong with what came back, or an empty string."""
    servers_own = any(mark in received for mark in SERVERS_OWN)
    found = statuses(received)
    if TRACEBACK.encode() in received:
        return "a traceback in the response"
    if [one for one in found if one >= 500 and not (servers_own and one in (501, 505))]:
        return f"status {found}"

    line = re.match(rb"([A-Z]+) (/[^ ?#]*)\S* HTTP/1\.[01]\r\n", data)
    if not found or found[0] < 400 or servers_own or not line or line[1] == b"HEAD":
        return ""
    keys, prefixes = FORMATS.get(chapter, (set(), ()))
    body = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")[2]
    if f"{unquote_to_bytes(line[2]).decode('latin-1')}/".startswith(prefixes):
        try:
            error, _ = json.JSONDecoder().raw_decode(body.decode())  # behind it, another response
            assert set(error) - {"request_id", "errors"} == keys
        except (AssertionError, TypeError, ValueError):
            return f"an error in another format: {body[:200]!r}"
    return ""


def drill(
    chapter: str, port: int, log: Path, renew: Callable[[], list[bytes]], times: int = TIMES
) -> None:
    """Send mutations of good requests, which *renew* returns; fail if some of them find a fault."""
    good: list[bytes] = []

    def send_one(number: int) -> str:
        """Return what is wrong, if anything is."""
        data = mutated(good, number)
        wrong = fault(chapter, data, send(port, data, {7: 0.02, 8: 0}.get(number % 20)))
        return wrong and f"{number} of seed {SEED}: {wrong}\n{data[:1000]!r} ({len(data)} bytes)"

    with ThreadPoolExecutor(AT_ONCE) as pool, log.open(errors="replace") as lines:
        for first in range(0, times, AT_ONCE):
            if first % (25 * AT_ONCE) == 0:
                good = renew()
            wrong = list(filter(None, pool.map(send_one, range(first, first + AT_ONCE))))
            said = lines.read()  # since the last time
            if wrong or TRACEBACK in said:
                pytest.fail("\n\n".join([f"From {first} on, {AT_ONCE} at once:", *wrong, said]))


@contextmanager
def flask_run(chapter: Path, temporary: Path) -> Iterator[tuple[str, int, Path]]:
    """Serve a chapter from 01 to 05 as ``make run`` does; yield its number, port and log."""
    port, log = free_port(), temporary / "log"
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLASK_")}
    env["FLASK_UPLOAD_FOLDER"] = str(temporary / "uploads")
    env["FLASK_MAX_CONTENT_LENGTH"] = env["FLASK_UPLOAD_LIMIT"] = LIMIT
    env["PYTHONFAULTHANDLER"] = "1"  # if Python itself crashes, the log says where
    command = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port)]
    with log.open("wb") as out, process(command, chapter, port, env=env, stdout=out, stderr=STDOUT):
        yield chapter.name[:2], port, log


@pytest.mark.parametrize("chapter", CHAPTERS[:5], ids=lambda chapter: chapter.name)
def test_no_mutated_request_breaks_a_chapter(chapter: Path, tmp_path: Path) -> None:
    good = of_pages(chapter)
    with flask_run(chapter, tmp_path) as (name, port, log):
        drill(name, port, log, lambda: good)
        assert statuses(send(port, good[0]))  # it still works


def test_mutated_requests_break_nothing_of_the_desk_and_lose_nothing(tmp_path: Path) -> None:
    settings = {
        "FLASK_BOT_CLASS": "bots.SteadyBot",
        "FLASK_UPLOAD_LIMIT": LIMIT,
        "FLASK_LOGIN_TTL": "36000",
        "FLASK_SSE_MAX_STREAMS": "10000",
        "FLASK_SSE_HEARTBEAT": "1",  # so that a stream without a reader ends soon
    }
    with Desk(tmp_path / "06", **(LIMITS | settings)) as desk:
        ledger = Ledger()
        ada, omar = (Browser(ledger, desk.port, name).log_in() for name in ("ada", "omar"))

        def renew() -> list[bytes]:
            return of_desk(ada, Browser(ledger, desk.port, "lin").log_in())

        def belongings() -> list[bytes]:
            lists = [f"/j/{kind}?per_page=100" for kind in ("users", "groups", "mps")]
            paths = ["/j/me", *lists, "/j/messages", *ledger.uploads]
            return [omar.insist("GET", path).body for path in paths]

        ada.wait_for_contacts()
        omar.wait_for_contacts()
        omar.send("hello")
        omar.upload(b"hello")
        before = belongings()
        drill("06", desk.port, desk.folder / "log", renew)
        assert belongings() == before and not ledger.wrong


# The drill itself

BUGS = {
    r"status \[500\]": "1 / 0",
    "an error in another format": "return 'Not Found', 404",
    "a traceback in the response": f"return '{TRACEBACK}'",
    "a line of the log": f"current_app.logger.error('a line of the log: {TRACEBACK}')",
}


@pytest.mark.parametrize("found", BUGS)
def test_the_drill_finds_a_bug(found: str, tmp_path: Path) -> None:
    chapter = CHAPTERS[4]
    copy = shutil.copytree(chapter, tmp_path / chapter.name)
    source = (copy / "app.py").read_text(encoding="utf-8")
    line = "    if name not in USERS:\n"
    assert source.count(line) == 1
    bug = f"    if not name.isalnum():\n        {BUGS[found]}\n{line}"
    (copy / "app.py").write_text(source.replace(line, bug), encoding="utf-8")
    good = of_pages(chapter)
    with flask_run(copy, tmp_path) as served, pytest.raises(pytest.fail.Exception, match=found):
        drill(*served, lambda: good, times=2000)
