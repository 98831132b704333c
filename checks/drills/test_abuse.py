"""Chapter 06 before clients that mean no good: they never read, never end, repeat and flood."""

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from conftest import missing
from desks import Crew, until
from ledger import ACCOUNTS, FORM, JSON, Browser, Ledger, Load, Response, Stream

pytestmark = pytest.mark.drill

STREAMS = 130  # that a process may have open
CODES = 300  # that one address may ask for in a minute
LONG = "🎈" * 2000  # 24 KB as JSON


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """One start of the chapter, with one web process and bounds that are soon reached."""
    settings = {
        "FLASK_SSE_MAX_STREAMS": str(STREAMS),
        "FLASK_CODES_PER_MINUTE": str(CODES),
        "FLASK_PROXIES": "1",  # so that a drill can come from another address
    }
    with Crew(tmp_path_factory.mktemp("abuse") / "06", **settings) as crew:
        yield crew
        assert crew.deaths() == 0


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger()
    yield ledger
    assert ledger.wrong == []


def code_of(response: Response) -> tuple[int, int]:
    return response.status, response.json()["error_code"]


def connect(browser: Browser, start: str, *headers: str) -> socket.socket:
    """Open a connection of which we read next to nothing, and send the start of a request."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", browser.port))
    lines = start, "Host: localhost", f"Cookie: {browser.cookie}", *headers
    sock.sendall("\r\n".join(lines).encode())
    return sock


def open_stream(browser: Browser) -> socket.socket | None:
    """Open a stream, and read no more than its status; None if there is no room for it."""
    sock = connect(browser, "GET /stream HTTP/1.1", "", "")
    sock.settimeout(20)
    if sock.recv(15) == b"HTTP/1.1 200 OK":
        return sock
    sock.close()
    return None


def stream(browser: Browser) -> socket.socket:
    """Open a stream; those that are closed are noticed within a heartbeat."""
    sock: socket.socket = until(lambda: open_stream(browser), "room for a stream")
    return sock


# Streams


def unsent(port: int) -> list[int]:
    """Return how many bytes the kernel keeps for each connection to the server at *port*."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        missing("/proc/net/tcp")
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    # 01 is ESTABLISHED, 08 CLOSE_WAIT: the browser has left, and the server hasn't noticed yet.
    ours = [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] in ("01", "08")]
    return [int(row[4].split(":")[0], 16) for row in ours]


def test_browsers_that_never_read_are_cut_off_and_nobody_else_notices(crew: Crew) -> None:
    kept = []

    with Load(crew) as load, ExitStack() as streams:
        for number in range(100):
            streams.enter_context(stream(load.browsers[number % len(load.browsers)]))

        for _ in range(6):
            for _ in range(30):
                load.browsers[0].send(LONG)
            load.check()  # the others have heard them all
            kept.append(sum(unsent(crew.port)))

        assert max(kept) < 100 * 256 * 1024
        until(lambda: len(unsent(crew.port)) <= len(load.streams), "100 closed connections")
        assert load.ledger.wrong == []


def test_no_more_streams_are_opened_than_a_process_may_have(crew: Crew, ledger: Ledger) -> None:
    browser = Browser(ledger, crew.port, "ada").log_in()

    with ExitStack() as streams:
        for _ in range(STREAMS):
            streams.enter_context(stream(browser))

        refused = browser.ask("GET", "/stream", wanted=(503,))
        assert code_of(refused) == (503, 1009)
        assert refused.headers["Retry-After"] == "5"
        assert browser.is_logged_in()  # everything else goes on

    stream(browser).close()


# Requests that never end


@contextmanager
def trickle(browser: Browser, count: int, start: str, *headers: str) -> Iterator[None]:
    """Keep *count* requests going, a byte at a time, until the end of the block."""
    ended = Event()

    with ExitStack() as requests:
        socks = [
            requests.enter_context(connect(browser, start, *headers, "")) for _ in range(count)
        ]

        def feed() -> None:
            while not ended.wait(0.5):
                for sock in socks:
                    sock.sendall(b"x")

        feeder = Thread(target=feed)
        feeder.start()
        try:
            yield
        finally:
            ended.set()
            feeder.join()


def test_bodies_that_never_end_keep_nobody_waiting(crew: Crew) -> None:
    kind = "Content-Type: multipart/form-data; boundary=x"

    with Load(crew) as load, ExitStack() as requests:
        for path in ("/uploads", "/j/messages", "/j/login", "/j/login/qr"):
            start = f"POST {path} HTTP/1.1", kind, "Content-Length: 100000", ""
            requests.enter_context(trickle(load.browsers[0], 50, *start))

        for _ in range(10):
            load.browsers[1].send()
            load.browsers[2].upload(b"meanwhile")
        load.check()
        assert load.ledger.wrong == []


def test_headers_that_never_end_keep_nobody_waiting(crew: Crew) -> None:
    with Load(crew) as load:
        with trickle(load.browsers[0], 100, "GET /j/me HTTP/1.1", "X-Long: "):
            load.browsers[1].send()
            load.check()
        assert load.ledger.wrong == []


# Codes, keys and cookies


def claim(browser: Browser, key: str) -> Response:
    body = json.dumps({"key": key}).encode()
    return browser.ask("POST", "/j/login", body, JSON, wanted=(200, 400, 413))


def answer(ledger: Ledger, port: int, uuid: str, account: str, action: str = "confirm") -> int:
    """Answer a code on a phone; return the status."""
    form = urlencode({"account": account, "action": action}).encode()
    phone = Browser(ledger, port, account)
    return phone.ask("POST", f"/scan/{uuid}", form, FORM, wanted=(200, 410)).status


