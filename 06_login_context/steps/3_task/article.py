"""The article's version: a task as plain as can be. It works for as long as its worker does."""

import json
from collections.abc import Mapping
from typing import Any

from celery import shared_task  # type: ignore[import-untyped]
from flask import Flask

import pages
from app import configure
from context import bot_context
from logins import redis


# Trap: a task dies with the process that runs it
@shared_task  # type: ignore[untyped-decorator]
def retrieve_data(login_id: str) -> None:
    contacts: list[Any] = []
    with bot_context(login_id) as bot:
        account, total = bot.self["id"], bot.count()
        for fetch in (bot.friends, bot.groups, bot.mps):
            for page in fetch():
                contacts += page
                progress = {"done": len(contacts), "total": total}
                redis.set(f"article:fetching:{account}", json.dumps(progress), ex=20)
    redis.set(f"article:contacts:{account}", json.dumps(contacts))
    redis.delete(f"article:fetching:{account}")


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    app.config["SESSION_COOKIE_NAME"] = "article"  # a browser sends ours to this port as well
    configure(app, config)
    pages.init_app(app, retrieve_data.delay, "article:")
    return app
