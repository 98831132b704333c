"""Chapter 06, step 1: `current_bot`, the chat account of the current request."""

import secrets
from collections.abc import Mapping
from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext

import article
import context
import logins
import pages
import versions
from context import bot_context, current_bot


@click.command()
@click.argument("login_id")
@with_appcontext
def whoami(login_id: str) -> None:
    """Print whose account a login belongs to."""
    with bot_context(login_id):
        click.echo(current_bot.self["name"])


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config["BOT_CLASS"] = "wx.DemoBot"
    app.config["SECRET_KEY"] = secrets.token_hex()  # signs the session cookie
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    context.init_app(app, logins.open_bot)
    pages.init_app(app, current_bot)
    versions.init_app(app, article.create_app(app.config))
    app.cli.add_command(whoami)
    return app
