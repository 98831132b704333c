"""The article's hook, repaired: for an app that serves no files and wants ten lines."""

import pytest
from flask import Flask, Response, make_response, request
from flask.testing import FlaskClient

ORIGINS = ["http://127.0.0.1:8100"]


def add_cors_headers(response: Response) -> Response:
    """Let pages of ORIGINS read *response*, with cookies or without."""
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin", "")
    if origin in ORIGINS:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Allow-Headers"] = "Content-Type, Authorization"
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE"
    return response


@pytest.fixture
def client() -> FlaskClient:
    app = Flask("with a hook")
    app.after_request(add_cors_headers)

    @app.route("/", methods=["GET", "PATCH"])
    def index() -> Response:
        response = make_response("read", {"Access-Control-Allow-Origin": "https://old.example"})
        response.headers.add("Vary", "Accept-Language")
        response.headers.add("Vary", "Cookie")
        return response

    return app.test_client()


def test_a_page_on_the_list_reads_with_cookies(client: FlaskClient) -> None:
    answer = client.get("/", headers={"Origin": ORIGINS[0]})
    assert answer.headers.getlist("Access-Control-Allow-Origin") == ORIGINS
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def test_a_page_on_the_list_may_send_patch(client: FlaskClient) -> None:
    asks = {"Origin": ORIGINS[0], "Access-Control-Request-Method": "PATCH"}
    answer = client.options("/", headers=asks)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGINS[0]
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"].split(", ")
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"].split(", ")


@pytest.mark.parametrize("origin", ["http://localhost:8100", f"{ORIGINS[0]}0", "null", ""])
def test_a_stranger_is_not_given_permission(client: FlaskClient, origin: str) -> None:
    answer = client.get("/", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://old.example"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("headers", [{}, {"Origin": ORIGINS[0]}, {"Origin": "null"}])
def test_vary_is_on_every_response_and_keeps_what_is_there(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    answer = client.get("/", headers=headers)
    assert answer.headers.getlist("Vary") == ["Accept-Language", "Cookie", "Origin"]
