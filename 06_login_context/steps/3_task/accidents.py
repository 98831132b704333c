"""Teaching apparatus: a slow account, a look into the broker, and a button that kills workers."""

import json
import os
import signal
from contextlib import suppress

from logins import redis
from wx import DemoBot


class SlowBot(DemoBot):
    delay = 1.0  # seconds until a page of contacts arrives: time enough for an accident


def queue(login_id: str) -> dict[str, int]:
    """Count the tasks of a login that wait for a worker, and those that one hasn't acknowledged."""
    return {
        "waiting": sum(login_id in message for message in redis.lrange("celery", 0, -1)),
        "unacknowledged": sum(login_id in message for message in redis.hvals("unacked")),
    }


def kill(login_id: str, what: str) -> None:
    """Kill the process at work for this login or, if *what* is "worker", its whole worker."""
    progress = json.loads(redis.get(f"fetching:{login_id}") or "{}")
    pids = [progress.get("worker"), progress.get("process")]
    for pid in pids if what == "worker" else pids[1:]:
        with suppress(ProcessLookupError, TypeError):  # it has ended, or nothing is under way
            os.kill(pid, signal.SIGKILL)
