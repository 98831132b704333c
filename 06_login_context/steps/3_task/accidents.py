"""Teaching apparatus: a slow account, a look into the broker, and a button that kills workers."""

import os
import signal
from contextlib import suppress
from typing import Any

from celery.signals import task_prerun  # type: ignore[import-untyped]
from flask import Flask

from logins import redis
from wx import DemoBot


class SlowBot(DemoBot):
    delay = 0.8  # seconds until a page of contacts arrives: time enough for an accident


def init_app(app: Flask) -> None:
    """Note who works for a login, whenever a worker begins a task."""

    def note(args: list[str], **_: object) -> None:
        work = {"process": os.getpid(), "worker": os.getppid(), "killed": 0}
        with app.app_context():
            redis.hset(f"work:{args[0]}", mapping=work)

    task_prerun.connect(note, weak=False)


def look(login_id: str) -> dict[str, Any]:
    """Return which process has begun the last task of a login, whether that was killed, and how
    many of its tasks wait for a worker, or are with one that hasn't acknowledged them."""
    work = redis.hgetall(f"work:{login_id}")
    return {
        "process": work.get("process"),
        "killed": work.get("killed") == "1",
        "waiting": sum(login_id in message for message in redis.lrange("celery", 0, -1)),
        "unacknowledged": sum(login_id in message for message in redis.hvals("unacked")),
    }


def kill(login_id: str, what: str) -> None:
    """Kill the process at work for a login or, if *what* is "worker", first its main process."""
    redis.hset(f"work:{login_id}", "killed", 1)
    names = ["worker", "process"] if what == "worker" else ["process"]
    for pid in redis.hmget(f"work:{login_id}", names):
        with suppress(ProcessLookupError, TypeError):  # it has ended, or nobody has begun
            os.kill(int(pid), signal.SIGKILL)
