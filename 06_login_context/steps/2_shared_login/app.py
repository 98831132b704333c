"""Chapter 06, step 2: a login that all processes of the app share."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from flask import Flask, abort
from flask.cli import with_appcontext
from redis import Redis
from werkzeug.exceptions import Unauthorized

import context
import logins
import pages
from context import bot_context, current_bot
from deploy import redis_server
from deploy.secret_key import shared_key
from wx import ACCOUNTS, Bot, DemoBot


def open_bot(login_id: str | None) -> Bot:
    """Return the bot of a login; 401 without one, or if its account is gone."""
    account = logins.account_of(login_id)
    if account not in ACCOUNTS:
        abort(401)
    return DemoBot(account)


@click.command()
@click.argument("login_id")
@with_appcontext
def whoami(login_id: str) -> None:
    """Print whose account a login belongs to."""
    try:
        with bot_context(login_id):
            click.echo(current_bot.self["name"])
    except Unauthorized:
        raise click.ClickException(f"There is no login {login_id}.") from None


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config["REDIS_URL"] = os.environ.get("REDIS_URL")
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    app.config["REDIS_URL"] = app.config["REDIS_URL"] or redis_server.url(app.instance_path)
    # The key signs the session cookie, so a process with another key would refuse it.
    app.config["SECRET_KEY"] = app.config["SECRET_KEY"] or shared_key(Path(app.instance_path))
    client = Redis.from_url(
        app.config["REDIS_URL"], decode_responses=True, socket_timeout=1, socket_connect_timeout=1
    )
    logins.init_app(app, client)
    context.init_app(app, open_bot)
    pages.init_app(app, logins.create, logins.end)
    app.cli.add_command(whoami)
    return app
