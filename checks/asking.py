"""Send requests to an app that a technique has been copied into, and look at the answers.

What is sent and what has to come of it are lines of text, see `Client.follow`.
"""

import importlib
import os
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import json
from werkzeug import Response
from werkzeug.middleware.http_proxy import ProxyMiddleware
from werkzeug.test import Client as TestClient

from wiring import Neighbour

BODIES = {"nested": "[" * 100_000, "broken": "{"}  # of JSON that can't be read


def text(answer: Response) -> str:
    return f"{answer.status_code}\n{answer.headers}{answer.get_data(as_text=True)}"


def lacks(answer: Response, expected: str) -> list[str]:
    """Return which of the *expected* parts, with `` | `` between them, an answer doesn't have.

    A part is a status, an object of JSON that the body is, or a text, in which spaces don't count;
    one with ``!`` before it must not be there.
    """

    def is_there(part: str) -> bool:
        if part.isdigit():
            return answer.status_code == int(part)
        if part.startswith("{") and part.endswith("}"):
            return bool(answer.json == json.loads(part))
        wanted = part.removeprefix("!").replace(" ", "")
        return (wanted in text(answer).replace(" ", "")) != part.startswith("!")

    return [part for part in expected.split(" | ") if not is_there(part)]


def arguments_of(options: list[str]) -> dict[str, Any]:
    """Return the arguments for Werkzeug's client that stand for what is sent with a request.

    That's JSON, one of BODIES, a header, a field of a form, or ``file`` for an upload of 7 bytes
    (``file 100``: of 100).
    """
    headers: dict[str, str] = {}
    form: dict[str, Any] = {}
    body = ""
    for option in options:
        if option.startswith("{") or option in BODIES:
            body = BODIES.get(option, option)
            headers["Content-Type"] = "application/json"
        elif option.startswith("file"):
            form["file"] = (BytesIO(b"x" * int(option[5:] or 7)), "a.png")
        elif ": " in option:
            name, value = option.split(": ", 1)
            headers[name] = value
        else:
            name, value = option.split("=", 1)
            form[name] = value
    return {"headers": headers, "data": body or form}


class Client:
    """Sends requests to a copy of a neighbour; *names* are those of its module, if it's known."""

    def __init__(self, neighbour: Neighbour, application: Any, names: dict[str, Any]) -> None:
        self.neighbour = neighbour
        self.names = names
        self.client = TestClient(application)
        self.always: dict[str, str] = {}
        self.seen = {"<token>": "", "<location>": ""}

    def open(self, method: str, path: str, headers: Any = None, **arguments: Any) -> Response:
        """Send a request to a path of the app, below its mount, or to a whole URL."""
        if path.startswith("http"):
            url = urlsplit(path)
            path, arguments["base_url"] = url.path, f"{url.scheme}://{url.netloc}"
        elif not path.startswith(f"{self.neighbour.mount}/"):  # as links have it
            path = self.neighbour.mount + path
        headers = self.always | (headers or {})
        with self.client.open(path, method=method, headers=headers, **arguments) as answer:
            # What can leave the process.
            return Response([answer.get_data()], answer.status, answer.headers)

    def ask(self, line: str) -> Response:
        """Send the request of a line; what has been seen before is filled in."""
        for name, value in self.seen.items():
            line = line.replace(name, value)
        target, *options = line.split(" | ")
        answer = self.open(*target.split(" "), **arguments_of(options))
        if target.endswith("/token"):
            self.seen["<token>"] = answer.get_data(as_text=True)
        self.seen["<location>"] = answer.headers.get("Location", "")
        return answer

    def follow(self, line: str) -> None:
        """Do what a line says. AssertionError: something else comes of it.

        ``GET /x -> 404 | text`` asks, and says what the answer has. ``>>> a == b`` asks for the
        value of an expression, which is True or None. ``always | Name: value`` is for a header of
        each request from then on.
        """
        if line.startswith(">>> "):
            value = eval(line.removeprefix(">>> "), self.names)
            assert value in (True, None), f"{line}: {value}"
        elif line.startswith("always | "):
            name, _, value = line.removeprefix("always | ").partition(": ")
            self.always[name] = value.replace("<token>", self.seen["<token>"])
        else:
            line = line.replace("<mount>", self.neighbour.mount)
            request, _, expected = line.partition(" -> ")
            answer = self.ask(request)
            missing = lacks(answer, expected) if expected else []
            assert not missing, f"{request}: {missing} isn't so: {text(answer)}"


def inside(
    folder: Path, neighbour: Neighbour, function: Callable[..., Any], *arguments: Any
) -> Any:
    """Call *function* with a client of the copy in *folder*, which this process can import once."""
    os.chdir(folder)
    os.dup2(os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), sys.stderr.fileno())
    sys.path.insert(0, str(folder))
    names = vars(importlib.import_module(neighbour.module))
    application = eval(neighbour.application, names)
    return function(Client(neighbour, application, {"app": application} | names), *arguments)


def behind_server(neighbour: Neighbour, port: int) -> Client:
    """Return a client of a copy that a real server serves."""
    proxy = ProxyMiddleware(lambda *_: [], {"/": {"target": f"http://127.0.0.1:{port}"}})

    def forward(environ: dict[str, Any], start_response: Any) -> Any:
        [options] = proxy.targets.values()
        return proxy.proxy_to(options, environ["PATH_INFO"], "")(environ, start_response)

    return Client(neighbour, forward, {})
