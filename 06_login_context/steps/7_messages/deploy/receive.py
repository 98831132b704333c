"""Listens for the messages of every account that is logged in: ``python -m deploy.receive``.

Any number of these may run, on any number of machines: in Redis, ``listener:<account>`` says which
of them listens for an account. SIGTERM and Ctrl-C end it; what was on its way comes again.

It takes three functions from the app: ``create_app``, whose app has what delivery.py needs,
``accounts``, which returns for whom to listen, and ``get_bot``, which opens an account.
"""

import os
import secrets
import signal
import threading
import time

from redis import RedisError
from redis.lock import Lock

from app import create_app
from delivery import deliver
from logins import accounts
from wx import get_bot

LEASE = 2  # seconds after which another process may listen instead of one that is silent

app = create_app()
redis = app.extensions["redis"]
wanted: set[str] = set()  # the accounts that are logged in
listeners: dict[str, threading.Thread] = {}
asked_to_stop = False


def ask_to_stop(*_: object) -> None:
    # Nothing but a plain variable, because a signal comes in the middle of anything.
    global asked_to_stop
    asked_to_stop = True


def listen(account: str, lease: Lock) -> None:
    """Deliver what comes for *account*, until its last login has ended."""
    with app.app_context():
        try:
            bot = get_bot(account)
        except KeyError:
            app.logger.warning("BOT_CLASS has no account %s", account)
            return

        try:
            for message in bot.messages():
                lease.reacquire()  # LockError, a RedisError, if another process has it now
                if account not in wanted:
                    break
                if message:
                    deliver(message, account)
            lease.release()
        except (OSError, RedisError) as error:
            # The lease runs out by itself: that's the pause before the next attempt.
            app.logger.warning("No messages for %s: %s", account, type(error).__name__)


def start(account: str) -> None:
    """Listen for *account* in a thread, unless one does already, in whatever process."""
    if account in listeners and listeners[account].is_alive():
        return
    lease = redis.lock(f"listener:{account}", timeout=LEASE, thread_local=False)
    if lease.acquire(blocking=False, token=f"{os.getpid()}-{secrets.token_hex(8)}"):
        listeners[account] = threading.Thread(target=listen, args=[account, lease], daemon=True)
        listeners[account].start()


def main() -> None:
    """Look once a second who is logged in, until a signal comes."""
    global wanted
    while not asked_to_stop:
        try:
            with app.app_context():
                wanted = accounts()
            for account in wanted:
                start(account)
        except RedisError as error:
            app.logger.warning("Trying again: %s", type(error).__name__)
        time.sleep(1)

    wanted = set()
    time.sleep(1)  # the listeners notice it, and release their leases


if __name__ == "__main__":
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, ask_to_stop)
    main()
