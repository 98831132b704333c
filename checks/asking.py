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

NESTED = "[" * 100_000  # JSON that can't be read
FILES = {  # to upload
    "file": (b"a picture", "a.png"),
    "page": (b"<script>alert(1)</script>", "a.html"),
    "large file": (b"x" * 100_000, "a.png"),
}


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

    That's JSON or ``nested`` such, one of FILES, a header, or a field of a form.
    """
    headers: dict[str, str] = {}
    form: dict[str, Any] = {}
    body = ""
    for option in options:
        if option.startswith("{") or option == "nested":
            body = option.replace("nested", NESTED)
            headers["Content-Type"] = "application/json"
        elif option in FILES:
            content, name = FILES[option]
            form["file"] = (BytesIO(content), name)
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
        self.seen = {"<mount>": neighbour.mount, "<no upload>": f"/uploads/{'0' * 64}.png"}

    def fill_in(self, line: str) -> str:
        """Return a line with what has been seen before, such as ``<location>``."""
        for name, value in self.seen.items():
            line = line.replace(name, value)
        return line

    def ask(self, line: str) -> Response:
        """Send the request of a line, to a path of the app, below its mount, or to a whole URL."""
        target, *options = self.fill_in(line).split(" | ")
        method, path = target.split(" ")
        arguments = arguments_of(options)
        arguments["headers"] |= self.always
        if path.startswith("http"):
            url = urlsplit(path)
            path, arguments["base_url"] = url.path, f"{url.scheme}://{url.netloc}"
        elif not path.startswith(f"{self.neighbour.mount}/"):  # as links have it
            path = self.neighbour.mount + path
        with self.client.open(path, method=method, **arguments) as sent:
            # Without what can't leave the process.
            answer = Response([sent.get_data()], sent.status, sent.headers)
        if path.endswith("/token"):
            self.seen["<token>"] = answer.get_data(as_text=True)
        if path.endswith("/nope"):
            self.seen["<type of errors>"] = answer.headers["Content-Type"]
        for name in ("Location", "ETag"):
            if name in answer.headers:
                self.seen[f"<{name.lower()}>"] = answer.headers[name]
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
            self.always = arguments_of([self.fill_in(line).partition(" | ")[2]])["headers"]
        else:
            request, _, expected = line.partition(" -> ")
            answer = self.ask(request)
            missing = lacks(answer, self.fill_in(expected)) if expected else []
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
