"""Work that no request waits for. A worker that is killed half way leaves it to the next one.

``fetching:<account>`` in Redis says that the contacts of an account are being fetched, and how far
that is. It expires if nothing is heard of the fetch any more, so that it can be asked for again.
``contacts:<account>`` has what was fetched.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task  # type: ignore[import-untyped]
from flask import current_app
from redis import RedisError
from werkzeug.exceptions import Unauthorized

from context import bot_context
from events import sse
from logins import account_of, redis
from wx import Bot, Contact

Contacts = dict[str, list[Contact]]  # by kind
TRIES = 10  # runs of one fetch, those included that were cut off
TEMPORARY = (OSError, RedisError)  # after these, Celery tries again


def patience() -> int:
    """Return for how many seconds a fetch that is silent counts as under way.

    Twice the time after which another worker takes the task of one that was killed.
    """
    return 2 * int(current_app.config["VISIBILITY_TIMEOUT"])


def start_fetch(login_id: str) -> None:
    """Have the contacts of a login's account fetched, unless that is under way; 401 if the login
    has ended."""
    account = account_of(login_id)
    key = f"fetching:{account}"
    # Only two seconds, so that another try is possible soon if the task can't be sent.
    if redis.set(key, "{}", nx=True, ex=2):
        retrieve_data.delay(login_id, account)
        redis.expire(key, patience())  # does nothing if the task has ended and deleted it


def report(account: str, kind: str, done: int, total: int) -> None:
    """Say how far the fetch is, to the pages that are open and to those that are loaded later."""
    progress = {"kind": kind, "done": done, "total": total}
    redis.set(f"fetching:{account}", json.dumps(progress), ex=patience())
    sse.publish(progress, f"account:{account}", type="progress")


def fail(account: str) -> None:
    """Give the fetch up; the page says so, and offers to fetch again."""
    with redis.pipeline() as pipe:  # all commands or none
        pipe.delete(f"fetching:{account}", f"tries:{account}")
        sse.publish({"type": "failed"}, f"account:{account}", type="contacts", redis=pipe)
        pipe.execute()


def swap_in(account: str, contacts: Contacts) -> None:
    """Replace the contacts of an account, all at once."""
    with redis.pipeline() as pipe:  # all commands or none
        lifetime = current_app.permanent_session_lifetime  # of the logins, which see them
        pipe.set(f"contacts:{account}", json.dumps(contacts), ex=lifetime)
        pipe.delete(f"fetching:{account}", f"tries:{account}")
        sse.publish({"type": "ready"}, f"account:{account}", type="contacts", redis=pipe)
        pipe.execute()


def fetch_contacts(bot: Bot, account: str) -> Contacts:
    """Fetch the contacts of an account page by page, and report each page."""
    contacts: Contacts = {"users": [], "groups": [], "mps": []}
    done, total = 0, bot.count()
    for kind, fetch in (("users", bot.friends), ("groups", bot.groups), ("mps", bot.mps)):
        for page in fetch():
            contacts[kind] += page
            done += len(page)
            report(account, kind, done, total)
    return contacts


@contextmanager
def noting_failure(task: Any, account: str) -> Iterator[None]:
    """Have the pages hear of an error in the block, unless *task* is going to be tried again."""
    try:
        yield
    except Exception as error:
        if isinstance(error, TEMPORARY) and task.request.retries < task.max_retries:
            # Still under way: no page is to say that it failed, or to start another one. If Redis
            # fails here as well, Celery retries for that, and the key expires by itself.
            redis.set(f"fetching:{account}", "{}", ex=patience())
        else:
            fail(account)
        if not isinstance(error, Unauthorized):  # this login has ended: another one has to ask
            raise


@shared_task(  # type: ignore[untyped-decorator]
    bind=True,  # the task is the first argument
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=TEMPORARY,
    max_retries=5,
    retry_backoff=True,  # after up to 1, 2, 4, 4 and 4 seconds
    retry_backoff_max=4,  # seconds; with the fetch itself, less than VISIBILITY_TIMEOUT
)
def retrieve_data(task: Any, login_id: str, account: str) -> None:
    """Fetch the contacts of an account and swap them in; run twice, the end is the same.

    The login is needed once, to open the bot. If it ends later, the fetch goes on, because other
    logins of the account wait for it; a retry opens the bot again, and fails then.
    """
    if redis.incr(f"tries:{account}") > TRIES:  # it may be what kills its workers
        fail(account)
        return
    redis.expire(f"tries:{account}", 600)  # seconds

    with noting_failure(task, account), bot_context(login_id) as bot:
        swap_in(account, fetch_contacts(bot, account))
