"""The page at /, and the requests that its buttons send."""

import os
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Flask, abort, current_app, redirect, render_template, request, session, url_for
from werkzeug import Response

import events
import logins
from context import current_bot
from logins import redis
from wx import ACCOUNTS, Message


def addresses() -> dict[str, str]:
    """Return where each version is, by the name of its module: on two ports of this host."""
    ports = {
        "app": os.environ.get("PORT") or "8106",
        "article": os.environ.get("ARTICLE_PORT") or "8206",
    }
    host = request.host.rsplit(":", 1)[0]
    return {version: f"http://{host}:{port}/" for version, port in ports.items()}


def choose_account() -> None:
    """Be the account that the URL names with ``as``: this page has two of them side by side."""
    session["login"] = session.get(request.args.get("as", ""))
    session.modified = False  # the cookie stays as it is


def die(*_: Any, **__: Any) -> None:
    """Stand in for ``sse.publish``: what an accident at this very moment leaves behind."""
    os.kill(os.getpid(), signal.SIGKILL)


def init_app(
    app: Flask, send: Callable[[Message, str], Message], newest: Callable[[str], list[Message]]
) -> None:
    """Add the views; the functions send and list messages, here and in ``article.py``."""
    app.before_request(choose_account)

    @app.get("/")
    def index() -> str:
        here = {id: redis.exists(f"login:{session.get(id)}") for id in ("ada", "lin")}
        return render_template(
            "index.html", addresses=addresses(), version=app.name, names=ACCOUNTS, here=here
        )

    @app.post("/login/<account>")
    def log_in(account: str) -> Response:
        if account not in ACCOUNTS:
            abort(404)
        if account in session:  # otherwise it would stay until it expires
            events.end_login(session[account])
        session[account] = logins.create(account, events.end_login)
        return redirect(url_for("index"), 303)

    @app.post("/logout")
    def log_out() -> Response:
        if session["login"]:
            events.end_login(session["login"])
        return redirect(url_for("index"), 303)

    @app.get("/messages")
    def messages() -> list[Message]:
        return newest(current_bot.self["id"])

    @app.post("/messages")
    def send_message() -> tuple[Message, int]:
        """Send ``text`` to the account ``to``; ``id`` is the client's. 400 if one is wrong."""
        id, to, text = (request.form.get(name, "") for name in ("id", "to", "text"))
        if not re.fullmatch("[a-z0-9-]{16,64}", id) or not 1 <= len(text) <= 2000:
            abort(400)
        if to not in ACCOUNTS:
            abort(404)
        if "die" in request.args:
            current_app.extensions["sse"].publish = die
        at = datetime.now(UTC).isoformat(timespec="seconds")
        message = {"id": id, "from_id": current_bot.self["id"], "text": text, "at": at}
        return send(message, to), 201

    @app.post("/kill")
    def kill() -> dict[str, str]:
        """Kill the process that listens for this account."""
        process = (redis.get(f"listener:{current_bot.self['id']}") or abort(404)).partition("-")[0]
        os.kill(int(process), signal.SIGKILL)
        return {"killed": process}
