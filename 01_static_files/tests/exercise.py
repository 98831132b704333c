"""For the exercise "Let .svg in": these tests fail until you have done it."""

from io import BytesIO

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def sent_and_fetched(client: FlaskClient, content: bytes, name: str) -> TestResponse:
    answer = client.post("/uploads", data={"file": (BytesIO(content), name)})
    return client.get(answer.location or "", buffered=True)


def test_an_svg_is_served_as_a_picture(client: FlaskClient) -> None:
    answer = sent_and_fetched(client, SVG, "drawing.svg")
    assert (answer.status_code, answer.data) == (200, SVG)
    assert answer.mimetype == "image/svg+xml"


def test_an_svg_that_is_opened_has_no_origin_and_no_scripts(client: FlaskClient) -> None:
    answer = sent_and_fetched(client, SVG, "drawing.svg")
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "form-action 'none'", "sandbox"} <= set(policy)


def test_the_policy_of_other_files_stays_as_it_was(client: FlaskClient) -> None:
    answers = [sent_and_fetched(client, SVG, name) for name in ("a.svg", "a.png")]
    assert [answer.mimetype for answer in answers] == ["image/svg+xml", "image/png"]
    assert "sandbox" not in answers[1].headers["Content-Security-Policy"]
