"""Chapter 06: what it costs to look at the current bot, once and ten times in one request.

Only the looking is timed, not the request around it. The first look opens the bot, which is no
work here. The article's version opens one for the first request and then never again, which is its
fault and makes it fast.
"""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from flask import Flask, g, session

import calls
import scripts

scripts.use_chapter("06_login_context/steps/1_current_bot")  # its context.py is the chapter's

Look = Callable[[], str]


def open_bot(login_id: str | None) -> Any:
    return SimpleNamespace(self={"name": "Ada Lovelace", "login": login_id})


def bare() -> Flask:
    app = Flask("bench")
    app.secret_key = "bench"
    return app


def with_g() -> tuple[Flask, Look]:
    def get_bot() -> Any:
        if "bot" not in g:
            g.bot = open_bot(session.get("login"))
        return g.bot

    return bare(), lambda: str(get_bot().self["name"])


def with_session() -> tuple[Flask, Look]:
    def get_bot() -> Any:
        login_id = session.get("login")
        if "bot" not in g or g.login_id != login_id:
            g.bot, g.login_id = open_bot(login_id), login_id
        return g.bot

    return bare(), lambda: str(get_bot().self["name"])


def technique() -> tuple[Flask, Look]:
    import context  # type: ignore[import-not-found]

    app, current_bot = bare(), context.current_bot
    context.init_app(app, open_bot)
    return app, lambda: str(current_bot.self["name"])


def article() -> tuple[Flask, Look]:
    import article  # type: ignore[import-not-found]

    app: Flask = article.create_app({"BOT_CLASS": "wx.DemoBot", "SECRET_KEY": "bench"})
    return app, lambda: str(article.current_bot.self["name"])


ROWS = {
    "g": with_g,
    "g, compared with the session": with_session,
    "current_bot": technique,
    "article": article,
}


def prepare(row: str) -> calls.Timers:
    app, look = ROWS[row]()

    def timer(lookups: int) -> Callable[[], float]:
        return lambda: sum(seconds(app, look, lookups) for _ in range(calls.LOOPS)) / calls.LOOPS

    return {"one lookup": timer(1), "ten lookups": timer(10)}


def seconds(app: Flask, look: Look, lookups: int) -> float:
    """Return how long it takes to look *lookups* times in one request."""
    with app.test_request_context():
        session["login"] = "ada"
        start = time.perf_counter()
        for _ in range(lookups):
            name = look()
        took = time.perf_counter() - start
    assert name == "Ada Lovelace"
    return took


if __name__ == "__main__":
    scripts.main(lambda _: calls.measure(prepare, list(ROWS)))
