"""The exercise "A header of your own": `pytest tests/exercise.py` fails until you have done it."""

from flask.testing import FlaskClient

FRONT_END = "http://127.0.0.1:8100"


def test_the_front_end_may_send_x_client(client: FlaskClient) -> None:
    asks = {
        "Origin": FRONT_END,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "x-client",
    }
    answer = client.options("/j/echo/", headers=asks)
    assert "X-Client" in answer.headers["Access-Control-Allow-Headers"].split(", ")


def test_the_front_end_may_read_etag(client: FlaskClient) -> None:
    answer = client.get("/files/versions.txt", headers={"Origin": FRONT_END})
    answer.close()
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"].split(", ")
