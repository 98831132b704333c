"""deploy/receive.py as a process of its own: killed, frozen, told to end."""

import json
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g

import logins
from conftest import Desk, Receivers, until
from delivery import history
from network import DemoBot
from wx import Message, get_bot


def message(number: int) -> dict[str, Any]:
    return {"id": f"message-{number:08}", "from_id": "ada", "text": str(number)}


def send(app: Flask, *numbers: int) -> None:
    with app.app_context():
        for number in numbers:
            get_bot("ada").send(message(number), ["lin"])


def log_in(app: Flask, account: str = "lin") -> str:
    with app.app_context():
        return logins.create(account)


def log_out(app: Flask, login_id: str) -> None:
    with app.app_context():
        logins.end(login_id)


def heard(desk: Desk) -> list[int]:
    """Return the numbers of the messages that lin's pages were told, oldest first."""
    return [int(text) for text in desk.told("lin")]


def kept(app: Flask) -> list[int]:
    with app.app_context():
        messages, older = history("lin", None, per_page=1000)
    assert older is None
    return [int(message["text"]) for message in reversed(messages)]


def let_the_lease_expire(desk: Desk) -> None:
    """Spare a test the wait; the one with a frozen receiver waits for it."""
    desk.redis.delete("listener:lin")


def test_of_300_messages_none_is_lost_or_doubled_by_ten_kills(
    desk: Desk, app: Flask, receivers: Receivers
) -> None:
    log_in(app)
    receiver = receivers()
    for start in range(0, 300, 30):
        before = len(heard(desk))
        send(app, *range(start, start + 30))
        until(lambda n=before: len(heard(desk)) > n)  # type: ignore[misc]
        time.sleep(random.uniform(0, 0.02))  # at another moment each time
        receiver.kill()
        receiver.wait()
        let_the_lease_expire(desk)
        receiver = receivers()
    until(lambda: len(kept(app)) >= 300)
    until(lambda: desk.redis.xlen("network:lin") == 0)
    assert heard(desk) == kept(app) == list(range(300))


def test_it_listens_from_the_first_login_of_an_account_to_the_end_of_its_last(
    desk: Desk, app: Flask, receivers: Receivers
) -> None:
    receivers()
    send(app, 1)
    first, second = log_in(app), log_in(app)
    until(lambda: heard(desk) == [1])

    log_out(app, first)
    send(app, 2)
    until(lambda: heard(desk) == [1, 2])

    log_out(app, second)
    until(lambda: not desk.redis.exists("listener:lin"))
    send(app, 3)
    log_in(app, "omar")
    until(lambda: desk.redis.exists("listener:omar"))  # it has looked who is logged in
    assert heard(desk) == kept(app) == [1, 2]

    log_in(app)
    until(lambda: heard(desk) == [1, 2, 3])


def test_of_two_receivers_one_listens_and_the_other_is_there_if_it_dies(
    desk: Desk, app: Flask, receivers: Receivers
) -> None:
    def listener() -> int:
        return int((desk.redis.get("listener:lin") or "0").partition("-")[0])

    log_in(app)
    two = {receiver.pid: receiver for receiver in (receivers(), receivers())}
    first = until(listener)
    for number in range(9):
        send(app, number)
        until(lambda n=number: heard(desk) == [*range(n + 1)])  # type: ignore[misc]
        time.sleep(0.23)  # together, more than a lease lasts
        assert listener() == first

    two[first].kill()
    two[first].wait()
    let_the_lease_expire(desk)
    send(app, 9)
    until(lambda: heard(desk) == [*range(10)])
    assert listener() in two.keys() - {first}


def test_a_receiver_that_was_frozen_takes_nothing_from_the_one_that_listens_now(
    desk: Desk, app: Flask, receivers: Receivers
) -> None:
    log_in(app)
    first = receivers()
    until(lambda: desk.redis.exists("listener:lin"))
    first.send_signal(signal.SIGSTOP)
    second = receivers()
    send(app, 1)
    until(lambda: heard(desk) == [1])
    first.send_signal(signal.SIGCONT)
    send(app, *range(2, 100))
    until(lambda: len(heard(desk)) == 99)
    until(lambda: "Another process listens for lin now" in desk.log.read_text())
    assert desk.redis.get("listener:lin").startswith(f"{second.pid}-")
    assert heard(desk) == [*range(1, 100)]


class EndingBot(DemoBot):
    """It has enough after three messages."""

    def messages(self) -> Iterator[Message | None]:
        count = 0
        for message in super().messages():
            yield message
            count += bool(message)
            if count == 3:
                return


class ShakyBot(EndingBot):
    def messages(self) -> Iterator[Message | None]:
        yield from super().messages()
        raise ConnectionResetError("the network is away")


class BrokenBot(EndingBot):
    def messages(self) -> Iterator[Message | None]:
        yield from super().messages()
        raise LookupError("a mistake of the bot's")


