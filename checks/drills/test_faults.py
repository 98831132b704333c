"""What chapter 06 needs is taken away under load and given back; its clocks are wrong."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from itsdangerous.encoding import base64_decode, bytes_to_int

from conftest import missing
from desks import Crew, SmallDisk, clock_ahead, pause
from ledger import Browser, Ledger, Load
from report import Report, reported
from servers import free_port

pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def report(pytestconfig: pytest.Config) -> Iterator[Report]:
    with reported(pytestconfig) as report:
        yield report


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """One start of the chapter, with four web processes."""
    with Crew(tmp_path_factory.mktemp("faults") / "06", WEB_CONCURRENCY="4") as crew:
        yield crew
        assert crew.deaths() == 0  # whatever was away, nobody left for that


# Valkey


def test_nothing_is_lost_while_valkey_is_frozen(crew: Crew, report: Report) -> None:
    with Load(crew) as load:
        for _ in report.rounds("Valkey frozen, its backlog full", load):
            with load.steady():
                pause(0.3, 0.7)
                with crew.frozen_redis():
                    pause(2, 3)  # longer than anything in the app waits for it
                pause(0.3, 0.7)


def test_nothing_is_lost_while_the_memory_of_valkey_is_full(crew: Crew, report: Report) -> None:
    with Load(crew) as load:
        for _ in report.rounds("Valkey's memory full", load):
            with load.steady():
                pause(0.3, 0.7)
                with crew.full_memory():
                    load.wait_for_refusal(503)
                    pause(1, 2)
                pause(0.3, 0.7)


# The disk


def test_nothing_is_lost_while_the_disk_is_full(tmp_path: Path, report: Report) -> None:
    if reason := SmallDisk.why_not():
        missing(reason)
    disk = SmallDisk()

    with Crew(tmp_path / "06", disk) as crew, Load(crew) as load:
        for _ in report.rounds("disk full", load):
            with load.steady():
                pause(0.3, 0.7)
                disk.fill()
                load.wait_for_refusal(503)
                load.wait_for_refusal(507)
                pause(0.3, 0.7)
                disk.make_room()
                pause(0.3, 0.7)

        assert crew.deaths() == 0
        assert "No space left on device" in crew.log()
        assert "MISCONF" in crew.log()
    disk.close()


# Clocks


@pytest.mark.parametrize("seconds", [60, -60])
def test_nobody_is_logged_out_by_a_clock_that_is_wrong(
    crew: Crew, tmp_path: Path, report: Report, seconds: int
) -> None:
    port = free_port()
    other = clock_ahead(tmp_path / "clock", seconds) + f":{crew.env['PYTHONPATH']}"

    with crew.another_web(port, PYTHONPATH=other), Load(crew, ports=(port,)) as load:
        assert clocks(crew.port) == pytest.approx([time.time()] * 2, abs=20)
        assert clocks(port) == pytest.approx([time.time() + seconds] * 2, abs=20)
        for _ in report.rounds(f"two web processes, clocks {seconds:+d} s apart", load):
            with load.steady():
                pause(1.5, 2.5)


def clocks(port: int) -> list[float]:
    """Return what gunicorn and itsdangerous at *port* take for the time: in Date, in a cookie."""
    browser = Browser(Ledger(), port, "ada").log_in()
    date = browser.ask("GET", "/").headers["Date"]
    signed_at = browser.cookie.split(".")[-2]
    return [parsedate_to_datetime(date).timestamp(), bytes_to_int(base64_decode(signed_at))]


# Many processes


def test_browsers_that_reconnect_hear_everything_once(crew: Crew, report: Report) -> None:
    with Load(crew, streams=36) as load:
        for _ in report.rounds("four web processes, reconnects all the time", load):
            with load.steady():
                load.cut_streams(seconds=2.5)
