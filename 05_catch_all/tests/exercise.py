"""The code exercise of the README: ``pytest tests/exercise.py`` passes when you've done it."""

import pytest
from flask import Flask
from flask.testing import FlaskClient


def test_a_lost_connection_is_503_and_in_the_log(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/j/phone")
    def phone() -> str:
        raise ConnectionError("10.0.0.9 refused the connection")

    answer = client.get("/j/phone")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"
    assert answer.get_json()["error_code"] == 1007
    assert "10.0.0.9" not in answer.text, "what the exception says is for the log"
    assert caplog.text.count("ConnectionError: 10.0.0.9") == 1, "it's once in the log"
