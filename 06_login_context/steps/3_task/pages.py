"""The page at /, and the requests that its buttons send."""

import os
from collections.abc import Callable
from typing import Any

from flask import Flask, abort, redirect, render_template, request, session, url_for
from werkzeug import Response
from werkzeug.exceptions import Unauthorized

import accidents
import tasks
from context import current_bot
from wx import ACCOUNTS


def current_name() -> str | None:
    """Return the name of this request's account, or None if it has no login."""
    try:
        return str(current_bot.self["name"])
    except Unauthorized:
        return None


def back_to_page() -> Response:
    return redirect(url_for("index", version=request.args.get("version")), 303)


def init_app(
    app: Flask, create_login: Callable[[str], str], end_login: Callable[[str], None], task: Any
) -> None:
    """Add the views; *task* fetches contacts, here and in ``article.py``."""

    @app.get("/")
    def index() -> str:
        return render_template(
            "index.html",
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
        return back_to_page()

    @app.post("/logout")
    def log_out() -> Response:
        # The cookie stays as it is: from now on, its login id must be worth nothing anywhere.
        if "login" in session:
            end_login(session["login"])
        return back_to_page()

    @app.post("/contacts")
    def fetch() -> tuple[dict[str, Any], int]:
        _ = current_bot.self  # 401 without a login
        tasks.start_fetch(session["login"], task)
        return state(), 202

    @app.get("/contacts")
    def state() -> dict[str, Any]:
        _ = current_bot.self
        return {**tasks.state(session["login"]), "queue": accidents.queue(session["login"])}

    @app.post("/kill/<what>")
    def kill(what: str) -> dict[str, Any]:
        _ = current_bot.self
        accidents.kill(session["login"], what)
        return state()
