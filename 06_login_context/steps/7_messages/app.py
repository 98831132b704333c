"""Chapter 06, step 7: messages that may be sent again, received by a process of their own."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from redis import Redis

import context
import events
import logins
import pages
from context import current_bot
from delivery import deliver, history
from deploy import redis_server
from deploy.secret_key import shared_key
from wx import Bot, Message, get_bot


def open_bot(login_id: str | None) -> Bot:
    return get_bot(logins.account_of(login_id))


def send(message: Message, to: str) -> Message:
    """Send *message*, and keep the sender's own copy; return it as it is kept."""
    # The network comes first. If the rest fails, the client repeats all of it; the other way round,
    # the sender's page would show a message that never leaves.
    current_bot.send(message, [to])
    return deliver(message, message["from_id"])


def newest(account: str) -> list[Message]:
    return history(account, None, per_page=100)[0]


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config.from_mapping(BOT_CLASS="network.DemoBot", MESSAGES_KEPT=1000)
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
    events.init_app(app)
    pages.init_app(app, send, newest)
    return app
