"""Good requests, mutated at random and sent as bytes to a chapter as it's really served.

A run is repeatable: request 17 of seed 1 has the same bytes in every run. To send that one to
chapter 04 again, or any bytes, and to see the response and the log, run in ``checks``::

    PYTHONPATH=. ../.venv/bin/python drills/mutated.py 04 1 17
    PYTHONPATH=. ../.venv/bin/python drills/mutated.py 04 "b'GET / HTTP/1.1\\r\\n\\r\\n'"
"""

import ast
import json
import os
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from random import Random
from urllib.parse import unquote_to_bytes
from urllib.request import Request, urlopen

import corpus
from book import ROOT
from desk import Desk
from servers import free_port, process

HANGS = 30  # seconds; no response takes as long, but a hanging one shouldn't stop the drill
AT_ONCE = 8
BATCH = 200  # requests between two looks at the log
ENOUGH = 10  # faults; more of them only take time


# Mutations


def parts(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the lines of a request's head, and its body."""
    head, _, body = data.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def joined(lines: list[bytes], body: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def place(data: bytes, r: Random) -> int:
    """Return a place in *data*; half of the time one in the target, which decides most."""
    start, end = 0, len(data)
    if r.random() < 0.5:
        start = data.find(b" ") + 1
        end = data.find(b" ", start)
    return r.randrange(start, max(start + 1, end))


def change_byte(data: bytes, r: Random) -> bytes:
    at = place(data, r)
    return data[:at] + r.randbytes(1) + data[at + 1 :]


def insert(data: bytes, r: Random) -> bytes:
    at = place(data, r)
    return data[:at] + r.choice(corpus.PIECES) + data[at:]


def cut_out(data: bytes, r: Random) -> bytes:
    at = place(data, r)
    return data[:at] + data[at + r.randrange(1, 20) :]


def repeat(data: bytes, r: Random) -> bytes:
    at = place(data, r)
    end = at + r.randrange(1, 20)
    return data[:at] + data[at:end] * r.choice((2, 3, 300)) + data[end:]


def percent_encode(data: bytes, r: Random) -> bytes:
    at = place(data, r)
    return data[:at] + b"%" + data[at : at + 1].hex().encode() + data[at + 1 :]


def stop_early(data: bytes, r: Random) -> bytes:
    return data[: r.randrange(len(data) + 1)]


def bare_newlines(data: bytes, r: Random) -> bytes:
    return data.replace(b"\r\n", r.choice((b"\n", b"\n", b"\r")), r.choice((2, -1)))


def change_lines(data: bytes, r: Random) -> bytes:
    """Drop, double or swap lines of the head."""
    lines, body = parts(data)
    first, second = r.randrange(len(lines)), r.randrange(len(lines))
    match r.randrange(3):
        case 0:
            del lines[first]
        case 1:
            lines.insert(second, lines[first])
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
    return joined(lines, body)


def change_first_line(data: bytes, r: Random) -> bytes:
    """Exchange method, target or version."""
    words = data.partition(b"\r\n")[0].split(b" ")
    at = r.randrange(min(3, len(words)))
    words[at] = r.choice((corpus.METHODS, corpus.TARGETS, corpus.VERSIONS)[at])
    return b" ".join(words) + data[data.find(b"\r\n") :]


def add_header(data: bytes, r: Random) -> bytes:
    lines, body = parts(data)
    lines.insert(r.randrange(1, len(lines) + 1), r.choice(corpus.HEADERS))
    return joined(lines, body)


def add_many_headers(data: bytes, r: Random) -> bytes:
    lines, body = parts(data)
    return joined(lines + [r.choice(corpus.HEADERS)[:99]] * r.choice((20, 99, 150, 5000)), body)


def with_body(data: bytes, body: bytes, *headers: bytes) -> bytes:
    """Return *data* with another body; the headers that told of the old one are gone."""
    lines, _ = parts(data)
    about_the_body = (b"content-length", b"content-type", b"transfer-encoding")
    kept = [line for line in lines if not line.lower().startswith(about_the_body)]
    return joined([*kept, *headers], body)


def send_json(data: bytes, r: Random) -> bytes:
    body = r.choice(corpus.JSON_BOMBS)
    length = b"Content-Length: %d" % len(body)
    return with_body(data, body, b"Content-Type: application/json", length)


def send_form(data: bytes, r: Random) -> bytes:
    """Send a broken form; some of them announce a byte or two more than they have."""
    body = r.choice(corpus.FORMS)
    multipart = b"Content-Type: multipart/form-data; boundary=b"
    plain = b"Content-Type: application/x-www-form-urlencoded"
    length = b"Content-Length: %d" % (len(body) + r.choice((0, 0, 1, 2)))
    return with_body(data, body, multipart if b"--b" in body else plain, length)


def send_chunks(data: bytes, r: Random) -> bytes:
    """Send the body in chunks: bad ones, or its own."""
    lines, body = parts(data)
    kind = [line for line in lines if line.lower().startswith(b"content-type")]
    own = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return with_body(data, r.choice([own, *corpus.CHUNKS]), *kind, b"Transfer-Encoding: chunked")


def wrong_length(data: bytes, r: Random) -> bytes:
    lines, body = parts(data)
    kept = [line for line in lines if not line.lower().startswith(b"content-length")]
    length = max(0, len(body) + r.choice((-3, -1, 1, 9, 10**6, 10**8)))
    return joined([*kept, b"Content-Length: %d" % length], body)


MUTATIONS: list[Callable[[bytes, Random], bytes]] = [
    change_byte,
    insert,
    cut_out,
    repeat,
    percent_encode,
    stop_early,
    bare_newlines,
    change_lines,
    change_first_line,
    add_header,
    add_many_headers,
    send_json,
    send_form,
    send_chunks,
    wrong_length,
]


@dataclass
class Mutated:
    """A request as it's sent, and what the client does then.

    *then*: it may ``read`` the response, ``stop`` for a moment and hang up, or ``leave`` at once.
    """

    data: bytes
    then: str = "read"


# Werkzeug 3.1 doesn't expect the OverflowError of a date with a huge number in it, and makes it a
# 500 for any file. That's for Werkzeug to mend, so the number is made a small one.
HUGE_DATE = re.compile(rb"(?i)((?:If-Modified-Since|If-Range):[^\r\n]*?)\d{9,}")


def mutated(chapter: str, seed: int, number: int) -> Mutated:
    """Return one of the requests of a run."""
    r = Random(f"{chapter} {seed} {number}")
    data = r.choice(corpus.GOOD[chapter])
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        data = r.choice(MUTATIONS)(data, r)
    if r.random() < 0.05:
        data += r.choice(corpus.GOOD[chapter])  # a second request on the same connection
    data = HUGE_DATE.sub(rb"\g<1>1", data)
    return Mutated(data, r.choices(("read", "stop", "leave"), (18, 1, 1))[0])


# Servers

LIMIT = "1000000"  # bytes; with 16 MiB, the drill would mostly wait for large bodies
SETTINGS = {
    "FLASK_UPLOAD_LIMIT": LIMIT,
    "FLASK_CODES_PER_MINUTE": "1000000",  # all requests have one address
    "FLASK_LOGIN_TTL": "36000",
    "FLASK_SSE_MAX_STREAMS": "10000",
    "FLASK_SSE_HEARTBEAT": "1",  # so that a stream without a reader ends soon
}


@dataclass
class Server:
    """A chapter that is running.

    *real* has what is sent for each stand-in in a request; *renew* returns new ones.
    """

    chapter: str
    port: int
    log: Path
    renew: Callable[[], dict[bytes, bytes]] = dict
    real: dict[bytes, bytes] = field(default_factory=dict)

    def send(self, request: Mutated) -> bytes:
        """Send a request and return everything that comes back."""
        data = request.data
        for stand_in, real in self.real.items():
            data = data.replace(stand_in, real)
        received = bytearray()
        end = time.monotonic() + HANGS
        with socket.create_connection(("127.0.0.1", self.port), timeout=HANGS) as client:
            try:
                client.sendall(data)
                if request.then == "stop":
                    time.sleep(0.02)
                if request.then == "read":
                    client.shutdown(socket.SHUT_WR)  # so that no server waits for more
                    while piece := client.recv(2**16):
                        received += piece
                        if b"Content-Type: text/event-stream" in piece:
                            break  # it has no end
                        if time.monotonic() > end:
                            raise TimeoutError
            except TimeoutError:
                raise
            except OSError:
                pass  # a server may hang up whenever it has had enough
        return bytes(received)

    def said(self, start: int) -> str:
        """Return the log from the byte *start* on."""
        with self.log.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")


@contextmanager
def flask_run(folder: Path, temporary: Path) -> Iterator[Server]:
    """Serve a chapter from 01 to 05 as ``make run`` does."""
    port = free_port()
    log = temporary / "log"
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLASK_")}
    env["FLASK_UPLOAD_FOLDER"] = str(temporary / "uploads")
    env["FLASK_MAX_CONTENT_LENGTH"] = env["FLASK_UPLOAD_LIMIT"] = LIMIT
    env["PYTHONFAULTHANDLER"] = "1"  # if Python itself crashes, the log says where
    command = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port)]
    with log.open("wb") as file, process(command, folder, port, env=env, stdout=file, stderr=file):
        server = Server(folder.name[:2], port, log)
        server.send(Mutated(corpus.with_file()))  # the file that some requests ask for
        yield server


