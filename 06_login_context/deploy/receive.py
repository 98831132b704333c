"""Listens for the messages of every account that is logged in: ``python -m deploy.receive``.

Any number of these may run, on any number of machines: in Redis, ``listener:<account>`` says which
of them listens for an account. SIGTERM and Ctrl-C end it; what was on its way comes again.
"""

import os
import secrets
import signal
import threading
import time

from flask import Flask
from redis import RedisError
from redis.lock import Lock

import logins
from app import create_app
from delivery import deliver
from logins import redis
from wx import get_bot

LEASE = 2  # seconds after which another process may listen instead of one that is silent


class Receiver:
    """The listeners of this process, each a thread."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.wanted: set[str] = set()  # the accounts that are logged in
        self.listeners: dict[str, threading.Thread] = {}
        self.asked_to_stop = False

    def ask_to_stop(self, *_: object) -> None:
        self.asked_to_stop = True  # and no more, because it's called in the middle of anything

    def listen(self, account: str, lease: Lock) -> None:
        """Deliver what comes for *account*, until its last login has ended."""
        with self.app.app_context():
            try:
                for message in get_bot(account).messages():
                    lease.reacquire()  # LockError, a RedisError, if another process has it now
                    if account not in self.wanted:
                        break
                    if message:
                        deliver(message, account)
                lease.release()
            except (OSError, RedisError) as error:
                # The lease runs out by itself: that's the pause before the next attempt.
                self.app.logger.warning("No messages for %s: %s", account, type(error).__name__)

    def start(self, account: str) -> None:
        """Listen for *account*, unless somebody does."""
        listener = self.listeners.get(account)
        if listener and listener.is_alive():
            return
        lease = redis.lock(f"listener:{account}", timeout=LEASE, thread_local=False)
        if lease.acquire(blocking=False, token=f"{os.getpid()}-{secrets.token_hex(8)}"):
            listener = threading.Thread(target=self.listen, args=[account, lease], daemon=True)
            self.listeners[account] = listener
            listener.start()

    def run(self) -> None:
        """Look once a second who is logged in, until a signal comes."""
        while not self.asked_to_stop:
            with self.app.app_context():
                try:
                    self.wanted = logins.accounts()
                    for account in self.wanted:
                        self.start(account)
                except RedisError as error:
                    logins.unavailable(error)  # writes it to the log; the next look is in a second
            time.sleep(1)

        self.wanted = set()
        for listener in self.listeners.values():
            listener.join(1)


if __name__ == "__main__":
    receiver = Receiver(create_app())
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, receiver.ask_to_stop)
    receiver.run()
