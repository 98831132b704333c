"""The page at /, the requests that its buttons send, and a view that somebody added later."""

import os

from flask import Flask, abort, redirect, render_template, request, session, url_for
from werkzeug import Response
from werkzeug.exceptions import Unauthorized

import logins
from context import current_bot
from wx import ACCOUNTS


def addresses() -> dict[str, str]:
    """Return where each version is, by the name of its module, and the stranger: on three ports."""
    ours = os.environ.get("PORT") or "8106"
    ports = {
        "app": ours,
        "article": os.environ.get("ARTICLE_PORT") or "8206",
        "stranger": os.environ.get("STRANGER_PORT") or str(int(ours) + 200),
    }
    host = request.host.rsplit(":", 1)[0]
    return {name: f"http://{host}:{port}/" for name, port in ports.items()}


def init_app(app: Flask) -> None:
    @app.get("/")
    def index() -> str:
        try:
            name = current_bot.self["name"]
        except Unauthorized:
            name = None
        return render_template("index.html", addresses=addresses(), version=app.name, name=name)

    @app.post("/login/<account>")
    def log_in(account: str) -> Response:
        if account not in ACCOUNTS:
            abort(404)
        session["login"] = logins.create(account)
        return redirect(url_for("index"), 303)

    @app.post("/logout")
    def log_out() -> Response:
        logins.end(session.pop("login", ""))
        return redirect(url_for("index"), 303)

    @app.get("/v1/accounts")
    def accounts() -> dict[str, str]:
        return ACCOUNTS
