# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1 and Werkzeug 3.1, or later.
"""`current_bot`: the account of the current login, as close at hand as `request`.

In a request it's the account of the session. A block of `bot_context` has the account of another
login, or of any login where there is no request: in a task, a command, a test. "Bot" is a word to
replace: ``open_bot`` may return any object, such as a user or a tenant.

A new thread is in no block. ``contextvars.copy_context().run`` takes the block along into it, and
``flask.copy_current_request_context`` takes the request along, with the account of its session.
See https://docs.python.org/3/library/contextvars.html.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from flask import Flask, current_app, g, request, session
from werkzeug.local import LocalProxy


class Block(NamedTuple):
    """A block of `bot_context`, and the request in which it was opened (None: in none)."""

    bot: Any
    request: Any


_blocks: ContextVar[tuple[Block, ...]] = ContextVar("blocks", default=())


def _current_request() -> Any:
    return request._get_current_object() if request else None  # type: ignore[attr-defined]


def _find_bot() -> Any:
    here = _current_request()
    for block in reversed(_blocks.get()):
        # Ignore a block that was opened elsewhere, for example around a test's client.get().
        if block.request is here:
            return block.bot

    open_bot, session_key = current_app.extensions["current_bot"]
    if here is None:
        return open_bot(None)  # neither block nor request: this raises

    # The session may get another login during the request. And up to Flask 3.1, requests that are
    # sent inside one app context share its g.
    asked_for = here, session.get(session_key)
    if g.get("current_bot_of") != asked_for:
        g.current_bot = open_bot(session.get(session_key))
        g.current_bot_of = asked_for
    return g.current_bot


current_bot: Any = LocalProxy(_find_bot)


@contextmanager
def bot_context(login_id: Any) -> Iterator[Any]:
    """Make `current_bot` the account of *login_id*; raises what ``open_bot`` raises."""
    open_bot, _ = current_app.extensions["current_bot"]
    block = Block(open_bot(login_id), _current_request())
    _blocks.set((*_blocks.get(), block))
    try:
        yield block.bot
    finally:
        # Not reset(token): if two generators take turns, the last block isn't always ours.
        _blocks.set(tuple(other for other in _blocks.get() if other is not block))


def init_app(app: Flask, open_bot: Callable[[Any], Any], session_key: str = "login") -> None:
    """Let `current_bot` be what *open_bot* returns for ``session[session_key]``.

    *open_bot* is called once per request and login. It gets None where there is no login, and has
    to raise what the client is to get then.
    """
    app.extensions["current_bot"] = open_bot, session_key
