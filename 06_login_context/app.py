"""Chapter 06: a login in a context-local, shared by several processes. The combined app."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from flask import Flask, abort, render_template, request
from werkzeug.middleware.proxy_fix import ProxyFix

import config as settings
import context
import cors
import desk_errors
import events
import guard
import handlers
import logins
import uploads
from context import current_bot
from deploy.connection import connect
from make_celery import make_celery
from views import contacts, login, messages

# The endpoints that need no login; guard.py closes all others.
PUBLIC = [
    "index",
    "login.code_state",
    "login.login",
    "login.new_code",
    "login.picture",
    "login.whose",
    "phone.answer",
    "phone.ask",
    "static",
    "uploaded_file",
]


def find_account() -> str:
    """Return the account of this request's login; 401 without one, or if the page shows another."""
    account = str(current_bot.self["id"])
    # In another tab, somebody else may have logged in since.
    if unquote(request.headers.get("X-Account", quote(account))) != account:
        abort(401, "not_logged_in")
    return account


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; where settings come from is in config.py."""
    app = Flask(__name__)
    settings.load(app, config)
    if proxies := app.config["PROXIES"]:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies, x_prefix=proxies
        )
    uploads.init_app(app)
    app.add_url_rule("/uploads", view_func=uploads.upload, methods=["POST"])
    handlers.init_app(app)
    logins.init_app(app, connect(app.config["REDIS_URL"]))
    make_celery(app)
    desk_errors.init_app(app)
    context.init_app(app, login.open_bot)
    events.init_app(app)
    guard.init_app(app, find_account, public=PUBLIC)

    login.init_app(app)
    app.register_blueprint(contacts.bp)
    app.register_blueprint(messages.bp)

    @app.get("/")
    def index() -> str:
        return render_template("index.html")

    cors.init_app(app)  # last, so that files have its headers as well
    return app
