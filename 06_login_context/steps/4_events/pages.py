"""The page at /, and the requests that its buttons send."""

import json
import os
from collections.abc import Callable
from typing import Any

from flask import Flask, abort, redirect, render_template, request, session, url_for
from werkzeug import Response
from werkzeug.exceptions import Unauthorized

import logins
from context import current_bot
from logins import redis
from wx import ACCOUNTS


def current_name() -> str | None:
    """Return the name of this request's account, or None if it has no login."""
    try:
        return str(current_bot.self["name"])
    except Unauthorized:
        return None


def addresses() -> dict[str, str]:
    """Return where each version is, by the name of its module: on two ports of this host."""
    ports = {
        "app": os.environ.get("PORT") or "8106",
        "article": os.environ.get("ARTICLE_PORT") or "8206",
    }
    host = request.host.rsplit(":", 1)[0]
    return {version: f"http://{host}:{port}/" for version, port in ports.items()}


def init_app(
    app: Flask,
    start_fetch: Callable[[str], None],
    end_login: Callable[[str], None],
    publish: Callable[[Any, str, str], Any],
    prefix: str = "",
) -> None:
    """Add the views. The functions and what begins the keys of contacts are those of ours, or of
    article.py."""

    @app.get("/")
    def index() -> str:
        return render_template(
            "index.html",
            addresses=addresses(),
            version=app.name,
            name=current_name(),
        )

    @app.post("/login/<account>")
    def log_in(account: str) -> Response:
        if account not in ACCOUNTS:
            abort(404)
        if "login" in session:  # otherwise it would stay until it expires
            end_login(session["login"])
        session["login"] = logins.create(account, end_login)
        return redirect(url_for("index"), 303)

    @app.post("/logout")
    def log_out() -> Response:
        if "login" in session:
            end_login(session["login"])
        return redirect(url_for("index"), 303)

    @app.get("/contacts")
    def contacts() -> dict[str, Any]:
        """Return what has been fetched, and how far the fetch under way is."""
        account = current_bot.self["id"]  # 401 without a login
        keys = f"{prefix}contacts:{account}", f"{prefix}fetching:{account}"
        found, fetching = (json.loads(text) if text else None for text in redis.mget(keys))
        return {"contacts": found, "fetching": fetching}

    @app.post("/contacts")
    def fetch() -> tuple[dict[str, Any], int]:
        account = logins.account_of(session.get("login"))
        redis.delete(f"{prefix}contacts:{account}")  # what is shown later has come by this fetch
        start_fetch(session["login"])
        return contacts(), 202

    @app.post("/publish/<int:number>")
    def publish_number(number: int) -> dict[str, int]:
        publish(number, f"account:{current_bot.self['id']}", "number")
        return {"number": number}

    @app.get("/connections")
    def connections() -> dict[str, int]:
        """Count the connections to Redis on which this version waits for events."""
        waits = "subscribe" if app.name == "article" else "xread"
        # Twice, because a reader that has just been woken isn't waiting at this moment.
        counts = [sum(c["cmd"] == waits for c in redis.client_list()) for _ in range(2)]
        return {"connections": max(counts)}
