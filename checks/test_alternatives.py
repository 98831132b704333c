"""What the READMEs say of the alternatives, as measured on the releases in the lock."""

from flask import Flask
from flask_cors import CORS
from werkzeug.test import TestResponse


def ask(origins: list[str], origin: str) -> TestResponse:
    app = Flask("alternative")
    app.add_url_rule("/", view_func=lambda: "")
    CORS(app, origins=origins)
    return app.test_client().get("/", headers={"Origin": origin})


def test_flask_cors_matches_a_regular_expression_without_its_end() -> None:
    evil = "https://a.example.com.evil.net"
    header = "Access-Control-Allow-Origin"
    assert ask([r"https://.*\.example\.com"], evil).headers[header] == evil
    assert header not in ask([r"https://.*\.example\.com$"], evil).headers


def test_flask_cors_gives_an_unknown_origin_no_vary() -> None:
    known = ["https://a.example", "https://b.example"]
    assert "Vary" in ask(known, "https://a.example").headers
    assert "Vary" not in ask(known, "https://evil.example").headers
