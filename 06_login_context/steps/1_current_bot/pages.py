"""The page at /: two links to log in by, and who the app thinks you are."""

import os
from threading import current_thread

from flask import Flask, abort, redirect, render_template, request, session, url_for
from werkzeug import Response
from werkzeug.exceptions import Unauthorized

from wx import ACCOUNTS, Bot


def addresses() -> dict[str, str]:
    """Return where each version is, by the name of its module: on two ports of this host."""
    ports = {
        "app": os.environ.get("PORT") or "8106",
        "article": os.environ.get("ARTICLE_PORT") or "8206",
    }
    host = request.host.rsplit(":", 1)[0]
    return {version: f"http://{host}:{port}/" for version, port in ports.items()}


def init_app(app: Flask, current_bot: Bot) -> None:
    """Add the views; *current_bot* is the one in ``context.py`` or the one in ``article.py``."""

    @app.get("/as/<account>")
    def log_in(account: str) -> Response:
        if account not in ACCOUNTS:
            abort(404)
        session["login"] = account
        return redirect(url_for("index"))

    @app.get("/")
    def index() -> str:
        try:
            name = current_bot.self["name"]
        except Unauthorized:
            name = "nobody"
        return render_template(
            "index.html",
            addresses=addresses(),
            version=app.name,
            you=ACCOUNTS.get(session.get("login", ""), "nobody"),
            name=name,
            process=os.getpid(),
            thread=current_thread().name,
        )
