"""Chapter 06, step 4: open pages hear what happens."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext

import article
import context
import events
import logins
import pages
import tasks
import versions
from context import bot_context, current_bot
from deploy import redis_server
from deploy.secret_key import shared_key
from make_celery import make_celery
from wx import Bot, get_bot


def open_bot(login_id: str | None) -> Bot:
    return get_bot(logins.account_of(login_id))


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
    app.config.from_mapping(BOT_CLASS="wx.DemoBot", VISIBILITY_TIMEOUT=10)
    app.config["REDIS_URL"] = os.environ.get("REDIS_URL") or redis_server.url(app.instance_path)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    # The key signs the session cookie, so a process with another key would refuse it.
    app.config["SECRET_KEY"] = app.config["SECRET_KEY"] or shared_key(Path(app.instance_path))
    logins.init_app(app)
    context.init_app(app, open_bot)
    make_celery(app)
    events.init_app(app)
    pages.init_app(app, logins.create, events.end_login, tasks.retrieve_data, events.publish)
    versions.init_app(app, article.create_app(app.config, open_bot))
    app.cli.add_command(whoami)
    return app
