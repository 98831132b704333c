"""The page at /: two links to log in by, and who the app thinks you are."""

import os
from threading import current_thread

from flask import Flask, abort, redirect, render_template, request, session, url_for
from werkzeug import Response
from werkzeug.exceptions import Unauthorized

from wx import ACCOUNTS, Bot


def init_app(app: Flask, current_bot: Bot) -> None:
    """Add the views; *current_bot* is the one in ``context.py`` or the one in ``article.py``."""

    @app.get("/as/<account>")
    def log_in(account: str) -> Response:
        if account not in ACCOUNTS:
            abort(404)
        session["login"] = account
        return redirect(url_for("index", version=request.args.get("version")))

    @app.get("/")
    def index() -> str:
        try:
            name = current_bot.self["name"]
        except Unauthorized:
            name = "nobody"
        return render_template(
            "index.html",
            you=ACCOUNTS.get(session.get("login", ""), "nobody"),
            name=name,
            process=os.getpid(),
            thread=current_thread().name,
        )
