"""Run the lines of the Procfile; when one of them ends, or on Ctrl-C, end them all.

VERBOSE=1 makes them say more. Exit status: 0 after Ctrl-C, SIGTERM or SIGHUP, else 1. With
REDIS_URL set, ``redis`` is left out.
"""

import os
import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

asked_to_stop = False


def ask_to_stop(*_: object) -> None:
    # Nothing but a plain variable: another signal may come while this function runs.
    global asked_to_stop
    asked_to_stop = True


def stop(processes: list[Popen[str]], seconds: float) -> None:
    """Ask *processes* to end, and wait for that, but not for ever."""
    deadline = time.monotonic() + seconds
    for process in processes:
        process.terminate()
    for process in processes:
        with suppress(TimeoutExpired):
            process.wait(max(0, deadline - time.monotonic()))


def main() -> None:
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ["PYTHONUNBUFFERED"] = "1"  # or what an app prints appears long after
    lines = dict(
        re.findall(r"^(\w+): *(.+)", Path(__file__).with_name("Procfile").read_text(), re.MULTILINE)
    )
    if os.environ.get("REDIS_URL") or os.environ.get("FLASK_REDIS_URL"):
        del lines["redis"]
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, ask_to_stop)

    # This shell kills what run.py leaves behind, even if run.py itself is killed: it waits for the
    # end of its input, and that comes when run.py ends, however it ends.
    kill = "exec 2>&-; kill -KILL $(cat)"
    killer = Popen(kill, shell=True, text=True, stdin=PIPE, start_new_session=True)  # noqa: S602
    processes = {}
    for name, line in lines.items():
        # In a session of its own, so that Ctrl-C reaches run.py alone.
        process = processes[name] = Popen(  # noqa: S602
            line, shell=True, text=True, start_new_session=True,
            stdin=DEVNULL, stdout=PIPE if name == "redis" else None,
        )  # fmt: skip
        print(f"-{process.pid}", file=killer.stdin, flush=True)
        if process.stdout:  # the others need redis: wait for the line that says that it's ready
            print(process.stdout.readline(), end="", flush=True)

    while not asked_to_stop and all(process.poll() is None for process in processes.values()):
        time.sleep(0.1)
    status = 0 if asked_to_stop else 1
    for name, process in processes.items():
        if status and process.returncode is not None:
            with suppress(OSError):  # nobody may be there to read it
                print(f"{name} ended by itself, with status {process.returncode}", flush=True)

    redis = processes.pop("redis", None)
    stop([*processes.values()], seconds=3.5)  # the worker gives its tasks back to redis
    stop([redis] if redis else [], seconds=0.5)
    killer.communicate()
    sys.exit(status)


if __name__ == "__main__":
    main()
