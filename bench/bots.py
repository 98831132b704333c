"""How many bots do 40 requests open, and how many find somebody else's?

The article keeps a bot in a context-local for good, chapter 06 for one request. Both are asked
under each kind of server: on 40 connections of their own, four at a time, and then on one
connection. Every request is another user's.
"""

import itertools
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from subprocess import DEVNULL
from typing import Any

from flask import Flask, request, session
from werkzeug.local import LocalProxy, LocalStack

from scripts import HERE, Table, use_chapter
from servers import free_port, process  # type: ignore[import-not-found]

USERS = range(40)
GUNICORN = (
    "-m gunicorn bots:{version}() --bind 127.0.0.1:{port} --no-control-socket"
    " --graceful-timeout 1 --keep-alive 5 --worker-class "
)
FLASK = "-m flask --app bots:{version} run --port {port}"
SERVERS = {
    "gunicorn, sync": f"{GUNICORN} sync",
    "gunicorn, gthread, 4 threads": f"{GUNICORN} gthread --threads 4",
    "gunicorn, gevent": f"{GUNICORN} gevent",
    "flask run": FLASK,
    "flask run --without-threads": f"{FLASK} --without-threads",
}


class Bot:
    """Somebody's account. Each has a number, so that they can be counted."""

    numbers = itertools.count(1)

    def __init__(self, user: str | None) -> None:
        self.user, self.number = user, next(self.numbers)


def app_with(current_bot: Any) -> Flask:
    app = Flask("bots")
    app.secret_key = "bench"

    @app.get("/")
    def who() -> dict[str, object]:
        return {"user": current_bot.user, "number": current_bot.number}

    return app


def article() -> Flask:
    """The article's current_bot: pushed if there is none, never popped."""
    stack: LocalStack[Bot] = LocalStack()

    def find_bot() -> Bot:
        if stack.top is None:
            stack.push(Bot(request.args["user"]))
        return stack.top  # type: ignore[return-value]

    return app_with(LocalProxy(find_bot))


def chapter() -> Flask:
    """Chapter 06's current_bot, given how to open one."""
    use_chapter("06_login_context/steps/1_current_bot")  # its context.py is the chapter's
    import context  # type: ignore[import-not-found]

    app = app_with(context.current_bot)
    context.init_app(app, Bot)

    @app.before_request
    def log_in() -> None:
        session["login"] = request.args["user"]

    return app


def ask(server: str, version: str) -> tuple[int, int, int]:
    """Return bots opened and foreign ones met on connections of their own; those met on one."""
    port = free_port()

    def connect() -> closing[HTTPConnection]:
        return closing(HTTPConnection("127.0.0.1", port, timeout=30))

    def bot_of(user: int, connection: HTTPConnection) -> tuple[int, bool]:
        connection.request("GET", f"/?user={user}")
        answer = json.loads(connection.getresponse().read())
        return answer["number"], answer["user"] != str(user)

    def alone(user: int) -> tuple[int, bool]:
        with connect() as connection:
            return bot_of(user, connection)

    command = [sys.executable, *server.format(port=port, version=version).split()]
    running = process(command, HERE, port, stdout=DEVNULL, stderr=DEVNULL)
    with running, ThreadPoolExecutor(4) as pool, connect() as connection:
        own = list(pool.map(alone, USERS))
        one = [bot_of(user, connection) for user in USERS]
    opened = len({number for number, _ in own})
    return opened, sum(wrong for _, wrong in own), sum(wrong for _, wrong in one)


def measure() -> Table:
    table: Table = {}
    for name, server in SERVERS.items():
        table[name] = {}
        for title, version in {"article": "article", "chapter 06": "chapter"}.items():
            opened, wrong, wrong_on_one = ask(server, version)
            table[name] |= {
                f"{title}: bots opened": opened,
                f"{title}: wrong bot, own connections": wrong,
                f"{title}: wrong bot, one connection": wrong_on_one,
            }
    return table
