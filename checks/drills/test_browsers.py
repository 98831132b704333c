"""Chapter 06's page in three browser engines: the same story in each."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from browsers import Engine, faults, started
from desk import Desk
from ledger import Browser, Ledger
from report import FULL
from servers import until

pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(
        not FULL, reason="Firefox and WebKit are for FULL=1; test_desk.py has Chromium"
    ),
]
LOGIN = "document.querySelector('#login').dataset.state"
GREETING = "document.querySelector('#greeting').textContent"
CONNECTION = "document.querySelector('#connection').textContent"
MESSAGES = "document.querySelector('#messages').innerText"
NAMES = "[...document.querySelectorAll('#list li')].map(item => item.innerText.trim())"
ADA, OMAR = "Hello, Ada Lovelace", "Hello, عمر الخيام"
STATUS = "fetch('/j/me').then(response => response.status)"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk(tmp_path_factory.mktemp("browsers") / "06", WEB_CONCURRENCY="2") as desk:
        yield desk


@pytest.fixture(params=["chromium", "firefox", "webkit"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with started(request, tmp_path) as engine:
        yield engine


@contextmanager
def proxy_without_server(port: int) -> Iterator[list[str]]:
    """Refuse what is asked on *port*, as a proxy does whose server is down; yield all paths."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(502)

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", port), Proxy) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def log_in(engine: Engine, phone: Browser, greeting: str) -> None:
    """Log in, as the account of the phone that confirms the code."""
    until(lambda: engine.evaluate(LOGIN) == "pending")
    until(lambda: engine.evaluate("document.querySelector('#qr').naturalWidth"))
    link = engine.evaluate("document.querySelector('#scan').href")
    phone.confirm(link.rpartition("/")[2])
    until(lambda: engine.evaluate(GREETING) == greeting)
    until(lambda: engine.evaluate(NAMES))


def write_to_each_other(engine: Engine, lin: Browser, when: str) -> None:
    """Let ada, who uses the page with mouse and keyboard, hear from lin, and the other way."""
    lin.send(f"to the page {when}", to="ada")
    until(lambda: f"to the page {when}" in engine.evaluate(MESSAGES))
    number = [name.endswith("林徽因") for name in engine.evaluate(NAMES)].index(True) + 1
    box = f"#list li:nth-child({number}) input"
    if not engine.evaluate(f"document.querySelector('{box}').checked"):
        engine.click(box)
    engine.type("#text", f"from the page {when}")
    engine.click("#compose button.primary")
    until(lambda: f"from the page {when}" in [message["text"] for message in lin.read()])


def test_an_error_that_the_page_does_not_catch_is_heard(engine: Engine, desk: Desk) -> None:
    engine.goto(desk.url)
    assert faults(engine) == []
    engine.evaluate("void setTimeout(() => { throw new Error('thrown') })")
    engine.evaluate("void Promise.reject(new Error('rejected'))")
    until(lambda: all(word in str(faults(engine)) for word in ("thrown", "rejected")))


def test_the_page_goes_through_login_events_an_outage_and_logout(
    engine: Engine, desk: Desk
) -> None:
    ada, lin, omar = (Browser(Ledger(), desk.port, name) for name in ("ada", "lin", "omar"))
    lin.log_in().wait_for_contacts()
    engine.goto(desk.url)
    log_in(engine, ada, ADA)
    write_to_each_other(engine, lin, "after the login 你好")

    assert faults(engine) == []  # a reload loses what WebKit has heard
    engine.goto(desk.url)
    until(lambda: engine.evaluate(NAMES))
    write_to_each_other(engine, lin, "after a reload")

    # Firefox and WebKit bring the page back as it was, so it doesn't start anew.
    engine.goto(f"{desk.url}/static/app.css")
    lin.send("while the page is away", to="ada")
    engine.go_back()
    until(lambda: engine.evaluate(NAMES))
    until(lambda: "while the page is away" in engine.evaluate(MESSAGES))
    write_to_each_other(engine, lin, "after it has come back")

    desk.stop()
    until(lambda: engine.evaluate(CONNECTION))
    with proxy_without_server(desk.port) as asked:
        until(lambda: {"/j/login", "/stream"} <= set(asked))
        time.sleep(3)
        assert len(asked) < 20, asked  # a page that doesn't wait asks thousands of times
        assert engine.evaluate(CONNECTION)
    desk.start()
    until(lambda: not engine.evaluate(CONNECTION))
    assert engine.evaluate(GREETING) == ADA
    write_to_each_other(engine, lin, "after the outage")

    engine.click("#logout")
    until(lambda: engine.evaluate(LOGIN) == "out")
    assert engine.evaluate(STATUS) == 401
    engine.click("#new-code")
    log_in(engine, omar, OMAR)
    lin.send("to another account", to="omar")
    until(lambda: "to another account" in engine.evaluate(MESSAGES))
    assert "after the outage" not in engine.evaluate(MESSAGES)
    assert faults(engine) == []
