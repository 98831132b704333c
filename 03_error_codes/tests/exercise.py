"""The exercise "An error of your own": ``pytest tests/exercise.py`` passes when it's done."""

from flask import Flask, abort
from flask.testing import FlaskClient
from werkzeug.exceptions import TooManyRequests

import errors


def test_too_many_requests_has_a_code_of_its_own(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/j/often", view_func=lambda: abort(429))
    answer = client.get("/j/often")
    assert answer.status_code == 429
    assert answer.get_json()["msg"] == "too_many_requests"
    assert answer.get_json()["r"] not in (429, 1000, 1001, 1002, 1003, 1004)


def test_too_many_requests_says_when_to_come_back(app: Flask, client: FlaskClient) -> None:
    @app.get("/j/often")
    def often() -> str:
        raise TooManyRequests(retry_after=30)

    answer = client.get("/j/often")
    assert answer.headers["Retry-After"] == "30"
    assert answer.get_json()["msg"] == "too_many_requests"


def test_the_catalogue_lists_it() -> None:
    [entry] = [entry for entry in errors.CATALOGUE if entry.status == 429]
    assert entry.message == "too_many_requests"
    assert entry.meaning and entry.remedy
