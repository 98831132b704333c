"""The page that shows the code, the phone's page, and what the script of the first one asks for."""

import os
from collections.abc import Callable
from typing import Any

import segno
from flask import Flask, Response, abort, redirect, render_template, request, session, url_for
from werkzeug import Response as Redirect
from werkzeug.exceptions import Unauthorized

import logins
from context import current_bot
from scan import OPEN, read_code
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


def phone_page(token: str, done: bool = False) -> tuple[str, int]:
    """Return the question, or what has become of it; *done*: by this very request."""
    code = read_code(token)
    status = 200 if done or code["state"] in OPEN else 410
    return render_template("phone.html", code=code, done=done, accounts=ACCOUNTS), status


def forbid_caching(response: Response) -> Response:
    # Otherwise "Back" shows a code again that has been used.
    response.headers["Cache-Control"] = "no-store"
    return response


def init_app(
    app: Flask,
    new_code: Callable[..., tuple[str, str]],
    change_state: Callable[..., bool],
    claim: Callable[[str], str | None],
) -> None:
    """Add the views; the three functions are those of scan.py, or of article.py."""
    app.after_request(forbid_caching)

    @app.get("/")
    def index() -> str:
        name, code = current_name(), {}
        if name is None:
            key, token = new_code(address=request.remote_addr or "")
            link = url_for("phone", token=token, _external=True)
            picture = segno.make(link, error="m").svg_inline(scale=6, light="white")
            code = {"key": key, "token": token, "link": link, "picture": picture}
        where = addresses()
        return render_template("index.html", addresses=where, version=app.name, name=name, **code)

    @app.get("/code/<token>")
    def code_state(token: str) -> dict[str, Any]:
        code = read_code(token)
        return {"state": code["state"], "left": code["left"]}

    @app.post("/login")
    def log_in() -> dict[str, str]:
        """Log the page in that has the key; 401 if no phone has confirmed its code."""
        login_id = claim(request.form["key"])
        account = logins.account_of(login_id)
        logins.limit(account)
        session["login"] = login_id
        return {"name": ACCOUNTS[account]}

    @app.post("/logout")
    def log_out() -> Redirect:
        logins.end(session.pop("login", ""))
        return redirect(url_for("index"), 303)

    @app.get("/scan/<token>")
    def phone(token: str) -> tuple[str, int]:
        return phone_page(token)

    @app.post("/scan/<token>")
    def answer(token: str) -> tuple[str, int]:
        """Take an ``action``, which is the new state of the code, and perhaps an ``account``."""
        action, account = request.form["action"], request.form.get("account", "")
        if action not in ("scanned", "cancelled", "confirmed"):
            abort(400)
        if action == "confirmed" and account not in ACCOUNTS:
            abort(400)
        return phone_page(token, done=change_state(token, action, account))
