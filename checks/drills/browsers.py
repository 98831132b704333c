"""Three browser engines behind the few calls that a test of a page needs.

Each has one page and no cookies. evaluate() returns the value of an expression, or what its
promise resolves to; faults() returns the errors that the page hasn't caught.

Chromium is driven by Playwright. Firefox speaks WebDriver BiDi, which is JSON over a WebSocket.
WebKit speaks WebDriver, which is JSON over HTTP, and needs a display, which Xvfb provides.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from websocket import create_connection

from conftest import missing
from servers import free_port, process

PATIENCE = 60  # seconds; only a browser that hangs takes as long
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the standard gives to a reference


class Chromium:
    def __init__(self, browser: Browser) -> None:
        self.page = browser.new_page()
        self.heard: list[str] = []
        self.page.on("pageerror", lambda error: self.heard.append(str(error)))

    def open(self, url: str) -> None:
        self.page.goto(url)

    def back(self) -> None:
        self.page.go_back()

    def evaluate(self, js: str) -> Any:
        return self.page.evaluate(js)

    def click(self, selector: str) -> None:
        self.page.click(selector)

    def type(self, selector: str, text: str) -> None:
        self.page.type(selector, text)

    def cookies(self) -> dict[str, str]:
        return {cookie["name"]: cookie["value"] for cookie in self.page.context.cookies()}

    def faults(self) -> list[str]:
        self.evaluate("null")  # Playwright passes events on during calls only
        return self.heard


class Firefox:
    def __init__(self, port: int) -> None:
        url = f"ws://127.0.0.1:{port}/session"
        self.socket = create_connection(url, timeout=PATIENCE, suppress_origin=True)
        self.number, self.heard = 0, list[str]()
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded"])
        [tab] = self.ask("browsingContext.getTree")["contexts"]
        self.tab = tab["context"]

    def ask(self, method: str, **params: Any) -> Any:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                assert message["type"] == "success", message
                return message["result"]
            entry = message.get("params", {})
            if entry.get("type") == "javascript" and entry["level"] == "error":
                self.heard.append(entry["text"])

    def open(self, url: str) -> None:
        self.ask("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    def back(self) -> None:
        self.ask("browsingContext.traverseHistory", context=self.tab, delta=-1)

    def evaluate(self, js: str) -> Any:
        js = f"Promise.resolve({js}).then(value => JSON.stringify(value) ?? 'null')"
        target = {"context": self.tab}
        result = self.ask("script.evaluate", expression=js, target=target, awaitPromise=True)
        assert result["type"] == "success", result["exceptionDetails"]["text"]
        return json.loads(result["result"]["value"])

    def perform(self, kind: str, actions: list[dict[str, Any]]) -> None:
        source = {"type": kind, "id": kind, "actions": actions}
        self.ask("input.performActions", context=self.tab, actions=[source])

    def click(self, selector: str) -> None:
        element = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{element}.scrollIntoView({{ block: 'center' }})")
        locator = {"type": "css", "value": selector}
        found = self.ask("browsingContext.locateNodes", context=self.tab, locator=locator)
        node = {"sharedId": found["nodes"][0]["sharedId"]}
        origin = {"type": "element", "element": node}
        move = {"type": "pointerMove", "x": 0, "y": 0, "origin": origin}
        press = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        self.perform("pointer", [move, *press])

    def type(self, selector: str, text: str) -> None:
        self.click(selector)
        keys = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self.perform("key", keys)

    def cookies(self) -> dict[str, str]:
        cookies = self.ask("storage.getCookies")["cookies"]
        return {cookie["name"]: cookie["value"]["value"] for cookie in cookies}

    def faults(self) -> list[str]:
        self.evaluate("null")  # what has happened before it has been said before its result
        return self.heard


class WebKit:
    def __init__(self, port: int) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.session = ""
        self.session = "/" + self.ask("POST", "", capabilities={})["sessionId"]

    def ask(self, method: str, path: str, **body: Any) -> Any:
        text = json.dumps(body) if method == "POST" else None
        self.connection.request(method, f"/session{self.session}{path}", text)
        response = self.connection.getresponse()
        value = json.load(response)["value"]
        assert response.status == 200, value
        return value

    def open(self, url: str) -> None:
        self.ask("POST", "/url", url=url)
        self.faults()

    def back(self) -> None:
        self.ask("POST", "/back")
        self.faults()

    def evaluate(self, js: str) -> Any:
        return self.ask("POST", "/execute/sync", script=f"return {js}", args=[])

    def element(self, selector: str) -> str:
        found = self.ask("POST", "/element", using="css selector", value=selector)
        return f"/element/{found[ELEMENT]}"

    def click(self, selector: str) -> None:
        self.ask("POST", f"{self.element(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        self.ask("POST", f"{self.element(selector)}/value", text=text)

    def cookies(self) -> dict[str, str]:
        return {cookie["name"]: cookie["value"] for cookie in self.ask("GET", "/cookie")}

    def faults(self) -> list[str]:
        # Its driver doesn't pass the console on. So what fails while a page loads is lost.
        heard: list[str] = self.evaluate("""(() => {
            if (self.heard) return heard;
            addEventListener("error", ({ message }) => heard.push(message));
            addEventListener("unhandledrejection", ({ reason }) => heard.push(`${reason}`));
            return self.heard = [];
        })()""")
        return heard


Engine = Chromium | Firefox | WebKit


@contextmanager
def firefox(home: Path) -> Iterator[Firefox]:
    program = shutil.which("firefox-esr") or shutil.which("firefox") or missing("Firefox")
    # Typing scrolls as well, and a click would miss what still moves.
    (home / "user.js").write_text('user_pref("general.smoothScroll", false);\n')
    port = free_port()
    command = [program, "--headless", "--profile", str(home), "--remote-debugging-port", str(port)]
    with ExitStack() as running:
        env = os.environ | {"HOME": str(home)}
        running.enter_context(process(command, home, port, env=env))
        browser = Firefox(port)
        running.callback(browser.socket.close)
        yield browser


@contextmanager
def display() -> Iterator[str]:
    command = [shutil.which("Xvfb") or missing("Xvfb"), "-nolisten", "tcp", "-displayfd", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout
            yield f":{int(server.stdout.readline())}"
        finally:
            server.terminate()


@contextmanager
def webkit(home: Path) -> Iterator[WebKit]:
    driver = shutil.which("WebKitWebDriver") or missing("WebKitWebDriver")
    port = free_port()
    with ExitStack() as running:
        name = running.enter_context(display())
        env = os.environ | {"HOME": str(home), "DISPLAY": name, "GDK_BACKEND": "x11"}
        running.enter_context(process([driver, f"--port={port}"], home, port, env=env))
        browser = WebKit(port)
        running.callback(browser.ask, "DELETE", "")
        yield browser


@contextmanager
def started(request: pytest.FixtureRequest, home: Path) -> Iterator[Engine]:
    """Run the engine that a fixture's parameter names; a new profile of it is in *home*."""
    if request.param == "chromium":
        chromium = Chromium(request.getfixturevalue("browser"))
        yield chromium
        chromium.page.close()
    else:
        with (firefox if request.param == "firefox" else webkit)(home) as engine:
            yield engine


def until(true: Callable[[], Any]) -> Any:
    """Wait for something to become true; return it."""
    end = time.monotonic() + PATIENCE  # a page of the desk waits up to 30 s before it asks again
    while not (result := true()):
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.1)
    return result
