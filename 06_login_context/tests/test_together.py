"""What the techniques of several chapters do together, in the one app that has them all."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient

import cors
import uploads
from conftest import Desk
from tasks import retrieve_data

LogIn = Callable[..., FlaskClient]
FRIEND, STRANGER = "https://front.example", "https://evil.example"
BROWSER = "text/html,application/xhtml+xml"  # what a browser accepts, in short
MISSING = f"/uploads/{'0' * 64}.png"


def allowed(answer: Any) -> str | None:
    """Return the origin whose pages may read *answer*."""
    origin: str | None = answer.headers.get("Access-Control-Allow-Origin")
    return origin


def upload(client: FlaskClient, content: bytes = b"minutes", origin: str = FRIEND) -> Any:
    form = {"file": (BytesIO(content), "minutes.txt")}
    return client.post("/uploads", data=form, headers={"Origin": origin})


def result(answer: Any) -> tuple[int, int]:
    return answer.status_code, answer.json["error_code"]


@pytest.fixture
def app(desk: Desk) -> Flask:
    """The desk, with a front end on another origin, which may use the desk's cookie."""
    return desk.app(CORS_ORIGINS=[FRIEND], CORS_CREDENTIALS=True)


@pytest.fixture
def ada(app: Flask, log_in: LogIn) -> FlaskClient:
    return log_in(app, "ada")


# Files and what surrounds them


def test_trap_files_lack_cors_headers_if_cors_comes_first(ada: FlaskClient, desk: Desk) -> None:
    wrong = Flask("wrong")
    wrong.config.update(CORS_ORIGINS=[FRIEND], UPLOAD_FOLDER=desk.folder / "uploads")
    cors.init_app(wrong)
    uploads.init_app(wrong)

    url = upload(ada).json["url"]
    from_friend = {"Origin": FRIEND}
    assert allowed(wrong.test_client().get(url, headers=from_friend)) is None
    assert allowed(ada.get(url, headers=from_friend)) == FRIEND
    assert allowed(ada.get(url, headers={"Origin": STRANGER})) is None


def test_trap_no_hook_sees_a_file(app: Flask, desk: Desk, log_in: LogIn) -> None:
    seen: list[str] = []

    def note(response: Response) -> Response:
        seen.append(request.path)
        return response

    through_flask = Flask("through Flask")
    through_flask.config["UPLOAD_FOLDER"] = desk.folder / "uploads"
    uploads.init_app(through_flask, middleware=False)
    for each in (app, through_flask):
        each.after_request(note)

    ada = log_in(app)
    url = upload(ada).json["url"]
    seen.clear()
    file = ada.get(url)
    assert file.data == b"minutes" and seen == []
    assert "X-Request-ID" not in file.headers  # handlers.py adds it in a hook
    assert through_flask.test_client().get(url).data == b"minutes"
    assert seen == [url]


def test_a_file_has_the_headers_of_its_chapter_and_no_cookie(ada: FlaskClient) -> None:
    file = ada.get(upload(ada).json["url"], headers={"Origin": FRIEND})
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert file.headers["Content-Security-Policy"] == uploads.POLICY
    assert file.headers["Cache-Control"].startswith("private, ")
    assert file.headers["Vary"] == "Origin"
    assert "Set-Cookie" not in file.headers


def test_trap_a_missing_file_is_html_unless_its_prefix_is_named(desk: Desk) -> None:
    headers = {"Accept": BROWSER, "Origin": FRIEND}
    wrong = desk.app(API_PREFIXES=["/j"]).test_client().get(MISSING, headers=headers)
    right = desk.app(CORS_ORIGINS=[FRIEND]).test_client().get(MISSING, headers=headers)
    assert (wrong.status_code, wrong.mimetype) == (404, "text/html")
    assert result(right) == (404, 1003)
    assert right.json == {
        "error_code": 1003,
        "msg": right.json["msg"],  # type: ignore[index]
        "request": f"GET {MISSING}",
    }
    assert allowed(right) == FRIEND and "X-Request-ID" in right.headers


@pytest.mark.parametrize(
    ("method", "headers", "status", "kept"),
    [
        ("DELETE", {}, 405, "Allow"),
        ("GET", {"Range": "bytes=99-"}, 416, "Content-Range"),
    ],
)
def test_what_fails_at_a_file_is_in_the_format_of_the_api(
    ada: FlaskClient, method: str, headers: dict[str, str], status: int, kept: str
) -> None:
    url = upload(ada).json["url"]
    answer = ada.open(url, method=method, headers={"Origin": FRIEND, **headers})
    assert result(answer) == (status, 1007)
    assert kept in answer.headers and allowed(answer) == FRIEND


