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
from wx import Contact


@shared_task  # type: ignore[untyped-decorator]  # Trap: a task dies with its process
def retrieve_data(login_id: str) -> None:
    contacts: list[Contact] = []
    with bot_context(login_id) as bot:
        account, total = bot.self["id"], bot.count()
        for fetch in (bot.friends, bot.groups, bot.mps):
            for page in fetch():
                contacts += page
                progress = {"done": len(contacts), "total": total}
                redis.set(f"article:fetching:{account}", json.dumps(progress), ex=20)
    redis.set(f"article:contacts:{account}", json.dumps(contacts))
    redis.delete(f"article:fetching:{account}")


def start_fetch(login_id: str) -> None:
    retrieve_data.delay(login_id)


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    app.config["SESSION_COOKIE_NAME"] = "article"  # a browser sends its cookies to every port
    configure(app, config)
    pages.init_app(app, start_fetch, "article:")
    return app
