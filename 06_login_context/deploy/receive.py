"""Listens for the messages of every account that is logged in: ``python -m deploy.receive``.

Any number of these may run, on any number of machines: in Redis, ``listener:<account>`` says which
of them listens for an account. SIGTERM and Ctrl-C end it; what was on its way comes again.

It takes three functions from the app: ``create_app``, whose app has what delivery.py needs,
``accounts``, which returns for whom to listen, and ``get_bot``, which opens an account. If one of
them raises an error, that's logged, and tried again. ``get_bot(account).messages()`` yields without
end, and keeps two promises:

- It yields at least once a second: a message, or None. Otherwise a logout is noticed late, and
  another process may listen as well.
- It forgets a message only when the next is asked for. Otherwise the one that's under way is lost
  if this process dies.
"""

import os
import secrets
import signal
import threading
import time
from typing import Any

from redis import RedisError
from redis.exceptions import LockError
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


def hold(lease: Lock) -> bool:
    """Acquire *lease*, or renew it; return False if another process has it."""
    try:
        return bool(lease.reacquire())
    except LockError:  # it has expired, or is new
        token = f"{os.getpid()}-{secrets.token_hex(8)}"  # says which process has it
        return bool(lease.acquire(blocking=False, token=token))


def take(message: Any, account: str) -> None:
    """Deliver *message*, or say in the log that it can't be."""
    try:
        deliver(message, account)
    except ValueError as error:
        # Passed over, or it would come again forever, and everything behind it would wait.
        id = message.get("id") if isinstance(message, dict) else None
        app.logger.error("Passed over a message for %s, whose id is %.99r: %s", account, id, error)


def listen(account: str, lease: Lock) -> None:
    """Deliver what comes for *account*, until its last login has ended."""
    try:
        with app.app_context():
            messages = iter(get_bot(account).messages())
        while account in wanted:
            with app.app_context():  # each message has its own, as each request has
                message = next(messages)
                if message:
                    take(message, account)
            if not hold(lease):
                app.logger.warning("Another process listens for %s now", account)
                return
        lease.release()
    except (OSError, RedisError, StopIteration) as error:
        # The lease runs out by itself: that's the pause before the next attempt.
        app.logger.warning("No messages for %s: %s", account, type(error).__name__)
    except Exception:
        app.logger.exception("No messages for %s", account)


def start(account: str) -> None:
    """Listen for *account* in a thread, unless one does already, in whatever process."""
    if account in listeners and listeners[account].is_alive():
        return
    lease = redis.lock(f"listener:{account}", timeout=LEASE, thread_local=False)
    if hold(lease):
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
        except Exception:
            app.logger.exception("Trying again")
        time.sleep(1)

    wanted = set()
    time.sleep(1)  # the listeners notice it, and release their leases


if __name__ == "__main__":
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, ask_to_stop)
    main()