@pytest.mark.parametrize(
    ("bot", "said"),
    [
        ("EndingBot", "No messages for lin: StopIteration\n"),
        ("ShakyBot", "No messages for lin: ConnectionResetError\n"),
        ("BrokenBot", "No messages for lin\nTraceback (most recent call last):\n"),
    ],
)
def test_a_listener_that_fails_is_started_again(
    desk: Desk, app: Flask, receivers: Receivers, bot: str, said: str
) -> None:
    log_in(app)
    send(app, *range(5))
    receivers(FLASK_BOT_CLASS=f"test_receive.{bot}")
    until(lambda: said in desk.log.read_text())
    let_the_lease_expire(desk)
    until(lambda: len(heard(desk)) == 5)
    assert heard(desk) == [*range(5)]


class RudeBot(DemoBot):
    """It waits longer than a lease lasts, and forgets a message while it hands it over."""

    def messages(self) -> Iterator[Message | None]:
        while True:
            time.sleep(2.1)
            for entry_id, entry in logins.redis.xrange("network:lin", count=1):
                logins.redis.xdel("network:lin", entry_id)
                yield json.loads(entry["message"])


def test_a_network_that_is_silent_for_longer_than_a_lease_loses_nothing(
    desk: Desk, app: Flask, receivers: Receivers
) -> None:
    log_in(app)
    send(app, *range(3))
    receivers(FLASK_BOT_CLASS="test_receive.RudeBot")
    until(lambda: desk.redis.xlen("network:lin") == 0)
    until(lambda: desk.redis.exists("listener:lin"))
    assert heard(desk) == [*range(3)]
    assert desk.log.read_text() == ""


class CountingBot(DemoBot):
    """Its messages say how many came before in their app context."""

    def messages(self) -> Iterator[Message | None]:
        for message in super().messages():
            g.count = g.get("count", 0) + 1
            yield message and message | {"text": str(g.count)}


def test_each_message_has_an_app_context_of_its_own(
    desk: Desk, app: Flask, receivers: Receivers
) -> None:
    log_in(app)
    send(app, *range(3))
    receivers(FLASK_BOT_CLASS="test_receive.CountingBot")
    until(lambda: len(heard(desk)) == 3)
    assert heard(desk) == [1, 1, 1]


def test_a_message_that_cannot_be_read_is_passed_over(
    desk: Desk, app: Flask, receivers: Receivers
) -> None:
    log_in(app)
    for wrong in ({"id": "no sender", "text": "a secret"}, {"from_id": "ada"}, ["a secret"]):
        desk.redis.xadd("network:lin", {"message": json.dumps(wrong)})
    send(app, 1)
    receivers()
    until(lambda: heard(desk) == [1])
    log = desk.log.read_text()
    assert "Passed over a message for lin, whose id is 'no sender': " in log
    assert log.count("whose id is None") == 2 and "a secret" not in log


def test_an_account_that_the_bot_class_does_not_know_stops_no_other(
    desk: Desk, app: Flask, receivers: Receivers
) -> None:
    log_in(app, "somebody")
    log_in(app)
    send(app, 1)
    receivers()
    until(lambda: "KeyError: 'somebody'" in desk.log.read_text())
    until(lambda: heard(desk) == [1])


def test_accounts_of_ones_own_may_raise_an_error_of_their_own(
    desk: Desk, app: Flask, receivers: Receivers, tmp_path: Path
) -> None:
    send(app, 1)
    with closing(sqlite3.connect(tmp_path / "own.db", isolation_level=None)) as database:
        receivers("own_accounts", DATABASE=str(tmp_path / "own.db"))
        until(lambda: desk.log.read_text().count("OperationalError: no such table") >= 2)
        database.execute("CREATE TABLE accounts AS SELECT 'lin' AS name")
        until(lambda: heard(desk) == [1])


def test_it_ends_when_it_is_told_to(desk: Desk, app: Flask, receivers: Receivers) -> None:
    log_in(app)
    receiver = receivers()
    until(lambda: desk.redis.exists("listener:lin"))
    receiver.terminate()
    assert receiver.wait(timeout=30) == 0
    assert not desk.redis.exists("listener:lin")  # the next one needn't wait
    assert desk.log.read_text() == ""


def test_a_redis_that_is_away_is_waited_for_unless_it_is_told_to_end(
    desk: Desk, app: Flask, receivers: Receivers
) -> None:
    log_in(app)
    first, second = receivers(), receivers()
    send(app, 1)
    until(lambda: heard(desk) == [1])
    desk.server.stop()
    until(lambda: desk.log.read_text().count("Trying again: ConnectionError") >= 2)
    first.terminate()
    assert first.wait(timeout=30) == 0
    assert second.poll() is None
    desk.server.start()
    send(app, 2)
    until(lambda: heard(desk) == [1, 2])
