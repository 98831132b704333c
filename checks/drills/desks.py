"""The chapter's processes, each started again when it dies, and ways to break what they need."""

import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from redis import Redis

from desk import CHAPTER, Desk
from servers import until

PROCFILE = (CHAPTER / "deploy/Procfile").read_text(encoding="utf-8")
# What a process says once it works.
UP = {"redis": b"Ready to accept connections", "worker": b" ready.", "web": b"Open http"}
# What many clients with one address and three accounts would soon reach.
LIMITS = dict.fromkeys(
    ("FLASK_CODES_PER_MINUTE", "FLASK_LOGINS_PER_ACCOUNT", "FLASK_MESSAGES_PER_MINUTE"), "1000000"
)
SETTINGS = LIMITS | {
    "FLASK_BOT_CLASS": "bots.SteadyBot",
    "FLASK_VISIBILITY_TIMEOUT": "2",  # seconds; a task takes a fifth of one
    "FLASK_SSE_HEARTBEAT": "4",
}
# What Valkey calls to have its file on the disk, as a disk that is very busy does it.
SLOW = "#include <unistd.h>\nint fdatasync(int file) { usleep(1500000); return fsync(file); }\n"


def pause(least: float, most: float) -> None:
    """Wait for a random time, so that the next line happens at another moment in each round."""
    time.sleep(random.uniform(least, most))


def children(pid: int) -> set[int]:
    """Return the processes that *pid* has started, without those that are only not buried yet."""
    listing = subprocess.check_output(["ps", "-Ao", "pid=,ppid=,stat="], text=True)
    rows = [line.split() for line in listing.splitlines()]
    return {int(r[0]) for r in rows if int(r[1]) == pid and r[2][0] != "Z"}


