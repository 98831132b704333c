"""Work that no request waits for. A worker that is killed half way leaves it to the next one.

``fetching:<login id>`` in Redis says that a fetch is under way and how far it is. It expires if
nothing is heard of the fetch any more, so that it can be asked for again.
"""

import json
from typing import Any

from celery import shared_task  # type: ignore[import-untyped]
from flask import current_app
from redis import RedisError
from werkzeug.exceptions import Unauthorized

from context import bot_context
from events import sse
from logins import redis
from wx import Contact

TRIES = 10  # deliveries of one task within ten minutes


def patience() -> int:
    """Return for how many seconds a fetch that is silent counts as under way.

    Twice as long as it takes until the task of a worker that was killed goes to another.
    """
    return 2 * int(current_app.config["VISIBILITY_TIMEOUT"])


def start_fetch(login_id: str) -> None:
    """Have the contacts of a login fetched, unless that is under way."""
    key = f"fetching:{login_id}"
    # Two seconds at first: if the task can't be sent, the next attempt finds nothing under way.
    if redis.set(key, "{}", nx=True, ex=2):
        retrieve_data.delay(login_id)
        redis.expire(key, patience())  # if it's there: the task may be done already


def report(login_id: str, kind: str, done: int, total: int) -> bool:
    """Tell the page how far the fetch is; False if the login has ended."""
    progress = {"kind": kind, "done": done, "total": total}
    with redis.pipeline() as pipe:
        pipe.exists(f"login:{login_id}")
        pipe.set(f"fetching:{login_id}", json.dumps(progress), ex=patience())
        sse.publish(progress, f"login:{login_id}", type="progress", redis=pipe)
        return bool(pipe.execute()[0])


def fail(login_id: str) -> None:
    """Tell the page that the fetch has failed; it offers to fetch again."""
    with redis.pipeline() as pipe:
        pipe.delete(f"fetching:{login_id}")
        sse.publish({"type": "failed"}, f"login:{login_id}", type="contacts", redis=pipe)
        pipe.execute()


def swap_in(login_id: str, data: dict[str, list[Contact]]) -> None:
    """Replace the contacts of a login, all at once; nothing happens if it has ended."""

    def swap(pipe: Any) -> None:
        # WATCHed by redis.transaction: if the login ends from here on, nothing below happens.
        exists = pipe.exists(f"login:{login_id}")
        pipe.multi()
        pipe.delete(f"fetching:{login_id}", f"tries:{login_id}")
        if exists:
            pipe.hset(f"login:{login_id}", "contacts", json.dumps(data))
            sse.publish({"type": "ready"}, f"login:{login_id}", type="contacts", redis=pipe)

    redis.transaction(swap, f"login:{login_id}")


@shared_task(  # type: ignore[untyped-decorator]
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=(OSError, RedisError),
    retry_backoff=True,
    max_retries=5,
)
def retrieve_data(login_id: str) -> None:
    """Fetch the contacts of a login page by page and swap them in; run twice, the end is the same.

    A login that has ended is no error: there is nobody to fetch for.
    """
    tries = f"tries:{login_id}"
    if redis.incr(tries) > TRIES:  # it may be what kills its workers
        fail(login_id)
        return
    redis.expire(tries, 600)

    data: dict[str, list[Contact]] = {"users": [], "groups": [], "mps": []}
    try:
        with bot_context(login_id) as bot:
            done, total = 0, bot.count()
            pages = {"users": bot.friends, "groups": bot.groups, "mps": bot.mps}
            for kind, fetch in pages.items():
                for contacts in fetch():
                    data[kind] += contacts
                    done += len(contacts)
                    if not report(login_id, kind, done, total):
                        return
    except Unauthorized:
        return
    except Exception:  # Celery tries again, or gives up; the page may ask for it
        fail(login_id)
        raise
    swap_in(login_id, data)
