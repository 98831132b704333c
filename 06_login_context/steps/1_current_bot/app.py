"""Chapter 06, step 1: `current_bot`, the chat account of the current request."""

import secrets
from collections.abc import Mapping
from typing import Any

import click
from flask import Flask, abort
from flask.cli import with_appcontext
from werkzeug.exceptions import Unauthorized

import context
import pages
from context import bot_context, current_bot
from wx import ACCOUNTS, Bot, DemoBot


def open_bot(login_id: str | None) -> Bot:
    """Return the bot of a login. In this step, a login id is simply the id of an account."""
    if login_id not in ACCOUNTS:
        abort(401)
    return DemoBot(login_id)


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
    app.config["SECRET_KEY"] = secrets.token_hex()  # signs the session cookie
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    context.init_app(app, open_bot)
    pages.init_app(app, current_bot)
    app.cli.add_command(whoami)
    return app
