# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1, Werkzeug 3.1 and redis-py 8.1, or later.
"""Messages: stored and published once, however often they are sent.

Setting: ``MESSAGES_KEPT``, of each account.
"""

import json
from typing import Any

from flask import current_app

from events import sse
from logins import redis
from wx import bot_class

REPEATABLE = 24 * 60 * 60  # seconds in which a message that is sent again is known


def deliver(message: dict[str, Any], sender: str, to: list[str]) -> dict[str, Any]:
    """Keep *message* for those who are accounts of this desk, and show it on their pages.

    Return the message; if one with its id has been delivered before, that one.
    """
    sent = f"sent:{sender}:{message['id']}"
    accounts = {account["id"] for account in bot_class().accounts()}

    def keep(pipe: Any) -> dict[str, Any]:
        # WATCHed by redis.transaction: of two requests with the same id, only one gets to EXEC.
        before = pipe.get(sent)
        pipe.multi()
        if before:
            known: dict[str, Any] = json.loads(before)
            return known

        pipe.set(sent, json.dumps(message), ex=REPEATABLE)
        for id in accounts & {sender, *to}:
            copy = message | {"mine": id == sender}
            kept = current_app.config["MESSAGES_KEPT"]
            pipe.xadd(
                f"history:{id}", {"message": json.dumps(copy)}, maxlen=kept, approximate=False
            )
            sse.publish(copy, f"account:{id}", redis=pipe)
        return message

    kept: dict[str, Any] = redis.transaction(keep, sent, value_from_callable=True)
    return kept


def history(account: str, before: str | None, per_page: int) -> tuple[list[Any], str | None]:
    """Return a page of an account's messages, newest first, and what to ask for the next one as
    *before*: None if this is the last one."""
    # A page begins at an id and not at a number, because new messages don't move the ids.
    start = f"({before}" if before else "+"
    found = redis.xrevrange(f"history:{account}", max=start, count=per_page + 1)
    page = found[:per_page]
    older = page[-1][0] if len(found) > per_page else None
    return [json.loads(entry["message"]) for _, entry in page], older
