"""The obvious way: publish and subscribe, twenty lines. It works for as long as nobody is away."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from celery import shared_task  # type: ignore[import-untyped]
from flask import Flask, Response, json
from redis import Redis

import context
import logins
import pages
from events import channel, channels
from logins import redis
from tasks import fetch_contacts
from wx import Bot


def publish(data: Any, login_id: str, type: str, redis: Any = redis) -> None:
    event = f"event: {type}\ndata: {json.dumps(data)}\n\n"
    redis.publish(channel(login_id), event)  # Trap: an event for a browser that is away is lost


def stream() -> Response:
    subscription = redis.pubsub()  # Trap: every stream takes a connection
    subscription.subscribe(*channels())
    return Response(events(subscription), mimetype="text/event-stream")


def events(subscription: Any) -> Iterator[str]:
    yield ":\n\n"  # browsers ignore it, and the headers are sent with the first text
    for message in subscription.listen():
        if message["type"] == "message":
            yield message["data"]


@shared_task(acks_late=True, reject_on_worker_lost=True)  # type: ignore[untyped-decorator]
def retrieve_data(login_id: str) -> None:
    fetch_contacts(login_id, publish)


def create_app(config: Mapping[str, Any], open_bot: Callable[[str | None], Bot]) -> Flask:
    """Build the app that answers ``?version=article``, with the settings of ours."""
    app = Flask(__name__)
    app.config.from_mapping(config)
    logins.init_app(app)
    # A client without the timeout of one second, because an event may be longer in coming.
    app.extensions["redis"] = Redis.from_url(app.config["REDIS_URL"], decode_responses=True)
    context.init_app(app, open_bot)
    app.add_url_rule("/stream", view_func=stream)
    pages.init_app(app, logins.create, logins.end, retrieve_data, publish)
    return app
