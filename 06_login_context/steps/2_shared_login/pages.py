"""The page at /, and the requests that its buttons send."""

import os
from collections.abc import Callable
from typing import Any

from flask import Flask, abort, redirect, render_template, request, session, url_for
from werkzeug import Response
from werkzeug.exceptions import Unauthorized

from context import current_bot
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
    app: Flask, create_login: Callable[[str], str], end_login: Callable[[str], None]
) -> None:
    """Add the views; the two functions create and end a login, here and in ``article.py``."""

    @app.get("/")
    def index() -> str:
        return render_template(
            "index.html",
            addresses=addresses(),
            version=app.name,
            name=current_name(),
            login_id=session.get("login"),
            process=os.getpid(),
        )

    @app.get("/me")
    def me() -> dict[str, Any]:
        """Say whom this process takes the client for, and which process it is."""
        return {"name": current_name(), "process": os.getpid()}

    @app.post("/login/<account>")
    def log_in(account: str) -> Response:
        if account not in ACCOUNTS:
            abort(404)
        if "login" in session:  # otherwise it would stay until it expires
            end_login(session["login"])
        session["login"] = create_login(account)
        return redirect(url_for("index"), 303)

    @app.post("/logout")
    def log_out() -> Response:
        # The cookie stays as it is: from now on, its login id must be worth nothing anywhere.
        if "login" in session:
            end_login(session["login"])
        return redirect(url_for("index"), 303)
