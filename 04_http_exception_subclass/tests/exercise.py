"""The test of the exercise that asks for code; it fails until you have written it."""

import copy

from flask import Flask
from flask.testing import FlaskClient


def test_another_sms_says_in_header_and_body_how_long_to_wait(client: FlaskClient) -> None:
    answer = client.post("/v1/client/sms")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")
    assert answer.json == {
        "error_code": 1005,
        "msg": "too_soon",
        "request": "POST /v1/client/sms",
        "seconds": 30,
    }


def test_any_number_of_seconds_will_do_and_a_copy_keeps_it() -> None:
    import app

    error = copy.copy(app.TooSoon(60))  # type: ignore[attr-defined]
    assert (error.headers["Retry-After"], error.members) == ("60", {"seconds": 60})


def test_flask_errors_lists_it(app: Flask) -> None:
    assert "1005 429 too_soon" in app.test_cli_runner().invoke(args=["errors"]).output
