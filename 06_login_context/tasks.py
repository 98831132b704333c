"""Work that no request waits for. A worker that is killed half way leaves it to the next one."""

import json
from typing import Any

from celery import shared_task  # type: ignore[import-untyped]
from redis import RedisError

from context import bot_context
from errors import NotLoggedIn
from ext import redis, sse
from wx import Contact

TRIES = 10  # deliveries of one task within ten minutes


def swap_in(login_id: str, data: dict[str, list[Contact]]) -> bool:
    """Replace the contacts of a login, all at once; False if it has ended."""

    def step(pipe: Any) -> bool:
        left = pipe.ttl(f"login:{login_id}")
        pipe.multi()  # nothing happens if the login ends from here on
        if left > 0:
            pipe.set(f"contacts:{login_id}", json.dumps(data), ex=left)
        return bool(left > 0)

    return bool(redis.transaction(step, f"login:{login_id}", value_from_callable=True))


@shared_task(autoretry_for=(OSError, RedisError), retry_backoff=True, max_retries=5)  # type: ignore[untyped-decorator]
def retrieve_data(login_id: str) -> None:
    """Fetch the contacts of a login page by page and swap them in; run twice, the end is the same.

    A login that has ended is no error: there is nobody to fetch for.
    """
    channel, tries = f"login:{login_id}", f"tries:{login_id}"
    if redis.incr(tries) > TRIES:  # it may be what kills its workers
        sse.publish({"type": "failed"}, type="contacts", channel=channel)
        return
    redis.expire(tries, 600)
    data: dict[str, list[Contact]] = {"users": [], "groups": [], "mps": []}
    try:
        with bot_context(login_id) as bot:
            done, total = 0, bot.count()
            kinds = (("friends", bot.friends), ("groups", bot.groups), ("mps", bot.mps))
            for key, (kind, fetch) in zip(data, kinds, strict=True):
                for contacts in fetch():
                    if not redis.exists(f"login:{login_id}"):
                        return
                    data[key] += contacts
                    done += len(contacts)
                    progress = {"kind": kind, "done": done, "total": total}
                    sse.publish(progress, type="progress", channel=channel)
    except NotLoggedIn:
        return
    except Exception:  # Celery tries again, or gives up; the page may ask for it
        sse.publish({"type": "failed"}, type="contacts", channel=channel)
        raise
    redis.delete(tries)
    if swap_in(login_id, data):
        sse.publish({"type": "ready"}, type="contacts", channel=channel)
