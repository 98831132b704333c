# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1, Werkzeug 3.1 and redis-py 8.1, or later.
"""Messages of an account: stored and published together, once for each id.

Needs a Redis client with ``decode_responses=True`` in ``app.extensions["redis"]``, and the SSE of
sse.py in ``app.extensions["sse"]``.

Setting: ``MESSAGES_KEPT``, of each account. A message's id is known for as long as the message is
kept.
"""

import json
import re
from typing import Any

from flask import abort, current_app


def id_of(message: dict[str, Any]) -> str:
    """Return what *message* is known by; ValueError or KeyError without ``id`` and ``from_id``."""
    both = [message["from_id"], message["id"]]  # because two senders may choose the same id
    if None in both or "" in both:
        raise ValueError("its id or its from_id is empty")
    return json.dumps(both)


def find(own_id: str, account: str, client: Any) -> Any:
    """Return what is kept for *account* of the message with this `id_of`, or None."""
    number = client.zscore(f"history:ids:{account}", own_id)
    if number is None:
        return None
    kept = client.zrange(f"history:messages:{account}", number, number, byscore=True)
    return json.loads(kept[0]) if kept else None  # it may have been trimmed just now


def deliver(message: dict[str, Any], account: str) -> dict[str, Any]:
    """Keep *message* for *account*, and publish it to the account's pages; return what is kept.

    It has at least an ``id`` and ``from_id``, who sent it; ValueError if not, or if it isn't JSON.
    If this sender's message with its id is there already, nothing happens, and that one is
    returned. Pages hear it on the channel ``account:<account>``, as an event of the type "message".
    """
    redis, sse = current_app.extensions["redis"], current_app.extensions["sse"]
    messages, ids = f"history:messages:{account}", f"history:ids:{account}"
    try:
        own_id = id_of(message)
        kept = message | {"mine": str(message["from_id"]) == str(account)}  # either may be an int
        text = json.dumps(kept, sort_keys=True, allow_nan=False)  # Flask sorts; NaN is no JSON
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"It can't be kept: {type(error).__name__}, {error}") from error

    def keep(pipe: Any) -> Any:
        # redis.transaction WATCHes the ids. If another process adds one between this line and
        # EXEC, nothing below happens, and this function is called again.
        known = find(own_id, account, pipe)
        if known:
            return known
        newest = pipe.zrange(ids, -1, -1, withscores=True)

        pipe.multi()  # from here on, commands wait for EXEC
        next_number = newest[0][1] + 1 if newest else 1
        too_old = -1 - current_app.config["MESSAGES_KEPT"]  # counted from the newest, which is -1
        for key, member in (ids, own_id), (messages, text):
            pipe.zadd(key, {member: next_number})
            pipe.zremrangebyrank(key, 0, too_old)
        sse.publish(kept, f"account:{account}", redis=pipe)
        return kept

    delivered: dict[str, Any] = redis.transaction(keep, ids, value_from_callable=True)
    return delivered


def history(account: str, before: str | None, per_page: int) -> tuple[list[Any], str | None]:
    """Return a page of an account's messages, newest first, and what to ask for the next one as
    *before*: None if this is the last one. 400 for any other *before*."""
    if before and not re.fullmatch("[0-9]{1,15}", before):
        abort(400, "before is what the last page came with.")
    # A page begins at a number that a message keeps, because new messages don't move it.
    start = f"({before}" if before else "+inf"  # "(7" means: below 7
    one_more = per_page + 1  # tells whether there's another page
    found = current_app.extensions["redis"].zrange(
        f"history:messages:{account}", start, "-inf",
        byscore=True, desc=True, offset=0, num=one_more, withscores=True,
    )  # fmt: skip
    page = found[:per_page]
    older = str(int(page[-1][1])) if len(found) > per_page else None
    return [json.loads(text) for text, _ in page], older