class Member(Thread):
    """A line of the Procfile; its process is started again whenever it ends, as systemd would."""

    def __init__(self, crew: "Crew", name: str, command: str, env: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.crew, self.command, self.env = crew, command, env
        self.up, self.log = UP.get(name.split("-")[0], b""), crew.folder / f"{name}.log"
        self.deaths, self.ended = 0, False
        self.launch()
        self.start()

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self.said = log.tell()  # what is before this, an earlier process has said
            self.process = subprocess.Popen(
                self.command, shell=True, cwd=self.crew.folder, env=self.env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        print(f"-{self.process.pid}", file=self.crew.killer.stdin, flush=True)

    def run(self) -> None:
        while True:
            self.process.wait()
            self.kill()  # what it has started
            if self.ended:
                break
            self.deaths += 1
            self.launch()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> None:
        self.ended = True
        while self.is_alive():
            self.kill()
            self.join(0.1)

    def works(self) -> bool:
        return self.up in self.log.read_bytes()[self.said :] and self.process.poll() is None


class Crew(Desk):
    """The lines of a Procfile, each under a small supervisor of its own."""

    def __init__(self, folder: Path, procfile: str = PROCFILE, **environment: str) -> None:
        super().__init__(folder, **(SETTINGS | environment))
        self.commands = re.findall(r"^(\w+): *(.+)", procfile, re.MULTILINE)
        self.env = {k: v for k, v in self.env.items() if k != "FLASK_DEBUG"}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.members: dict[str, Member] = {}

    def start(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == 256:  # macOS; each browser and each stream is a connection
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        # Kills what is left if the drill itself ends before stop(), as in the chapter's run.py.
        self.killer = subprocess.Popen(
            "exec 2>&-; kill -KILL $(cat)", shell=True, text=True, stdin=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        for name, command in self.commands:
            if name != "redis" or "REDIS_URL" not in self.env:
                self.members[name] = Member(self, name, command, self.env)
        for name in self.members:
            self.wait_for(name)

    def wait_for(self, name: str) -> None:
        """Wait until the process *name* says that it works."""
        until(self.members[name].works, f"{name} does not start\n{self.log()[-3000:]}")

    def stop(self) -> None:
        for member in self.members.values():
            member.end()
        self.killer.kill()
        self.killer.communicate()
        super().stop()

    def log(self) -> str:
        logs = [member.log for member in self.members.values()]
        return "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)

    def pid(self, name: str) -> int:
        """Return the main process of *name*; that of redis is the server itself."""
        main = self.members[name].process.pid
        return next(iter(children(main))) if name == "redis" else main

    def deaths(self) -> int:
        """Return how many processes have left since the start."""
        return sum(member.deaths for member in self.members.values())

    # What breaks

    def kill_main(self, name: str) -> None:
        """Kill the main process of *name*, and wait until another one works."""
        deaths = self.members[name].deaths
        os.kill(self.pid(name), signal.SIGKILL)
        until(lambda: self.members[name].deaths > deaths, f"{name} does not die")
        self.wait_for(name)

    def kill_child(self, name: str) -> None:
        """Kill a process that *name* has started, and wait until there is another one."""
        before = until(lambda: children(self.pid(name)), f"{name} has no children")
        victim = random.choice(sorted(before))
        os.kill(victim, signal.SIGKILL)
        self.wait_for_others(name, {victim}, len(before))

    def replace_web_processes(self) -> None:
        """Have gunicorn start new web processes and end the old ones, as a deployment does."""
        before = children(self.pid("web"))
        os.kill(self.pid("web"), signal.SIGHUP)
        self.wait_for_others("web", before, len(before))

    def wait_for_others(self, name: str, gone: set[int], count: int) -> None:
        """Wait until *name* has *count* children again, none of which is one of *gone*."""

        def replaced() -> bool:
            now = children(self.pid(name))
            return len(now) >= count and not now & gone

        until(replaced, f"{name} does not replace its children")

    @contextmanager
    def another_web(self, port: int, **environment: str) -> Iterator[None]:
        """Run one more gunicorn on *port*, with the same data, until the end of the block."""
        env = self.env | {"PORT": str(port), "WEB_CONCURRENCY": "1"} | environment
        self.members["web-2"] = Member(self, "web-2", self.members["web"].command, env)
        try:
            self.wait_for("web-2")
            yield
        finally:
            self.members.pop("web-2").end()

    @contextmanager
    def frozen_redis(self) -> Iterator[None]:
        """Freeze Valkey until the end of the block, with a backlog that no more clients fit in."""
        pid, crowd = self.pid("redis"), []
        path = self.redis_url().removeprefix("unix://")
        os.kill(pid, signal.SIGSTOP)
        try:
            with suppress(BlockingIOError):  # the backlog is full
                for _ in range(5000):
                    crowd.append(socket.socket(socket.AF_UNIX))
                    crowd[-1].setblocking(False)
                    crowd[-1].connect(path)
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
            for client in crowd:
                client.close()

    @contextmanager
    def full_memory(self) -> Iterator[None]:
        """Let Valkey have no more memory than it has, until the end of the block."""
        with Redis.from_url(self.redis_url(), decode_responses=True) as redis:
            assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            redis.config_set("maxmemory", 1)
            try:
                yield
            finally:
                redis.config_set("maxmemory", 0)


def slow_disk(folder: Path) -> dict[str, str]:
    """Return the environment of a Valkey whose disk takes longer than a second to be written to."""
    (folder / "slow.c").write_text(SLOW)
    command = ["cc", "-shared", "-fPIC", "-o", "slow.so", "slow.c"]
    subprocess.run(command, cwd=folder, check=True)
    return {"LD_PRELOAD": str(folder / "slow.so")}


def clock_ahead(folder: Path, seconds: int) -> str:
    """Return a PYTHONPATH with which the clock of a Python is *seconds* ahead.

    Only time.time() moves, which gunicorn, itsdangerous and the app ask; datetime.now() does not.
    """
    folder.mkdir()
    lines = "import time", "now = time.time", f"time.time = lambda: now() + {seconds}"
    (folder / "sitecustomize.py").write_text("\n".join(lines))
    return str(folder)


class Cable:
    """A TCP proxy between the app and Valkey; it can be cut in four ways.

    - "closed": connections end, and so does every new one.
    - "lost": nothing passes, and what was under way is lost: its connections end with the cut.
    - "late": nothing passes, but what was under way arrives after the cut, as TCP repeats it.
    - "unanswered": requests pass and responses don't; connections end with the cut.
    """

    WAYS = ("closed", "lost", "late", "unanswered")
    # A cut is worst while a message, a code or a login is being written: it begins there.
    WORST = (b"account:", b"scan:")

    def __init__(self, target: int) -> None:
        self.target, self.way = target, ""
        self.next_way, self.begins_at = "", b""
        self.ends: set[socket.socket] = set()
        self.server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self.server.getsockname()[1]
        Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            client = self.server.accept()[0]
            if self.way == "closed":
                client.close()
                continue
            valkey = socket.create_connection(("127.0.0.1", self.target))
            self.ends |= {client, valkey}
            Thread(target=self.carry, args=(client, valkey, True), daemon=True).start()
            Thread(target=self.carry, args=(valkey, client, False), daemon=True).start()

    def carry(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        """Pass on what one side says to the other; keep it while nothing passes."""
        data = b"a first time"
        with suppress(OSError):
            while data:
                data = source.recv(65536)
                if is_request and self.begins_at and self.begins_at in data:
                    self.begins_at, self.way = b"", self.next_way
                    if self.way == "closed":
                        self.end_all()
                while self.way and not (is_request and self.way == "unanswered"):
                    time.sleep(0.01)  # the end of a connection does not pass either
                sink.sendall(data)
        self.end(source)
        self.end(sink)

    def end(self, sock: socket.socket) -> None:
        self.ends.discard(sock)
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

    def end_all(self) -> None:
        for sock in self.ends.copy():
            self.end(sock)

    @contextmanager
    def cut(self, way: str) -> Iterator[None]:
        """Cut the cable at the next bad moment, until the end of the block."""
        self.next_way, self.begins_at = way, random.choice(self.WORST)
        until(lambda: self.way, "a request at which the cut begins")
        try:
            yield
        finally:
            if way != "late":
                self.end_all()
            self.way = ""
