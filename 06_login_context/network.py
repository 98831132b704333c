"""A stand-in for the chat network: Redis keeps what is sent to an account until it's received.

``network:<account>`` in Redis is a stream, a list of entries that a reader can wait for.
"""

import json
from collections.abc import Iterator

import wx
from logins import redis
from wx import ACCOUNTS, Message

WAIT = 500  # milliseconds that a bot waits in Redis at a time
MOST = 1000  # messages that the network keeps for an account, roughly


class DemoBot(wx.DemoBot):
    """One of the demo's accounts, on the network: it sends to the others, and hears them."""

    def send(self, message: Message, recipients: list[str]) -> None:
        with redis.pipeline() as pipe:  # to all of them or to none
            for account in ACCOUNTS.keys() & set(recipients):
                pipe.xadd(f"network:{account}", {"message": json.dumps(message)}, maxlen=MOST)
            pipe.execute()

    def messages(self) -> Iterator[Message | None]:
        inbox = f"network:{self.self['id']}"
        while True:
            oldest = redis.xrange(inbox, count=1)
            for entry_id, entry in oldest:
                yield json.loads(entry["message"])
                redis.xdel(inbox, entry_id)  # the next one is asked for
            if not oldest:
                yield None
                redis.xread({inbox: "0"}, count=1, block=WAIT)  # only to be woken