def new_code(url: str) -> tuple[str, str]:
    """Ask chapter 06 for a code; return its uuid and its key."""
    with urlopen(Request(f"{url}/j/login/qr", method="POST"), timeout=HANGS) as response:
        code = json.load(response)
    return code["uuid"], code["key"]


def log_in(url: str, account: str) -> str:
    """Return the cookie of a new login."""
    uuid, key = new_code(url)
    form = f"account={account}&action=confirm".encode()
    urlopen(f"{url}/scan/{uuid}", form, timeout=HANGS).close()
    kind = {"Content-Type": "application/json"}
    claim = Request(f"{url}/j/login", json.dumps({"key": key}).encode(), kind)
    with urlopen(claim, timeout=HANGS) as response:
        return str(SimpleCookie(response.headers["Set-Cookie"])["desk"].value)


def wait_for_contacts(url: str, cookie: str) -> None:
    """Wait until the task has fetched them; before that, nothing can be sent to them."""
    me = Request(f"{url}/j/me", headers={"Cookie": f"desk={cookie}"})
    end = time.monotonic() + HANGS
    while time.monotonic() < end:
        with urlopen(me, timeout=HANGS) as response:
            if json.load(response)["ready"]:
                return
        time.sleep(0.1)
    raise TimeoutError("the contacts of a new login never came")


