"""How many logins an account may have at the desk; step 2 has the tests of `logins.py` itself."""

import json
from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient

from conftest import Desk


def login_id(client: FlaskClient) -> str:
    with client.session_transaction() as session:
        return str(session["login"])


def test_the_oldest_login_ends_with_its_streams_if_an_account_has_too_many(
    desk: Desk, log_in: Callable[..., FlaskClient]
) -> None:
    app = desk.app(LOGINS_PER_ACCOUNT=2)
    first: Any = log_in(app, "omar")
    ended = f"login:{login_id(first)}"
    kept = [log_in(app, "omar") for _ in range(2)]
    assert first.get("/j/me").status_code == 401
    assert [json.loads(data) for data in desk.events(ended, "login")] == [{"type": "logged_out"}]
    assert [client.get("/j/me").status_code for client in kept] == [200, 200]
    assert sorted(desk.redis.lrange("logins:omar", 0, -1)) == sorted(map(login_id, kept))
