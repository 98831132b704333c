"""The article's version: publish and subscribe. It works for as long as nobody is away."""

from collections.abc import Iterator, Mapping
from typing import Any

from celery import shared_task  # type: ignore[import-untyped]
from flask import Flask, Response, json

import logins
import pages
from app import configure
from context import bot_context, current_bot
from logins import redis


def publish(data: Any, channel: str, type: str) -> None:
    # Trap: an event for a browser that is away is lost
    redis.publish(channel, f"event: {type}\ndata: {json.dumps(data)}\n\n")


def stream() -> Response:
    # Trap: every stream takes a connection
    subscription = redis.pubsub(ignore_subscribe_messages=True)
    subscription.subscribe(f"account:{current_bot.self['id']}")  # 401 without a login
    return Response(events(subscription), mimetype="text/event-stream")


def events(subscription: Any) -> Iterator[str]:
    yield ":\n\n"  # a comment, because the headers are sent with the first text
    for message in subscription.listen():
        yield message["data"]


@shared_task  # type: ignore[untyped-decorator]
def retrieve_data(login_id: str) -> None:
    contacts: list[Any] = []
    with bot_context(login_id) as bot:
        account, total = bot.self["id"], bot.count()
        for fetch in (bot.friends, bot.groups, bot.mps):
            for page in fetch():
                contacts += page
                progress = {"done": len(contacts), "total": total}
                publish(progress, f"account:{account}", "progress")
    redis.set(f"article:contacts:{account}", json.dumps(contacts))
    publish({"type": "ready"}, f"account:{account}", "contacts")


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    app.config["SESSION_COOKIE_NAME"] = "article"  # a browser sends ours to this port as well
    configure(app, config)
    app.add_url_rule("/stream", view_func=stream)
    pages.init_app(app, retrieve_data.delay, logins.end, publish, "article:")
    return app
