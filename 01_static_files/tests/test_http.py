"""What a request for a stored file gets, in every way that the module can be wired up."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

import uploads

PNG = b"\x89PNG\r\n\x1a\n not much of a picture"


class Prefix:
    """The middleware that many apps have, to be reached below a path."""

    def __init__(self, wsgi_app: Any) -> None:
        self.wsgi_app = wsgi_app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"].removeprefix("/desk")
        below = environ | {"SCRIPT_NAME": "/desk", "PATH_INFO": path}
        return self.wsgi_app(below, start_response)


def alone(app: Flask) -> tuple[Any, str]:
    uploads.init_app(app)
    return app, ""


def without_the_middleware(app: Flask) -> tuple[Any, str]:
    uploads.init_app(app, middleware=False)
    return app, ""


def below_a_dispatcher(app: Flask) -> tuple[Any, str]:
    uploads.init_app(app)
    return DispatcherMiddleware(Flask("root"), {"/desk": app}), "/desk"


def below_a_prefix_set_before(app: Flask) -> tuple[Any, str]:
    app.wsgi_app = Prefix(app.wsgi_app)  # type: ignore[method-assign]
    uploads.init_app(app)
    return app, "/desk"


def below_a_prefix_set_after(app: Flask) -> tuple[Any, str]:
    uploads.init_app(app)
    app.wsgi_app = Prefix(app.wsgi_app)  # type: ignore[method-assign]
    return app, "/desk"


WIRINGS = [
    alone,
    without_the_middleware,
    below_a_dispatcher,
    below_a_prefix_set_before,
    below_a_prefix_set_after,
]
Ask = Callable[..., TestResponse]


@pytest.fixture(params=WIRINGS)
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Ask:
    """A function that sends a request for a PNG that was uploaded just now."""
    app = Flask("theirs")
    app.config["UPLOAD_FOLDER"] = tmp_path
    app.register_error_handler(404, lambda error: ("the app's own 404", 404))
    app.register_error_handler(405, lambda error: ("the app's own 405", 405, error.get_headers()))
    app.register_error_handler(416, lambda error: ("the app's own 416", 416, error.get_headers()))
    wsgi_app, prefix = request.param(app)
    app.add_url_rule("/attachments", view_func=uploads.upload, methods=["POST"])
    client = Client(wsgi_app)
    answer = client.post(f"{prefix}/attachments", data={"file": (BytesIO(PNG), "a.png")})
    assert answer.status_code == 201
    assert answer.json is not None
    url = answer.json["url"]
    assert url == answer.location == f"{prefix}/uploads/{answer.json['filename']}"

    def ask(method: str = "GET", **headers: str) -> TestResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        # Buffered: read to the end and closed, as a server does.
        return client.open(url, method=method, headers=sent, buffered=True)

    return ask


def test_get_is_the_file(ask: Ask) -> None:
    answer = ask()
    assert (answer.status_code, answer.data) == (200, PNG)
    assert answer.content_type == "image/png"
    assert answer.content_length == len(PNG)


def test_head_has_the_headers_of_get_and_no_body(ask: Ask) -> None:
    get, head = ask(), ask("HEAD")
    assert (head.status_code, head.data) == (200, b"")
    assert sorted(head.headers) == sorted(get.headers)


def test_options_says_what_is_allowed(ask: Ask) -> None:
    answer = ask("OPTIONS")
    assert (answer.status_code, answer.data) == (200, b"")
    assert set(answer.allow) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "FOO"])
def test_any_other_method_is_405_in_the_apps_own_format(ask: Ask, method: str) -> None:
    answer = ask(method)
    assert (answer.status_code, answer.text) == (405, "the app's own 405")
    assert set(answer.allow) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_copy_that_is_still_good_is_304(ask: Ask, method: str) -> None:
    first = ask()
    for condition in (
        {"If_None_Match": first.headers["ETag"]},
        {"If_Modified_Since": first.headers["Last-Modified"]},
    ):
        again = ask(method, **condition)
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
        assert "Content-Type" not in again.headers  # a cache would overwrite its own


def test_a_copy_of_something_else_is_200(ask: Ask) -> None:
    assert ask(If_None_Match='"other"').data == PNG
    assert ask(If_Modified_Since="Mon, 01 Jan 2001 00:00:00 GMT").data == PNG


def test_if_match_with_another_etag_is_412(ask: Ask) -> None:
    assert ask(If_Match=ask().headers["ETag"]).data == PNG
    assert ask(If_Match='"other"').status_code == 412


RANGES = {"bytes=0-3": PNG[:4], "bytes=4-": PNG[4:], "bytes=-2": PNG[-2:], "bytes=4-999": PNG[4:]}


@pytest.mark.parametrize("value", RANGES)
def test_a_range_is_206_with_that_part(ask: Ask, value: str) -> None:
    part = ask(Range=value)
    assert (part.status_code, part.data) == (206, RANGES[value])
    assert part.content_length == len(RANGES[value])
    start = PNG.index(RANGES[value])
    end = start + len(RANGES[value]) - 1
    assert part.headers["Content-Range"] == f"bytes {start}-{end}/{len(PNG)}"
    assert part.headers["Content-Security-Policy"] == uploads.POLICY


@pytest.mark.parametrize("value", ["bytes=999-", "bytes=100-200"])
def test_a_range_that_is_not_there_is_416_in_the_apps_own_format(ask: Ask, value: str) -> None:
    answer = ask(Range=value)
    assert (answer.status_code, answer.text) == (416, "the app's own 416")
    assert answer.headers["Content-Range"] == f"bytes */{len(PNG)}"


def test_if_range_gives_the_part_only_to_the_holder_of_this_file(ask: Ask) -> None:
    etag = ask().headers["ETag"]
    part = ask(Range="bytes=0-3", If_Range=etag)
    assert (part.status_code, part.data) == (206, PNG[:4])
    whole = ask(Range="bytes=0-3", If_Range='"other"')
    assert (whole.status_code, whole.data) == (200, PNG)
