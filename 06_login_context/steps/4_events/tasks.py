"""The task that fetches contacts.

In Redis, ``fetching:<login id>`` says how far a fetch is, and ``contacts:<login id>`` has what it
has fetched.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from celery import shared_task  # type: ignore[import-untyped]
from flask import current_app
from werkzeug.exceptions import Unauthorized

import events
from context import bot_context, current_bot
from logins import redis
from wx import Contact

Publish = Callable[[Any, str, str, Any], None]
KEEP = 60 * 60  # seconds that contacts are kept


def patience() -> int:
    """Return for how many seconds a fetch that is silent counts as under way."""
    return 2 * int(current_app.config["VISIBILITY_TIMEOUT"])


def start_fetch(login_id: str, task: Any) -> None:
    """Have *task* fetch the contacts of a login, unless a fetch is under way."""
    if redis.set(f"fetching:{login_id}", "{}", nx=True, ex=patience()):
        task.delay(login_id)


def report(login_id: str, done: int, total: int, publish: Publish) -> None:
    """Say how far the fetch is, to the pages that are open and to those that are loaded later."""
    progress = {"done": done, "total": total}
    with redis.pipeline() as pipe:
        pipe.set(f"fetching:{login_id}", json.dumps(progress), ex=patience())
        publish(progress, login_id, "progress", pipe)
        pipe.execute()


def fetch_contacts(login_id: str, publish: Publish) -> None:
    """Fetch page by page, and store at the end: run twice, it does no harm."""
    contacts: list[Contact] = []
    try:
        with bot_context(login_id):
            total = current_bot.count()
            for pages in (current_bot.friends(), current_bot.groups(), current_bot.mps()):
                for page in pages:
                    contacts += page
                    report(login_id, len(contacts), total, publish)
    except Unauthorized:  # logged out before the task began: there is nobody to fetch for
        return

    with redis.pipeline() as pipe:  # all or nothing, the event included
        found = {"names": [contact["name"] for contact in contacts], "at": time.time()}
        pipe.set(f"contacts:{login_id}", json.dumps(found), ex=KEEP)
        pipe.delete(f"fetching:{login_id}")
        publish(None, login_id, "ready", pipe)
        pipe.execute()


def state(login_id: str) -> dict[str, Any]:
    """Return what has been fetched, and how far the fetch under way is; None if there is none."""
    contacts, fetching = redis.mget(f"contacts:{login_id}", f"fetching:{login_id}")
    return {
        "contacts": json.loads(contacts) if contacts else None,
        "fetching": json.loads(fetching) if fetching else None,
    }


@shared_task(acks_late=True, reject_on_worker_lost=True)  # type: ignore[untyped-decorator]
def retrieve_data(login_id: str) -> None:
    fetch_contacts(login_id, events.publish)
