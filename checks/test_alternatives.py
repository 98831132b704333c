"""What the READMEs say of the alternatives, as measured on the releases in the lock."""

from flask import Flask
from flask_cors import CORS


def test_flask_cors_matches_a_regular_expression_without_its_end() -> None:
    evil = "https://a.example.com.evil.net"
    for origins, allowed in (
        (r"https://.*\.example\.com", evil),
        (r"https://.*\.example\.com$", None),
    ):
        app = Flask("alternative")
        app.add_url_rule("/", view_func=lambda: "")
        CORS(app, origins=[origins])
        response = app.test_client().get("/", headers={"Origin": evil})
        assert response.headers.get("Access-Control-Allow-Origin") == allowed
