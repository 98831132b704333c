"""Three browser engines behind the few calls of Playwright's Page that a test of a page needs.

Each has one page and no cookies. Chromium is driven by Playwright itself. Firefox and WebKit
understand the commands of WebDriver: Firefox as JSON over a socket, which is called Marionette,
and WebKit as JSON over HTTP. WebKit needs a display, which Xvfb provides.
"""

import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest
from playwright.sync_api import Page

from conftest import missing
from servers import free_port, process

PATIENCE = 60  # seconds; only a browser that hangs takes as long
# Where WebKit has each command; {id} is that of an element.
PATHS = {
    "NewSession": "",
    "Navigate": "/url",
    "Back": "/back",
    "ExecuteScript": "/execute/sync",
    "FindElement": "/element",
    "ElementClick": "/element/{id}/click",
    "ElementSendKeys": "/element/{id}/value",
}
# Typing scrolls as well, and a click would miss what still moves.
PREFERENCES = """
user_pref("marionette.port", {port});
user_pref("browser.dom.window.dump.enabled", true); // what the page hasn't caught is in the log
user_pref("general.smoothScroll", false);
"""
LISTEN = """
if (self.heard) return heard;
addEventListener("error", ({ message }) => heard.push(message));
addEventListener("unhandledrejection", ({ reason }) => heard.push(`${reason}`));
return self.heard = [];
"""


class Driven:
    """A page that is told by *ask*, given a command of WebDriver and its parameters."""

    def __init__(self, ask: Callable[..., Any], log: Path | None = None) -> None:
        self.ask, self.log = ask, log

    def goto(self, url: str) -> None:
        self.ask("Navigate", url=url)
        self.page_errors()

    def go_back(self) -> None:
        self.ask("Back")
        self.page_errors()

    def evaluate(self, js: str) -> Any:
        """Return the value of an expression, or what its promise resolves to."""
        return self.ask("ExecuteScript", script=f"return {js}", args=[])

    def element(self, selector: str) -> str:
        [id] = self.ask("FindElement", using="css selector", value=selector).values()
        return str(id)

    def click(self, selector: str) -> None:
        self.ask("ElementClick", id=self.element(selector))

    def type(self, selector: str, text: str) -> None:
        self.ask("ElementSendKeys", id=self.element(selector), text=text)

    def page_errors(self) -> list[str]:
        """Return what the page hasn't caught; without a log, not what failed while it loaded."""
        if self.log:
            return re.findall("^JavaScript error: (http.*)", self.log.read_text(), re.MULTILINE)
        heard: list[str] = self.ask("ExecuteScript", script=LISTEN, args=[])
        return heard


Engine = Page | Driven


@contextmanager
def firefox(home: Path) -> Iterator[Driven]:
    program = shutil.which("firefox-esr") or shutil.which("firefox") or missing("Firefox")
    port = free_port()
    (home / "user.js").write_text(PREFERENCES.format(port=port))
    command = [program, "--headless", "--marionette", "--profile", str(home)]
    env = os.environ | {"HOME": str(home)}
    with (
        (home / "log").open("wb") as log,
        process(command, home, port, env=env, stdout=log, stderr=log),
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
        connection.makefile("rwb") as file,
    ):

        def read() -> Any:
            """Return a message, which begins with its length and a colon."""
            length = b"".join(iter(lambda: file.read(1), b":"))
            return json.loads(file.read(int(length)))

        def ask(command: str, **parameters: Any) -> Any:
            message = json.dumps([0, 0, f"WebDriver:{command}", parameters]).encode()
            file.write(b"%d:%b" % (len(message), message))
            file.flush()
            _, _, error, result = read()
            assert not error, error
            return result.get("value")

        read()  # it introduces itself
        ask("NewSession")
        yield Driven(ask, home / "log")


@contextmanager
def webkit(home: Path) -> Iterator[Driven]:
    driver = shutil.which("WebKitWebDriver") or missing("WebKitWebDriver")
    xvfb = [shutil.which("Xvfb") or missing("Xvfb"), "-nolisten", "tcp", "-displayfd", "1"]
    port, session = free_port(), ""
    with ExitStack() as running:
        display = running.enter_context(process(xvfb, home, stdout=PIPE, stderr=DEVNULL))
        number = int(display.stdout.readline()) if display.stdout else 0
        env = os.environ | {"HOME": str(home), "DISPLAY": f":{number}", "GDK_BACKEND": "x11"}
        running.enter_context(process([driver, f"--port={port}"], home, port, env=env))
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        running.callback(connection.close)

        def ask(command: str, **parameters: Any) -> Any:
            path = session + PATHS[command].format(**parameters)
            connection.request("POST", f"/session{path}", json.dumps(parameters))
            response = connection.getresponse()
            value = json.load(response)["value"]
            assert response.status == 200, value
            return value

        session = "/" + ask("NewSession", capabilities={})["sessionId"]
        yield Driven(ask)


@contextmanager
def started(request: pytest.FixtureRequest, home: Path) -> Iterator[Engine]:
    """Run the engine that a fixture's parameter names; a new profile of it is in *home*."""
    if request.param == "chromium":
        yield request.getfixturevalue("page")
    else:
        with (firefox if request.param == "firefox" else webkit)(home) as engine:
            yield engine


def faults(engine: Engine) -> list[str]:
    """Return the errors that the page hasn't caught."""
    if isinstance(engine, Page):
        return [str(error) for error in engine.page_errors(filter="all")]
    return engine.page_errors()