# From another origin


@pytest.mark.parametrize("path", ["/j/messages", "/uploads", MISSING, "/stream"])
def test_a_preflight_needs_no_login_and_lets_the_id_of_a_request_through(
    client: FlaskClient, path: str
) -> None:
    asks = {"Access-Control-Request-Method": "POST"}
    asks["Access-Control-Request-Headers"] = "x-request-id"
    answer = client.options(path, headers={"Origin": FRIEND, **asks})
    assert (answer.status_code, allowed(answer)) == (204, FRIEND)
    assert "X-Request-ID" in answer.headers["Access-Control-Allow-Headers"]
    answer = client.options(path, headers={"Origin": STRANGER, **asks})
    assert (answer.status_code, allowed(answer)) == (204, None)


@pytest.mark.parametrize("path", ["/j/me", "/j/nope", MISSING])
def test_a_page_of_another_origin_reads_the_id_that_it_sent(ada: FlaskClient, path: str) -> None:
    answer = ada.get(path, headers={"Origin": FRIEND, "X-Request-ID": "from-the-page"})
    assert answer.headers["X-Request-ID"] == "from-the-page"
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


def test_a_page_of_another_origin_reads_where_its_upload_is(ada: FlaskClient) -> None:
    answer = upload(ada)
    assert (answer.status_code, allowed(answer)) == (201, FRIEND)
    assert answer.headers["Location"] == answer.json["url"]
    assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def test_a_stranger_uploads_nothing(ada: FlaskClient) -> None:
    answer = upload(ada, origin=STRANGER)
    assert result(answer) == (403, 1001) and allowed(answer) is None


# Limits


def test_an_upload_that_is_too_large_is_413_in_the_format_of_the_api(
    desk: Desk, log_in: LogIn
) -> None:
    ada = log_in(desk.app(CORS_ORIGINS=[FRIEND], CORS_CREDENTIALS=True, UPLOAD_LIMIT=100_000))
    assert upload(ada, b"x" * 99_000).status_code == 201  # more than other bodies may have
    answer = upload(ada, b"x" * 100_001)
    assert result(answer) == (413, 1007) and allowed(answer) == FRIEND


KINDS = {
    "/j/login": "application/json",
    "/j/messages": "application/json",
    "/scan/nobody": "application/x-www-form-urlencoded",
}


@pytest.mark.parametrize("path", KINDS)
def test_no_other_body_may_be_long(ada: FlaskClient, path: str) -> None:
    answer = ada.post(path, data=b" " * (64 * 1024 + 1), content_type=KINDS[path])
    assert answer.status_code == 413


@pytest.mark.parametrize("path", KINDS)
def test_of_a_body_that_comes_in_chunks_no_more_is_read(ada: FlaskClient, path: str) -> None:
    body = BytesIO(b" " * 1_000_000)
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = ada.post(path, input_stream=body, content_type=KINDS[path], environ_overrides=chunked)
    assert answer.status_code in (400, 404, 413) and body.tell() <= 64 * 1024


def test_the_longest_message_is_short_enough(app: Flask, ada: FlaskClient) -> None:
    with ada.session_transaction() as session, app.app_context():
        retrieve_data(session["login"], "ada")
    friends: Any = ada.get("/j/users?per_page=50").json
    message = {
        "recipients": [friend["id"] for friend in friends["users"]],
        "text": "👋" * 2000,  # twelve bytes each, in JSON that is ASCII
        "attachment_name": "👋" * 255,
        "attachment": upload(ada).json["filename"],
        "id": "i" * 64,
    }
    assert ada.post("/j/messages", json=message).status_code == 201


# Codes


def test_a_503_of_werkzeug_has_the_code_of_every_503_here(desk: Desk, log_in: LogIn) -> None:
    ada = log_in(desk.app(SSE_MAX_STREAMS=1))
    first = ada.get("/stream", buffered=False)
    answer = ada.get("/stream")
    assert result(answer) == (503, 1009)
    assert answer.headers["Retry-After"] == "5"
    first.close()


def test_flask_errors_lists_each_code_once_with_those_of_the_desk(app: Flask) -> None:
    lines = app.test_cli_runner().invoke(args=["errors"]).output.splitlines()
    codes = [int(line.split()[0]) for line in lines]
    assert codes == [0, *range(999, 1005), *range(1006, 1010)]
    assert lines[-2].split()[:3] == ["1008", "401", "not_logged_in"]
    assert lines[-1].split()[:3] == ["1009", "503", "service_unavailable"]
