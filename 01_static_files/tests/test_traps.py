"""What goes wrong in the article's version of this chapter, and that it doesn't in ours."""

import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask, Response, send_from_directory
from flask.testing import FlaskClient
from werkzeug.serving import make_server
from werkzeug.test import TestResponse
from werkzeug.utils import secure_filename

from app import create_app

PNG = b"\x89PNG\r\n\x1a\n not much of a picture"
PAGE = b"<script>document.title = 'owned'</script>"
ARTICLE = "?version=article"


def post(client: FlaskClient, content: bytes, name: str, version: str = "") -> TestResponse:
    return client.post(f"/uploads{version}", data={"file": (BytesIO(content), name)})


def upload(client: FlaskClient, content: bytes, name: str, version: str = "") -> str:
    """Upload a file to one of the two versions; return the URL where that version serves it."""
    return f"{post(client, content, name, version).location}{version}"


def fetch(client: FlaskClient, url: str, method: str = "GET", **headers: str) -> TestResponse:
    # Buffered: read to the end and closed, as a server does.
    return client.open(url, method=method, headers=headers, buffered=True)


def stored(app: Flask, version: str = "") -> list[Path]:
    folder = Path(app.config["UPLOAD_FOLDER"])
    return list((folder.with_name(f"{folder.name}-article") if version else folder).iterdir())


def test_trap_the_import_is_gone() -> None:
    with pytest.raises(ImportError):
        exec("from werkzeug.wsgi import SharedDataMiddleware")
    exec("from werkzeug.middleware.shared_data import SharedDataMiddleware")


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xml", "a.xhtml"])
def test_trap_an_uploaded_page_runs_as_part_of_your_site(
    app: Flask, client: FlaskClient, name: str
) -> None:
    wrong = fetch(client, upload(client, PAGE, name, ARTICLE))
    assert re.search("html|xml", str(wrong.mimetype))
    assert not {"Content-Security-Policy", "X-Content-Type-Options"} & set(wrong.headers.keys())

    right = fetch(client, upload(client, PAGE, name))
    assert right.mimetype == "application/octet-stream"
    assert right.headers["X-Content-Type-Options"] == "nosniff"

    (app.config["UPLOAD_FOLDER"] / name).write_bytes(PAGE)  # from before this code was there
    older = fetch(client, f"/uploads/{name}")
    assert older.headers["Content-Security-Policy"] == "script-src 'none'"


def test_trap_two_reports_become_one_file(client: FlaskClient) -> None:
    assert secure_filename("报告.pdf") == secure_filename("总结.pdf") == "pdf"
    first = upload(client, b"January", "报告.pdf", ARTICLE)
    assert upload(client, b"February", "总结.pdf", ARTICLE) == first
    assert fetch(client, first).data == b"February"
    assert post(client, b"a photo", "照片", ARTICLE).status_code == 500

    first = upload(client, b"January", "报告.pdf")
    assert upload(client, b"February", "总结.pdf") != first
    assert fetch(client, first).data == b"January"
    assert post(client, b"a photo", "照片").status_code == 201


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"])
def test_trap_delete_is_answered_with_the_file(client: FlaskClient, method: str) -> None:
    wrong = fetch(client, upload(client, PNG, "a.png", ARTICLE), method)
    assert (wrong.status_code, wrong.data) == (200, PNG)
    assert fetch(client, upload(client, PNG, "a.png"), method).status_code == 404


def test_trap_head_is_answered_with_a_body(client: FlaskClient) -> None:
    assert fetch(client, upload(client, PNG, "a.png", ARTICLE), "HEAD").data == PNG
    right = fetch(client, upload(client, PNG, "a.png"), "HEAD")
    assert (right.status_code, right.data, right.content_length) == (200, b"", len(PNG))


def test_trap_date_is_sent_twice(app: Flask, client: FlaskClient) -> None:
    def dates_sent_for(url: str) -> int:
        server = make_server("127.0.0.1", 0, app)
        with (
            closing(server.socket),
            socket.create_connection(("127.0.0.1", server.port), timeout=10) as browser,
        ):
            browser.sendall(f"GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            server.handle_request()
            return browser.makefile("rb").read().count(b"\r\nDate: ")

    assert dates_sent_for(upload(client, PNG, "a.png", ARTICLE)) == 2
    assert dates_sent_for(upload(client, PNG, "a.png")) == 1


def test_trap_after_request_never_sees_a_file(app: Flask, client: FlaskClient) -> None:
    @app.after_request
    def add_nosniff(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff, from the hook"
        return response

    assert "from the hook" in client.get("/").headers["X-Content-Type-Options"]
    served = fetch(client, upload(client, PNG, "a.png"))
    assert served.headers["X-Content-Type-Options"] == "nosniff"  # ours, not the hook's


def test_trap_names_that_are_devices_on_windows(app: Flask, client: FlaskClient) -> None:
    if os.name != "nt":
        assert [secure_filename(name) for name in ("CON", "../COM1")] == ["CON", "COM1"]
    for name in ("CON", "../COM1", "NUL.txt:stream"):
        upload(client, name.encode(), name)
    assert all(re.fullmatch(r"[0-9a-f]{64}\.bin", path.name) for path in stored(app))


def test_trap_a_replaced_file_stays_stale(client: FlaskClient) -> None:
    url = upload(client, b"old", "logo.png", ARTICLE)
    assert upload(client, b"new", "logo.png", ARTICLE) == url
    assert fetch(client, url).headers["Cache-Control"] == "max-age=43200, public"  # 12 hours
    # Here a name is never given to other content, so there is nothing to go stale.
    assert upload(client, b"old", "logo.png") != upload(client, b"new", "logo.png")


def test_trap_range_is_answered_with_the_whole_file(app: Flask, client: FlaskClient) -> None:
    @app.get("/seekable/<filename>")
    def seekable(filename: str) -> Response:
        return send_from_directory(app.config["UPLOAD_FOLDER"], filename)

    url = upload(client, PNG, "a.png")
    whole = fetch(client, url, Range="bytes=0-3")
    assert (whole.status_code, whole.data) == (200, PNG)
    part = fetch(client, url.replace("/uploads/", "/seekable/"), Range="bytes=0-3")
    assert (part.status_code, part.data) == (206, PNG[:4])


def test_trap_a_rule_without_build_only_routes_to_nothing(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/routed/<filename>", "routed")  # build_only forgotten
    with pytest.raises(KeyError):
        client.get("/routed/missing.txt")
    assert client.get("/uploads/missing.txt").status_code == 404


# Ends the process at once, without any `finally`, when the file is written and not yet renamed.
KILLED = """
import os, sys
from app import create_app
os.fsync = lambda file: os._exit(9)
client = create_app({"UPLOAD_FOLDER": sys.argv[1]}).test_client()
client.post("/uploads", data={"file": open("app.py", "rb")})
"""


def test_trap_a_killed_process_leaves_its_part(app: Flask) -> None:
    folder = app.config["UPLOAD_FOLDER"]
    command = [sys.executable, "-c", KILLED, folder]
    assert subprocess.run(command, cwd=app.root_path).returncode == 9
    [part] = stored(app)
    create_app({"UPLOAD_FOLDER": folder})
    assert stored(app) == [part]  # for all we know, another process is still writing it

    os.utime(part, (0, 0))  # as if that had been long ago
    create_app({"UPLOAD_FOLDER": folder})
    assert stored(app) == []
