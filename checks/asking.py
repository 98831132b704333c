"""Send requests to an app that a technique has been copied into, and look at the answers.

What is sent and what has to come of it are lines of text, see `Client.follow`.
"""

import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from io import BytesIO
from typing import Any

from flask import json
from werkzeug.datastructures import Headers
from werkzeug.test import Client as TestClient
from werkzeug.test import EnvironBuilder

from wiring import Copy

# Each process that serves an app is forked from one that has imported these.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    """test_neighbours apiflask asgiref.sync flask_cors flask_login flask_restful flask_restx
    flask_smorest flask_wtf sentry_sdk sentry_sdk.integrations.flask""".split()
)


@dataclass
class Answer:
    """A response: its status, headers and body."""

    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status}\n{self.headers}{self.body.decode(errors='replace')}"

    def lacks(self, expected: str) -> list[str]:
        """Return which of the *expected* parts, with `` | `` between them, aren't there.

        A part is a status, an object of JSON that the body is, or a text, in which spaces don't
        count; one with ``!`` before it must not be there.
        """

        def dense(text: str) -> str:
            return text.replace(" ", "")

        def is_there(part: str) -> bool:
            if part.isdigit():
                return self.status == int(part)
            if part.startswith("{") and part.endswith("}"):
                return bool(self.json == json.loads(part))
            unwanted = part.startswith("!")
            return (dense(part.removeprefix("!")) in dense(str(self))) != unwanted

        return [part for part in expected.split(" | ") if not is_there(part)]


def request_of(line: str) -> tuple[str, str, dict[str, Any]]:
    """Return method, path and arguments of a request, such as ``POST /x | {} | Origin: http://y``.

    What comes behind the path is JSON, a header, a field of a form, or ``file`` for an upload of 7
    bytes (``file 100``: of 100), ``nested`` or ``broken`` for such JSON.
    """
    target, *options = line.split(" | ")
    method, path = target.split(" ")
    headers: dict[str, str] = {}
    form: dict[str, Any] = {}
    arguments: dict[str, Any] = {"headers": headers}
    for option in options:
        kind, _, size = option.partition(" ")
        if option[0] == "{" or option in ("nested", "broken"):
            arguments["data"] = {"nested": "[" * 100_000, "broken": "{"}.get(option, option)
            headers["Content-Type"] = "application/json"
        elif kind == "file":
            form["file"] = (BytesIO(b"x" * int(size or 7)), "a.png")
        elif ": " in option:
            name, _, headers[name] = option.partition(": ")
        else:
            name, _, form[name] = option.partition("=")
    if form:
        arguments["data"] = form
    return method, path, arguments


class Client:
    """Sends requests to a copy that is served; with cookies, if it's in a process of its own."""

    def __init__(self, copy: Copy) -> None:
        self.neighbour = copy.neighbour
        self.mount = copy.neighbour.mount
        self.folder = copy.folder
        self.always: dict[str, str] = {}
        self.seen = {"<token>": "", "<location>": ""}

    def send(self, method: str, path: str, arguments: dict[str, Any]) -> Answer:
        """Send a request; the arguments are those of Werkzeug's client."""
        raise NotImplementedError

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the neighbour's module; ``app`` is the app."""
        raise NotImplementedError

    def open(self, method: str, path: str, headers: Any = None, **arguments: Any) -> Answer:
        """Send a request to a path of the app, below its mount, or to a whole URL."""
        if path.startswith("http"):
            scheme, _, host, path = path.split("/", 3)
            path, arguments["base_url"] = f"/{path}", f"{scheme}//{host}"
        elif not path.startswith(f"{self.mount}/"):  # as links have it
            path = self.mount + path
        arguments["headers"] = self.always | (headers or {})
        return self.send(method, path, arguments)

    def ask(self, line: str) -> Answer:
        """Send the request of a line; what has been seen before is filled in."""
        for name, value in self.seen.items():
            line = line.replace(name, value)
        method, path, arguments = request_of(line)
        answer = self.open(method, path, **arguments)
        if path.endswith("/token"):
            self.seen["<token>"] = answer.body.decode()
        self.seen["<location>"] = answer.headers.get("Location", "")
        return answer

    def follow(self, line: str) -> None:
        """Do what a line says. AssertionError: something else comes of it.

        ``GET /x -> 404 | text`` asks, and says what the answer has. ``>>> a == b`` asks for the
        value of an expression, which is True or None. ``always | Name: value`` is for a header of
        each request from then on.
        """
        if line.startswith(">>> "):
            value = self.value(line.removeprefix(">>> "))
            assert value in (True, None), f"{line}: {value}"
        elif line.startswith("always | "):
            name, _, value = line.removeprefix("always | ").partition(": ")
            self.always[name] = value.replace("<token>", self.seen["<token>"])
        else:
            request, _, expected = line.replace("<mount>", self.mount).partition(" -> ")
            answer = self.ask(request)
            lacks = answer.lacks(expected) if expected else []
            assert not lacks, f"{request}: {lacks} isn't so: {answer}"


class Inside(Client):
    """A client in the process that imports the app; it can have only one in its life."""

    def __init__(self, copy: Copy) -> None:
        super().__init__(copy)
        os.chdir(copy.folder)
        os.dup2(os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), sys.stderr.fileno())
        sys.path.insert(0, str(copy.folder))
        module = importlib.import_module(copy.neighbour.module)
        app = module.create_app() if hasattr(module, "create_app") else module.app
        self.scope = {"app": app, **vars(module)}
        self.client = TestClient(getattr(module, "application", app))

    def send(self, method: str, path: str, arguments: dict[str, Any]) -> Answer:
        with self.client.open(path, method=method, **arguments) as response:
            return Answer(response.status_code, response.headers, response.get_data())

    def value(self, expression: str) -> Any:
        return eval(expression, self.scope)


Run = Callable[..., Any]  # given a copy, a function and its arguments


@contextmanager
def processes() -> Iterator[Run]:
    """Yield a function that calls a function with a client of a copy, in a process of its own.

    It returns what that returns, and raises what that raises.
    """
    with FORKS.Pool(2, maxtasksperchild=1) as pool:
        yield lambda *task: pool.apply_async(call_inside, task).get(timeout=60)


def call_inside(copy: Copy, function: Callable[..., Any], *arguments: Any) -> Any:
    return function(Inside(copy), *arguments)


class Real(Client):
    """A client of an app behind a real server."""

    def __init__(self, copy: Copy, port: int) -> None:
        super().__init__(copy)
        self.port = port

    def send(self, method: str, path: str, arguments: dict[str, Any]) -> Answer:
        request = EnvironBuilder(path, method=method, **arguments).get_request()
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, request.get_data(), dict(request.headers))
            response = connection.getresponse()
            return Answer(response.status, Headers(response.getheaders()), response.read())