@contextmanager
def desk(temporary: Path) -> Iterator[Server]:
    """Serve chapter 06 as ``make run-06`` does."""
    with Desk(temporary / "06", **SETTINGS) as desk:
        ada = log_in(desk.url, "ada")
        wait_for_contacts(desk.url, ada)

        def renew() -> dict[bytes, bytes]:
            """Return stand-ins for a code that nobody has used, and for a login that may end."""
            uuid, key = new_code(desk.url)
            leaving = log_in(desk.url, "lin")
            return {
                corpus.CODE: uuid.encode(),
                corpus.KEY: key.encode(),
                corpus.LEAVING: leaving.encode(),
                corpus.LOGIN: ada.encode(),
            }

        yield Server("06", desk.port, desk.folder / "log", renew, renew())


def served(chapter: str, temporary: Path) -> AbstractContextManager[Server]:
    if chapter == "06":
        return desk(temporary)
    [folder] = ROOT.glob(f"{chapter}_*")
    return flask_run(folder, temporary)


# What is checked

# Pages that a server sends by itself, before the app is called: Python's http.server, gunicorn.
SERVERS_OWN = (b"<title>Error response</title>", b"<h1><p>")
TRACEBACK = "Traceback (most recent call last)"


def responses(received: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield status and body of each response, "100 Continue" left out; there may be several."""
    while received.startswith(b"HTTP/1."):
        head, _, received = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        body = received[: int(length[1])] if length else received
        if received.startswith(b"HTTP/1."):  # the one before has no body, for example for HEAD
            body = b""
        received = received[len(body) :]
        status = int(head[9:12])
        if status != 100:
            yield status, body


def is_in_format(chapter: str, data: bytes, body: bytes) -> bool:
    """Tell whether an error has the chapter's format, if the target is one of the API's paths."""
    line = re.match(rb"([A-Z]+) (/[^ ?#]*)\S* HTTP/1\.[01]\r\n", data)
    if chapter not in corpus.FORMATS or not line or line[1] == b"HEAD":
        return True
    needed, known, prefixes = corpus.FORMATS[chapter]
    if not f"{unquote_to_bytes(line[2]).decode('latin-1')}/".startswith(prefixes):
        return True
    try:
        keys = set(json.loads(body))
    except (TypeError, ValueError):
        return False
    return needed <= keys <= known


def fault(chapter: str, data: bytes, received: bytes) -> str:
    """Return what is wrong with what came back, or an empty string."""
    if TRACEBACK.encode() in received:
        return "a traceback in the response"
    for number, (status, body) in enumerate(responses(received)):
        servers_own = any(mark in body for mark in SERVERS_OWN)
        if status >= 500 and not (servers_own and status in (501, 505)):
            return f"status {status}"
        judged = status >= 400 and not servers_own and number == 0
        if judged and not is_in_format(chapter, data, body):
            return f"an error in another format: {body[:200]!r}"
    return ""


def has_traceback(log: str) -> bool:
    """Tell whether the app has failed.

    For the target //[ the development server fails itself, before it calls the app: "Invalid IPv6
    URL". For //a:b it fails when it logs the response: "Port could not be cast". It prints a
    traceback. No chapter can do anything about that.
    """
    before = r"-{40}\nException occurred during processing of request from .*?-{40}"
    lines = r"(?:[^\n]*\n){0,20}?"
    after = rf"Error on request:\nTraceback{lines}[^\n]*in log_request\n{lines}ValueError: Port"
    return TRACEBACK in re.sub(f"{before}|{after}", "", log, flags=re.DOTALL)


@dataclass
class Outcome:
    """What came of a run: how often each status came back, and what was wrong."""

    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Run:
    """Requests of one seed to one server."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.seed = seed

    def send(self, number: int) -> tuple[str, str]:
        """Send a request; return the status of the response and what is wrong with it."""
        request = mutated(self.server.chapter, self.seed, number)
        try:
            received = self.server.send(request)
        except OSError as error:
            return "none", self.told(number, repr(error))
        if request.then != "read":
            return "not waited for", ""
        wrong = fault(self.server.chapter, request.data, received)
        statuses = [str(status) for status, _ in responses(received)]
        status = statuses[0] if statuses else "none"
        return status, self.told(number, wrong) if wrong else ""

    def told(self, number: int, wrong: str) -> str:
        """Return a fault with what it takes to repeat it."""
        chapter = self.server.chapter
        data = mutated(chapter, self.seed, number).data
        more = f" and {len(data) - 1000} bytes more" if len(data) > 1000 else ""
        return f"{chapter} {self.seed} {number}: {wrong}\n{data[:1000]!r}{more}"

    def log_size(self) -> int:
        if self.server.chapter == "06":
            time.sleep(0.05)  # run.py passes the log on, which takes a moment
        return self.server.log.stat().st_size

    def tracebacks(self, start: int, numbers: range) -> list[str]:
        """Find the requests whose tracebacks are in the log, by sending them one at a time."""
        all_that_was_said = self.server.said(start)
        if not has_traceback(all_that_was_said):
            return []
        found, repeated = [], False
        for number in numbers:
            start = self.log_size()
            self.send(number)
            self.log_size()
            log = self.server.said(start)
            if has_traceback(log):
                found.append(self.told(number, f"a traceback in the log:\n{log}"))
            # Lines of other threads may have torn the server's own, so that it wasn't recognised.
            repeated = repeated or TRACEBACK in log
            if len(found) == ENOUGH:
                break
        if repeated:
            return found
        place = all_that_was_said.index(TRACEBACK)
        excerpt = all_that_was_said[max(0, place - 1000) : place + 3000]
        return [f"no request alone repeats this traceback:\n{excerpt}"]

    def all(self, times: int) -> Outcome:
        """Send the requests from 0 to *times*."""
        outcome = Outcome()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for first in range(0, times, BATCH):
                numbers = range(first, min(first + BATCH, times))
                self.server.real |= self.server.renew()
                start = self.log_size()
                results = list(pool.map(self.send, numbers))
                self.log_size()
                outcome.statuses.update(status for status, _ in results)
                wrong = [wrong for _, wrong in results if wrong]
                # The traceback of a 500 is in the log as well; there's no need to search for both.
                outcome.faults += wrong or self.tracebacks(start, numbers)
                if len(outcome.faults) >= ENOUGH:
                    break
        return outcome


def main(chapter: str, *what: str) -> None:
    """Send one request again and show what comes of it."""
    with tempfile.TemporaryDirectory() as temporary, served(chapter, Path(temporary)) as server:
        if len(what) == 2:
            request = mutated(chapter, int(what[0]), int(what[1]))
        else:
            request = Mutated(ast.literal_eval(what[0]))
        start = server.log.stat().st_size
        print(request.data[:1000], len(request.data), request.then)
        print(server.send(request).decode(errors="backslashreplace"))
        time.sleep(0.5)
        print(server.said(start))


if __name__ == "__main__":
    main(*sys.argv[1:])
