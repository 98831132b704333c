"""How long a login lasts, how many an account may have, and who is logged in."""

from collections.abc import Iterator

import pytest
from flask import Flask
from redis import Redis
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
    assert 0 < redis.ttl("logins:ada") <= 2 * lifetime


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


def test_the_caller_says_how_the_oldest_logins_end(app: Flask) -> None:
    app.config["LOGINS_PER_ACCOUNT"] = 2
    ended: list[str] = []
    first, second, *rest = [logins.create("ada", ended.append) for _ in range(4)]
    assert ended == [first, second]
    assert redis.lrange("logins:ada", 0, -1) == rest[::-1]


def test_to_end_an_unknown_login_changes_nothing(app: Flask) -> None:
    logins.create("None")
    logins.end("unknown")
    with redis.pipeline() as pipe:
        logins.end("unknown", pipe)
        assert len(pipe) == 0


def test_a_login_may_end_in_a_larger_transaction(app: Flask) -> None:
    login_id = logins.create("ada")
    with redis.pipeline() as pipe:
        logins.end(login_id, pipe)
        assert logins.account_of(login_id) == "ada"  # not yet
        pipe.execute()
    assert redis.keys() == []


def test_it_tells_which_accounts_are_logged_in(app: Flask) -> None:
    assert logins.accounts() == set()
    ada, lin = logins.create("ada"), logins.create("lin")
    logins.create("ada")
    redis.hset("login:of-an-older-version", "name", "Omar")
    logins.end(lin)
    logins.end(ada)
    assert logins.accounts() == {"ada"}


def test_an_account_whose_logins_have_expired_is_not_logged_in(app: Flask) -> None:
    redis.delete(f"login:{logins.create('ada')}")  # as Redis does in the end
    redis.delete(f"login:{logins.create('lin')}")
    logins.create("lin")
    assert logins.accounts() == {"lin"}


def test_a_client_that_returns_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="decode_responses"):
        logins.init_app(Flask("other"), Redis())
