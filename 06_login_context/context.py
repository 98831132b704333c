"""`current_bot`: the chat account of whoever asks, as near at hand as `request`.

It holds for one request, or for the block of `bot_context`. See
https://werkzeug.palletsprojects.com/local/.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, current_app, request, session
from werkzeug.local import LocalProxy, LocalStack

from wx import Bot

# Each bot with the request that it was opened for; None is a task, a command, a test.
_bots: LocalStack[tuple[object, Bot]] = LocalStack()


def _owner() -> object:
    return request.environ if request else None


def _open(login_id: str | None) -> Bot:
    bot: Bot = current_app.extensions["open_bot"](login_id)
    return bot


def _find_bot() -> Bot:
    top, owner = _bots.top, _owner()
    # A request may run inside somebody's app context or bot_context: that bot is not its own.
    if top is None or top[0] is not owner:
        top = owner, _open(session.get("login") if owner else None)
        _bots.push(top)
    return top[1]


current_bot: Bot = LocalProxy(_find_bot)  # type: ignore[assignment]


@contextmanager
def bot_context(login_id: str | None) -> Iterator[Bot]:
    """Make `current_bot` the bot of *login_id*; raises what ``open_bot`` raises."""
    entry = _owner(), _open(login_id)
    _bots.push(entry)
    try:
        yield entry[1]
    finally:
        while (top := _bots.pop()) is not None and top is not entry:
            pass  # of a request that somebody left open inside


def _forget(error: Any = None) -> None:
    while _bots.top and _bots.top[0] is _owner():
        _bots.pop()


def init_app(app: Flask, open_bot: Callable[[str | None], Bot]) -> None:
    """Let `current_bot` be what *open_bot* returns for ``session["login"]``, once per request.

    *open_bot* gets None where there is no login, and raises what the client is to get then.
    """
    app.extensions["open_bot"] = open_bot
    app.teardown_request(_forget)  # or the next request on this thread has the bot
