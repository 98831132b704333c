"""Messages the obvious way: store one and publish it. It works until something comes in between."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from redis import Redis

import context
import logins
import pages
from app import open_bot
from deploy import redis_server
from deploy.secret_key import shared_key
from events import channels, sse
from logins import redis
from sse import SSE
from wx import Message


def send(message: Message, to: str) -> Message:
    # Trap: a message that is sent again arrives twice
    message = message | {"id": secrets.token_hex(8)}
    for account in (message["from_id"], to):
        redis.lpush(f"article:{account}", json.dumps(message))
        # Trap: stored and published apart, a message is half sent
        sse.publish(message, f"account:{account}")
    return message


def newest(account: str) -> list[Message]:
    return [json.loads(text) for text in redis.lrange(f"article:{account}", 0, 99)]


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings come from ``FLASK_*`` variables, then from *config*."""
    app = Flask(__name__)
    app.config.from_mapping(BOT_CLASS="wx.DemoBot", SESSION_COOKIE_NAME="article")
    app.config["REDIS_URL"] = os.environ.get("REDIS_URL")
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    app.config["REDIS_URL"] = app.config["REDIS_URL"] or redis_server.url(app.instance_path)
    app.config["SECRET_KEY"] = app.config["SECRET_KEY"] or shared_key(Path(app.instance_path))
    logins.init_app(app, Redis.from_url(app.config["REDIS_URL"], decode_responses=True))
    context.init_app(app, open_bot)
    app.extensions["sse"] = SSE()
    app.extensions["sse"].init_app(app, app.extensions["redis"], channels, key="article")
    pages.init_app(app, send, newest)
    return app
