"""Chapter 06, step 2: a login that all processes of the app share."""

import os
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext

import article
import context
import logins
import pages
import redis_server
import versions
from context import bot_context, current_bot


def secret_key(folder: Path) -> str:
    """Return the key in *folder*, one for all processes: the first one makes it."""
    path = folder / "secret_key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder) as file:  # mode 600
            file.write(secrets.token_hex(32))
            file.flush()
            with suppress(FileExistsError):  # another process was faster
                os.link(file.name, path)
    return path.read_text()


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
    app.config["REDIS_URL"] = os.environ.get("REDIS_URL") or redis_server.url(app.instance_path)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    # The key signs the session cookie, so a process with another key would refuse it.
    app.config["SECRET_KEY"] = app.config["SECRET_KEY"] or secret_key(Path(app.instance_path))
    logins.init_app(app)
    context.init_app(app, logins.open_bot)
    pages.init_app(app, logins.create, logins.end)
    versions.init_app(app, article.create_app(app.config))
    app.cli.add_command(whoami)
    return app