def test_only_the_key_of_a_confirmed_code_is_a_login(crew: Crew, ledger: Ledger) -> None:
    browser = Browser(ledger, crew.port, "ada")
    mine, other = browser.new_code(), browser.new_code()
    browser.confirm(other["uuid"])

    for key in (mine["key"], mine["uuid"], other["uuid"], other["key"][:-1], "", "x" * 50_000):
        assert code_of(claim(browser, key)) == (400, 1004)
        assert browser.cookie == ""
    assert code_of(claim(browser, "x" * 100_000)) == (413, 1007)

    assert claim(browser, other["key"]).status == 200


def test_a_key_that_is_used_again_is_the_same_login(crew: Crew, ledger: Ledger) -> None:
    browsers = [Browser(ledger, crew.port, "lin") for _ in range(8)]
    code = browsers[0].new_code()
    browsers[0].confirm(code["uuid"])

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda browser: claim(browser, code["key"]), browsers))
    assert [answer.status for answer in answers] == [200] * len(browsers)
    assert all(browser.is_logged_in() for browser in browsers)

    browsers[0].log_out()
    for browser in browsers:
        assert code_of(browser.ask("GET", "/j/me", wanted=(401,))) == (401, 1008)
    assert code_of(claim(browsers[0], code["key"])) == (400, 1004)


def test_of_many_phones_one_decides(crew: Crew, ledger: Ledger) -> None:
    phones = ACCOUNTS * 4

    def confirm(phone: str) -> int:
        return answer(ledger, crew.port, code["uuid"], phone)

    for _ in range(10):
        code = Browser(ledger, crew.port, "ada").new_code()
        with ThreadPoolExecutor(len(phones)) as pool:
            statuses = list(pool.map(confirm, phones))

        assert Counter(statuses) == {200: 1, 410: len(phones) - 1}
        winner = phones[statuses.index(200)]
        Browser(ledger, crew.port, winner).take_up(code["key"])  # checks whose login it is


def test_a_code_that_was_answered_is_worth_nothing(crew: Crew, ledger: Ledger) -> None:
    browser = Browser(ledger, crew.port, "omar")
    used, cancelled = browser.new_code(), browser.new_code()
    browser.confirm(used["uuid"])
    assert answer(ledger, crew.port, used["uuid"], "ada") == 410
    assert answer(ledger, crew.port, used["uuid"], "ada", "cancel") == 410

    assert answer(ledger, crew.port, cancelled["uuid"], "omar", "cancel") == 200
    assert answer(ledger, crew.port, cancelled["uuid"], "omar") == 410
    assert code_of(claim(browser, cancelled["key"])) == (400, 1004)

    browser.take_up(used["key"])


def test_a_cookie_is_worth_nothing_after_the_logout(crew: Crew, ledger: Ledger) -> None:
    browser = Browser(ledger, crew.port, "ada").log_in()
    cookie = browser.cookie
    with stream(browser) as sock:
        browser.log_out()
        browser.cookie = cookie
        heard = b"".join(iter(partial(sock.recv, 4096), b""))
        assert b"logged_out" in heard

    for method, path in (
        ("GET", "/stream"), ("GET", "/j/users"), ("GET", "/j/messages"), ("POST", "/j/messages"),
        ("POST", "/j/contacts"), ("POST", "/uploads"), ("POST", "/j/logout"),
    ):  # fmt: skip
        assert code_of(browser.ask(method, path, wanted=(401,))) == (401, 1008)


def test_a_cookie_that_we_did_not_sign_is_worth_nothing(crew: Crew, ledger: Ledger) -> None:
    browser = Browser(ledger, crew.port, "ada").log_in()
    true = browser.cookie
    forger = Flask("forger")
    forger.secret_key = "another one"
    signer = SecureCookieSessionInterface().get_signing_serializer(forger)
    assert signer
    payload, _, signature = true.rpartition(".")
    forged = [f"{payload}.{signature[::-1]}", f"{payload}.", payload, f"{true}x", "desk="]
    forged.append(f"desk={signer.dumps({'login': 'x', 'account': 'ada'})}")

    for browser.cookie in forged:
        for path in ("/j/me", "/stream"):
            assert code_of(browser.ask("GET", path, wanted=(401,))) == (401, 1008)

    browser.cookie = true
    assert browser.is_logged_in()


# Floods


def test_an_address_that_floods_us_with_codes_gets_429_and_others_get_theirs(
    crew: Crew, ledger: Ledger
) -> None:
    visitor = Browser(ledger, crew.port, "ada")
    flood = {"X-Forwarded-For": "192.0.2.1"}

    def one_more(_: int) -> Response:
        return visitor.ask("POST", "/j/login/qr", headers=flood, wanted=(201, 429))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one_more, range(CODES + 50)))

    assert Counter(response.status for response in answers) == {201: CODES, 429: 50}
    for response in answers:
        if response.status == 429:
            assert response.json()["error_code"] == 1007
            assert 1 <= int(response.headers["Retry-After"]) <= 60
    visitor.log_in()


def test_contacts_are_fetched_once_at_a_time(crew: Crew, ledger: Ledger) -> None:
    browser = Browser(ledger, crew.port, "ada").log_in()
    browser.wait_for_contacts()
    page = Stream(browser)
    page.start()
    until(page.opened.is_set, "a stream")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: browser.ask("POST", "/j/contacts", wanted=(202,)), range(100)))
    until(lambda: browser.ask("GET", "/j/me").json()["fetching"] is None, "the last fetch")
    time.sleep(0.5)  # anything else would be heard by now
    page.close()

    fetched = [data["done"] for type, data in page.others if type == "progress"]
    one = [50, 100, 150, 200, 250, 262, 282]
    times, rest = divmod(len(fetched), len(one))
    assert (fetched, rest) == (one * times, 0)
    assert page.others.count(("contacts", {"type": "ready"})) == times >= 1
