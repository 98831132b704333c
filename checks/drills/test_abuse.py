"""Chapter 06 before clients that mean no good: they never read, never end, and want memory.

What a single key, code or cookie is worth is tested in the chapter.
"""

import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event

import pytest

from conftest import missing
from desks import Crew, children
from ledger import Browser, Ledger, Load, Stream
from servers import until

pytestmark = pytest.mark.drill

LONG = "🎈" * 2000  # 24 KB as JSON


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """One start of the chapter, with one web process."""
    with Crew(tmp_path_factory.mktemp("abuse") / "06") as crew:
        yield crew
        assert crew.deaths() == 0


def connect(browser: Browser, start: str, *headers: str) -> socket.socket:
    """Open a connection of which we read next to nothing, and send the start of a request."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", browser.port))
    lines = start, "Host: localhost", f"Cookie: {browser.cookie}", *headers
    sock.sendall("\r\n".join(lines).encode())
    return sock


def stream(browser: Browser, *headers: str) -> socket.socket:
    """Open a stream, and read no more than its status."""
    sock = connect(browser, "GET /stream HTTP/1.1", *headers, "", "")
    sock.settimeout(20)
    assert sock.recv(15) == b"HTTP/1.1 200 OK"
    return sock


def unsent(port: int) -> list[int]:
    """Return how many bytes the kernel keeps for each connection to the server at *port*."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        missing("/proc/net/tcp")
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    # 01 is ESTABLISHED, 08 CLOSE_WAIT: the browser has left, and the server hasn't noticed yet.
    ours = [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] in ("01", "08")]
    return [int(row[4].split(":")[0], 16) for row in ours]


def megabytes(crew: Crew) -> float:
    """Return how much memory the web process has."""
    pids = ",".join(map(str, children(crew.pid("web"))))
    done = subprocess.run(["ps", "-o", "rss=", "-p", pids], stdout=subprocess.PIPE, check=True)
    return sum(map(int, done.stdout.split())) / 1024


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


def test_requests_that_never_end_keep_nobody_waiting(crew: Crew) -> None:
    body = "Content-Type: multipart/form-data; boundary=x", "Content-Length: 60000", "", ""
    starts: list[tuple[str, ...]] = [("GET /j/me HTTP/1.1", "X-Long: ")] * 100
    for path in ("/uploads", "/j/messages", "/j/login", "/j/login/qr"):
        starts += [(f"POST {path} HTTP/1.1", *body)] * 50
    ended = Event()

    def feed() -> None:
        """Send each of them a byte at a time."""
        while not ended.wait(0.5):
            for sock in socks:
                with suppress(OSError):  # the server has had enough
                    sock.sendall(b"x")

    with Load(crew) as load, ExitStack() as requests, ThreadPoolExecutor() as pool:
        socks = [requests.enter_context(connect(load.browsers[0], *start)) for start in starts]
        pool.submit(feed)
        try:
            for _ in range(10):
                load.browsers[1].send()
                load.browsers[2].upload(b"meanwhile")
            load.check()
        finally:
            ended.set()
        assert load.ledger.wrong == []


@pytest.mark.parametrize(("size", "times"), [(60_000, 100), (16_000_000, 8)])
def test_json_of_strangers_takes_no_memory(crew: Crew, size: int, times: int) -> None:
    stranger = Browser(Ledger(), crew.port, "ada")
    body = b"[" + b'"x",' * (size // 4) + b"0]"

    def send(_: int) -> None:
        stranger.insist("POST", "/j/login", body, wanted=(400, 413))

    send(0)
    before = megabytes(crew)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(times)))
    assert megabytes(crew) - before < 40
    assert stranger.ledger.wrong == []


def test_streams_that_resume_take_what_they_send_and_no_more(crew: Crew) -> None:
    ada, lin = (Browser(Ledger(), crew.port, name).log_in() for name in ("ada", "lin"))
    lin.wait_for_contacts()
    page = Stream(ada)
    page.start()
    until(page.opened.is_set, "a stream")
    old = page.last_id
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: lin.send(LONG, to="ada"), range(300)))
    until(lambda: len(page.heard) == 300, "the messages")
    page.close()

    before = megabytes(crew)
    with ExitStack() as streams:
        for _ in range(50):
            streams.enter_context(stream(ada, f"Last-Event-ID: {old}"))
        time.sleep(1)
        assert megabytes(crew) - before < 60  # 50 times the messages would be 350
    assert ada.is_logged_in() and ada.ledger.wrong == []
