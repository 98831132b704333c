"""`current_bot`: the chat account of the current login, as close at hand as `request`.

A request's bot is the one of its session. The block of `bot_context` has the bot of another login,
or of any login where there is no request: in a task, a command, a test. See
https://werkzeug.palletsprojects.com/local/.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from flask import Flask, current_app, request, session
from werkzeug.local import LocalProxy, LocalStack

from wx import Bot

KEY = "desk.bot"  # in the environ of a request


class Block(NamedTuple):
    """A block of `bot_context`, and the request that it is in (None: it is in no request)."""

    bot: Bot
    environ: dict[str, Any] | None


_blocks: LocalStack[Block] = LocalStack()


def _open(login_id: str | None) -> Bot:
    bot: Bot = current_app.extensions["open_bot"](login_id)
    return bot


def _current_environ() -> dict[str, Any] | None:
    return request.environ if request else None


def _find_bot() -> Bot:
    environ = _current_environ()
    block = _blocks.top
    # Ignore a block that was opened outside this request, for example around a test's client.get().
    if block is not None and block.environ is environ:
        return block.bot
    if environ is None:
        return _open(None)  # neither block nor request: open_bot raises

    # The bot is kept with the request and nowhere else, so the next request can't find it.
    if KEY not in environ:
        environ[KEY] = _open(session.get("login"))
    bot: Bot = environ[KEY]
    return bot


current_bot: Bot = LocalProxy(_find_bot)  # type: ignore[assignment]


@contextmanager
def bot_context(login_id: str | None) -> Iterator[Bot]:
    """Make `current_bot` the bot of *login_id*; raises what ``open_bot`` raises."""
    bot = _open(login_id)
    _blocks.push(Block(bot, _current_environ()))
    try:
        yield bot
    finally:
        _blocks.pop()


def init_app(app: Flask, open_bot: Callable[[str | None], Bot]) -> None:
    """Let `current_bot` be what *open_bot* returns for ``session["login"]``, once per request.

    *open_bot* gets None where there is no login, and raises what the client is to get then.
    """
    app.extensions["open_bot"] = open_bot
