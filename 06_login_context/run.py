"""Run the lines of the Procfile, each once the one before it is up; when one ends, end them all.

Exit status: 0 after Ctrl-C, SIGTERM or SIGHUP, else 1. With REDIS_URL set, ``redis`` is left out.
"""

import os
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from threading import Event, Thread

UP = {"redis": "Ready to accept connections", "worker": " ready.", "web": "Open http"}
# Groups of their own: Ctrl-C reaches this process alone, and the killer whatever they start.
spawn = partial(Popen[str], shell=True, text=True, errors="replace", start_new_session=True)  # noqa: S604
asked = Event()


def relay(name: str, up: Event) -> None:
    """Print what the process *name* says; set *up* at the line that says it is."""
    for line in running[name].stdout or ():
        print(f"{name:6} | {line}", end="", flush=True)
        if UP[name] in line:
            up.set()


def well() -> bool:
    return not asked.is_set() and all(process.poll() is None for process in running.values())


os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
commands = dict(re.findall(r"^(\w+): *(.+)", Path("Procfile").read_text(), re.MULTILINE))
if os.environ.get("REDIS_URL") or os.environ.get("FLASK_REDIS_URL"):
    del commands["redis"]
for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE:
    signal.signal(number, lambda *_: asked.set())
# Its input ends with this process, even by SIGKILL; then it kills what is left.
running = {"killer": spawn("exec 2>&-; kill -KILL $(cat)", stdin=PIPE)}
for name, command in commands.items():
    running[name] = spawn(command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    print(f"-{running[name].pid}", file=running["killer"].stdin, flush=True)
    Thread(target=relay, args=(name, up := Event()), daemon=True).start()
    while well() and not up.wait(0.1):
        pass
    if not well():
        break
while well():
    time.sleep(0.1)
end = time.monotonic()
for names, seconds in (commands.keys() - {"redis"}, 3.5), ({"redis"}, 4):  # work goes to redis
    group = [running[name] for name in names & running.keys()]
    for process in group:
        process.terminate()
    while time.monotonic() < end + seconds and any(process.poll() is None for process in group):
        time.sleep(0.05)
running["killer"].communicate()
sys.exit(not asked.is_set())
