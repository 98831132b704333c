"""Run the lines of the Procfile, each once the one before it is up; when one ends, end them all.

Routine lines of their logs are left out; VERBOSE=1 shows everything. Exit status: 0 after Ctrl-C,
SIGTERM or SIGHUP, else 1. With REDIS_URL set, ``redis`` is left out.
"""

import os
import re
import signal
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from threading import Event, Thread

# What each prints once it is up. A worker that waits for Redis must not keep the web waiting.
UP = {"redis": "Ready to accept", "worker": r" ready\.|Trying again in", "web": "Open http"}
# Records below WARNING, as Python logs them or Valkey, and Valkey's advice about the kernel.
ROUTINE = re.compile(r"\[\d{4}-.{15,45}\b(DEBUG|INFO)\b|\d+:\w .{24} ([.*-]|# WARNING Memory) ")
ERROR = re.compile(r"\[\d{4}-.{15,45}\b(ERROR|CRITICAL)\b|Traceback")
asked, stopping = Event(), Event()  # asked: a signal said that it is time to stop


def say(name: str, text: str) -> None:
    # If the terminal is gone, print() would keep the text, and fail later.
    with suppress(OSError):
        os.write(1, f"{name:6} | {text.rstrip()}\n".encode())


class Process(Popen[str]):
    """A line of the Procfile, in a process group of its own: Ctrl-C reaches run.py alone."""

    def __init__(self, name: str, line: str) -> None:
        super().__init__(  # noqa: S604
            line, shell=True, text=True, errors="replace", start_new_session=True,
            stdin=DEVNULL, stdout=PIPE, stderr=STDOUT,
        )  # fmt: skip
        self.name, self.up = name, Event()
        self.hidden: deque[str] = deque(maxlen=5)  # to be shown if it fails
        self.reader = Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        """Show what it prints: while it starts, only errors, and then all but routine records.

        So tracebacks are shown, and what somebody prints to find a bug.
        """
        show = False
        for line in self.stdout or ():
            if ROUTINE.match(line) or stopping.is_set():
                show = False
            elif self.up.is_set() or ERROR.match(line):
                show = True  # the lines that follow belong to this one
            elif not show:
                self.hidden.append(line)

            news = None if self.up.is_set() else re.search(f"({UP[self.name]}).*", line)
            if os.environ.get("VERBOSE") == "1" or (show and line.strip()):
                say(self.name, line)
            elif news:
                say(self.name, news[0].strip())
            if news:
                self.up.set()


def start_killer() -> Popen[str]:
    """Start a shell that kills what run.py leaves behind, even if run.py itself is killed.

    Its input is a pipe into which run.py writes process groups. The shell reads on until the pipe
    is closed, and that happens when run.py ends, however it ends. Then the shell kills the groups.
    """
    command = "exec 2>&-; kill -KILL $(cat)"
    return Popen(command, shell=True, text=True, start_new_session=True, stdin=PIPE)  # noqa: S602


def are_well(processes: list[Process]) -> bool:
    return not asked.is_set() and all(process.poll() is None for process in processes)


def report_failures(processes: list[Process]) -> None:
    for process in processes:
        if process.poll() is not None:
            process.reader.join(timeout=1)  # until its last line is read
            for line in [] if process.up.is_set() else process.hidden:
                say(process.name, line)
            say(process.name, f"failed: it ended by itself, with status {process.returncode}")


def stop(processes: list[Process], deadline: float) -> None:
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.terminate()
    while time.monotonic() < deadline and any(process.poll() is None for process in running):
        time.sleep(0.05)
    for process in running:
        say(process.name, "hangs; it is killed" if process.poll() is None else "stopped")


def main() -> None:
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ["PYTHONUNBUFFERED"] = "1"  # or what an app prints appears long after
    lines = dict(re.findall(r"^(\w+): *(.+)", Path("Procfile").read_text(), re.MULTILINE))
    if os.environ.get("REDIS_URL") or os.environ.get("FLASK_REDIS_URL"):
        del lines["redis"]
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE:
        signal.signal(number, lambda *_: asked.set())

    killer = start_killer()
    processes: list[Process] = []
    for name, line in lines.items():
        if are_well(processes):
            say(name, "starting")
            processes.append(Process(name, line))
            print(f"-{processes[-1].pid}", file=killer.stdin, flush=True)
        while are_well(processes) and not processes[-1].up.wait(0.1):
            pass
    while are_well(processes):
        time.sleep(0.1)

    if not asked.is_set():
        report_failures(processes)
    stopping.set()
    end = time.monotonic()
    stop([p for p in processes if p.name != "redis"], end + 3.5)  # tasks go back to redis, so
    stop([p for p in processes if p.name == "redis"], end + 4)  # that ends last
    killer.communicate()
    sys.exit(not asked.is_set())


if __name__ == "__main__":
    main()
