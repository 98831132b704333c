"""Each process of chapter 06 is killed or replaced under load, and another takes its place."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import missing
from desks import Crew, Whole, pause, slow_disk
from ledger import Load
from report import Report, reported

pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def report(pytestconfig: pytest.Config) -> Iterator[Report]:
    with reported(pytestconfig) as report:
        yield report


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """One start of the chapter for all tests, with two web processes."""
    with Crew(tmp_path_factory.mktemp("kills") / "06", WEB_CONCURRENCY="2") as crew:
        yield crew


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_process_is_replaced_when_its_child_is_killed(
    crew: Crew, report: Report, name: str
) -> None:
    what = {"web": "a web process", "worker": "a child of Celery's pool"}[name]
    deaths = crew.deaths()

    with Load(crew) as load:
        for _ in report.rounds(f"SIGKILL to {what}", load):
            with load.steady():
                pause(0.3, 1)
                crew.kill_child(name)
                pause(0.3, 0.7)

    assert crew.deaths() == deaths  # gunicorn and Celery did that


@pytest.mark.parametrize("name", ["web", "worker", "redis"])
def test_nothing_is_lost_when_a_main_process_is_killed(
    crew: Crew, report: Report, name: str
) -> None:
    what = {"web": "gunicorn", "worker": "the Celery worker", "redis": "Valkey"}[name]

    with Load(crew) as load:
        for _ in report.rounds(f"SIGKILL to {what}", load):
            with load.steady():
                pause(0.3, 1)
                crew.kill_main(name)
                pause(0.3, 0.7)


def test_nothing_is_lost_when_valkey_is_killed_while_its_disk_is_slow(
    tmp_path: Path, report: Report
) -> None:
    if sys.platform != "linux" or not shutil.which("cc"):
        missing("C compiler that can make a disk slow, as on Linux")

    with Crew(tmp_path / "06", **slow_disk(tmp_path)) as crew, Load(crew) as load:
        for _ in report.rounds("SIGKILL to Valkey, its disk slow", load):
            with load.steady():
                pause(1, 2)
                crew.kill_main("redis")
                pause(0.3, 0.7)


def test_nothing_is_lost_when_all_are_killed_and_started_again(
    tmp_path: Path, report: Report
) -> None:
    with Whole(tmp_path / "06") as desk, Load(desk) as load:
        for _ in report.rounds("SIGKILL to run.py, and so to all", load):
            with load.steady():
                pause(0.3, 1)
                desk.kill()
                desk.start()
                pause(0.3, 0.7)


def test_a_rolling_restart_loses_nothing_of_200_open_streams(crew: Crew, report: Report) -> None:
    with Load(crew, streams=200) as load:
        for _ in report.rounds("rolling restart with 200 open streams", load):
            with load.steady():
                pause(0.3, 0.7)
                crew.replace_web_processes()
                pause(0.3, 0.7)
