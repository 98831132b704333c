"""What goes wrong in the article's version of this chapter or nearby, and that it doesn't in ours.

``article_client`` sends to the article's version, ``client`` to ours.
"""

import hashlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask, Response, abort, request, send_from_directory, session, url_for
from flask.testing import FlaskClient
from werkzeug.serving import make_server
from werkzeug.test import TestResponse, create_environ, run_wsgi_app
from werkzeug.utils import secure_filename

import uploads
from app import create_app

PNG = b"\x89PNG\r\n\x1a\n not much of a picture"
PAGE = b"<script>document.title = 'owned'</script>"


def post(client: FlaskClient, content: bytes, name: str) -> TestResponse:
    return client.post("/uploads", data={"file": (BytesIO(content), name)})


def upload(client: FlaskClient, content: bytes, name: str) -> str:
    """Upload a file; return its URL."""
    url = post(client, content, name).location
    assert url is not None
    return url


def fetch(client: FlaskClient, url: str, method: str = "GET", **headers: str) -> TestResponse:
    # Buffered: read to the end and closed, as a server does.
    return client.open(url, method=method, headers=headers, buffered=True)


@pytest.fixture
def theirs(tmp_path: Path) -> Flask:
    """An app that isn't ours, and hasn't called init_app yet."""
    app = Flask("theirs")
    app.config["UPLOAD_FOLDER"] = tmp_path / "theirs"
    app.config["SECRET_KEY"] = "for the session"
    app.add_url_rule("/uploads", view_func=uploads.upload, methods=["POST"])
    return app


# The steps of the README


def test_trap_the_import_is_gone() -> None:
    with pytest.raises(ImportError):
        exec("from werkzeug.wsgi import SharedDataMiddleware")
    exec("from werkzeug.middleware.shared_data import SharedDataMiddleware")


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xml", "a.xhtml"])
def test_trap_an_uploaded_page_runs_as_part_of_your_site(
    client: FlaskClient, article_client: FlaskClient, name: str
) -> None:
    wrong = fetch(article_client, upload(article_client, PAGE, name))
    assert re.search("html|xml", str(wrong.mimetype))
    assert not {"Content-Security-Policy", "X-Content-Type-Options"} & set(wrong.headers.keys())

    right = fetch(client, upload(client, PAGE, name))
    assert (right.mimetype, right.data) == ("application/octet-stream", PAGE)
    assert right.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in right.headers["Content-Security-Policy"]


def test_trap_two_reports_become_one_file(client: FlaskClient, article_client: FlaskClient) -> None:
    assert secure_filename("报告.pdf") == secure_filename("总结.pdf") == "pdf"
    first = upload(article_client, b"January", "报告.pdf")
    assert upload(article_client, b"February", "总结.pdf") == first
    assert fetch(article_client, first).data == b"February"
    assert post(article_client, b"a photo", "照片").status_code == 500

    first = upload(client, b"January", "报告.pdf")
    assert upload(client, b"February", "总结.pdf") != first
    assert fetch(client, first).data == b"January"
    assert post(client, b"a photo", "照片").status_code == 201


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "FOO"])
def test_trap_delete_returns_the_file(
    client: FlaskClient, article_client: FlaskClient, method: str
) -> None:
    wrong = fetch(article_client, upload(article_client, PNG, "a.png"), method)
    assert (wrong.status_code, wrong.data) == (200, PNG)

    right = fetch(client, upload(client, PNG, "a.png"), method)
    assert right.status_code == 405
    assert set(right.allow) == {"GET", "HEAD", "OPTIONS"}


def test_trap_a_player_cannot_jump(client: FlaskClient, article_client: FlaskClient) -> None:
    wrong = fetch(article_client, upload(article_client, PNG, "a.mp4"), Range="bytes=4-7")
    assert (wrong.status_code, wrong.data) == (200, PNG)

    url = upload(client, PNG, "a.mp4")
    right = fetch(client, url, Range="bytes=4-7")
    assert (right.status_code, right.data) == (206, PNG[4:8])
    assert right.headers["Content-Range"] == f"bytes 4-7/{len(PNG)}"
    assert fetch(client, url, Range="bytes=999-").status_code == 416


def test_trap_one_request_can_fill_the_disk(
    app: Flask, client: FlaskClient, article_client: FlaskClient
) -> None:
    large = b"x" * (app.config["UPLOAD_LIMIT"] + 1)
    assert post(article_client, large, "a.bin").status_code == 201

    body = BytesIO(large)
    length = {"CONTENT_LENGTH": str(len(large)), "CONTENT_TYPE": "multipart/form-data; boundary=b"}
    environ = create_environ("/uploads", method="POST", input_stream=body) | length
    assert run_wsgi_app(app, environ)[1].startswith("413 ")
    assert body.tell() == 0  # nothing of it was read


# traps.md


def test_trap_private_files_become_public(
    app: Flask, client: FlaskClient, article_client: FlaskClient
) -> None:
    for folder in (app.config["UPLOAD_FOLDER"], article_client.application.config["UPLOAD_FOLDER"]):
        Path(folder).mkdir(exist_ok=True)
        Path(folder, "salary.txt").write_text("private")
    assert fetch(article_client, "/uploads/salary.txt").text == "private"
    assert fetch(client, "/uploads/salary.txt").status_code == 404


def test_trap_a_login_hook_does_not_protect_files(theirs: Flask) -> None:
    @theirs.before_request
    def ask_for_a_login() -> None:
        if request.method == "GET" and "user" not in session:
            abort(401)

    without = Flask("theirs", instance_path=theirs.instance_path)
    without.config.update(theirs.config)
    without.before_request(ask_for_a_login)
    without.add_url_rule("/uploads", view_func=uploads.upload, methods=["POST"])

    uploads.init_app(theirs)
    client = theirs.test_client()
    url = upload(client, PNG, "a.png")
    assert url == f"/uploads/{hashlib.sha256(PNG).hexdigest()}.png"  # anybody can work it out
    assert fetch(client, url).data == PNG  # the hook was never asked

    uploads.init_app(without, middleware=False)
    client = without.test_client()
    assert fetch(client, url).status_code == 401
    with client.session_transaction() as login:
        login["user"] = "ada"
    assert fetch(client, url).data == PNG


def test_trap_head_is_answered_with_a_body(
    client: FlaskClient, article_client: FlaskClient
) -> None:
    wrong = fetch(article_client, upload(article_client, PNG, "a.png"), "HEAD")
    assert wrong.data == PNG
    right = fetch(client, upload(client, PNG, "a.png"), "HEAD")
    assert (right.status_code, right.data, right.content_length) == (200, b"", len(PNG))


def dates_sent(app: Flask, url: str) -> int:
    """Count the Date headers that Flask's development server sends."""
    server = make_server("127.0.0.1", 0, app)
    with (
        closing(server.socket),
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as browser,
    ):
        browser.sendall(f"GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        server.handle_request()
        return browser.makefile("rb").read().count(b"\r\nDate: ")


def test_trap_date_is_sent_twice(client: FlaskClient, article_client: FlaskClient) -> None:
    for its_client, count in ((article_client, 2), (client, 1)):
        url = upload(its_client, PNG, "a.png")
        assert dates_sent(its_client.application, url) == count


# Ends the process at once, without any `finally`, when the file is written and not yet renamed.
KILLED = """
import os, sys
from app import create_app
os.fsync = lambda file: os._exit(9)
client = create_app({"UPLOAD_FOLDER": sys.argv[1]}).test_client()
client.post("/uploads", data={"file": open("app.py", "rb")})
"""


def test_trap_a_killed_process_leaves_its_part(app: Flask) -> None:
    folder = uploads.upload_folder(app)
    command = [sys.executable, "-c", KILLED, str(folder)]
    assert subprocess.run(command, cwd=app.root_path).returncode == 9
    [part] = folder.iterdir()
    create_app({"UPLOAD_FOLDER": folder})
    assert list(folder.iterdir()) == [part]  # for all we know, another process still writes it

    os.utime(part, (0, 0))  # as if that had been long ago
    create_app({"UPLOAD_FOLDER": folder})
    assert list(folder.iterdir()) == []


def test_trap_names_that_are_devices_on_windows(app: Flask, client: FlaskClient) -> None:
    if os.name != "nt":
        assert [secure_filename(name) for name in ("CON", "../COM1")] == ["CON", "COM1"]
    for name in ("CON", "../COM1", "NUL.txt:stream"):
        upload(client, name.encode(), name)
    stored = uploads.upload_folder(app).iterdir()
    assert all(re.fullmatch(r"[0-9a-f]{64}\.bin", path.name) for path in stored)


def test_trap_a_replaced_file_stays_stale(client: FlaskClient, article_client: FlaskClient) -> None:
    url = upload(article_client, b"old", "logo.png")
    assert upload(article_client, b"new", "logo.png") == url
    wrong = fetch(article_client, url)
    assert wrong.headers["Cache-Control"] == "max-age=43200, public"  # twelve hours
    # Ours never gives a name to other content, so there is nothing to go stale.
    assert upload(client, b"old", "logo.png") != upload(client, b"new", "logo.png")


@pytest.mark.parametrize("middleware", [True, False])
def test_trap_a_session_cookie_in_a_shared_cache(theirs: Flask, middleware: bool) -> None:
    @theirs.before_request
    def keep_the_session() -> None:
        session.permanent = True
        session["user"] = "ada"

    @theirs.get("/plain/<filename>")
    def plain(filename: str) -> Response:
        return send_from_directory(theirs.config["UPLOAD_FOLDER"], filename, max_age=3600)

    uploads.init_app(theirs, middleware=middleware)
    client = theirs.test_client()
    url = upload(client, PNG, "a.png")
    wrong = fetch(client, url.replace("/uploads/", "/plain/"))
    assert "Set-Cookie" in wrong.headers and wrong.cache_control.public

    right = fetch(client, url)
    assert ("Set-Cookie" in right.headers) == (not middleware)
    assert right.cache_control.private and not right.cache_control.public


def test_trap_the_download_is_named_after_its_hash(app: Flask, client: FlaskClient) -> None:
    @app.get("/plain/<filename>")
    def plain(filename: str) -> Response:
        return send_from_directory(uploads.upload_folder(app), filename)

    url = upload(client, PNG, "报告.png")
    wrong = fetch(client, url.replace("/uploads/", "/plain/"))
    assert wrong.headers["Content-Disposition"] == f"inline; filename={Path(url).name}"
    assert "Content-Disposition" not in fetch(client, url).headers


def test_trap_the_whole_app_gets_the_limit_of_uploads(theirs: Flask) -> None:
    theirs.add_url_rule("/import", "import", lambda: request.get_data(), methods=["POST"])
    theirs.config["UPLOAD_LIMIT"] = 1000
    uploads.init_app(theirs)
    client = theirs.test_client()
    assert post(client, b"x" * 2000, "a.txt").status_code == 413
    assert client.post("/import", data=b"x" * 2000).status_code == 200


def test_trap_csrfprotect_reads_the_form_first(theirs: Flask) -> None:
    @theirs.before_request
    def look_for_a_token() -> None:  # as CSRFProtect does
        request.form.get("csrf_token")

    theirs.config["UPLOAD_LIMIT"] = 1000
    uploads.init_app(theirs)
    assert post(theirs.test_client(), b"x" * 2000, "a.txt").status_code == 413
    assert list(uploads.upload_folder(theirs).iterdir()) == []


def test_trap_two_of_three_files_are_dropped(
    app: Flask, client: FlaskClient, article_client: FlaskClient
) -> None:
    def three() -> dict[str, list[tuple[BytesIO, str]]]:
        return {"file": [(BytesIO(name.encode()), name) for name in ("a.txt", "b.txt", "c.txt")]}

    assert article_client.post("/uploads", data=three()).json == {"url": "/uploads/a.txt"}
    assert fetch(article_client, "/uploads/b.txt").status_code == 404

    assert client.post("/uploads", data=three()).status_code == 400
    assert list(uploads.upload_folder(app).iterdir()) == []


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Flask]:
    """An app that serves several hosts."""
    app = Flask("theirs", host_matching=True, static_host="www.example.com")
    app.config["UPLOAD_FOLDER"] = tmp_path
    with app.test_request_context(base_url="https://www.example.com"):
        yield app


def test_trap_a_link_without_a_host(hosts: Flask) -> None:
    with pytest.raises(ValueError, match="host="):
        uploads.init_app(hosts)
    hosts.add_url_rule("/plain/<filename>", "plain", build_only=True)
    wrong = url_for("plain", filename="a.png")
    assert wrong == "https:///plain/a.png"


def test_with_host_matching_files_have_the_host_that_they_are_given(hosts: Flask) -> None:
    uploads.init_app(hosts, middleware=False, host="files.example.com")
    filename = "0" * 64 + ".png"
    (uploads.upload_folder(hosts) / filename).write_bytes(PNG)
    url = url_for("uploaded_file", filename=filename)
    assert url == f"https://files.example.com/uploads/{filename}"
    assert fetch(hosts.test_client(), url).data == PNG
    elsewhere = url.replace("files", "www")
    assert fetch(hosts.test_client(), elsewhere).status_code == 404


def test_trap_build_only_is_forgotten(article_client: FlaskClient) -> None:
    app = article_client.application
    app.add_url_rule("/routed/<filename>", "routed")  # build_only forgotten
    assert article_client.get("/routed/missing.txt").status_code == 500
    assert article_client.get("/uploads/missing.txt").status_code == 404


def policy(client: FlaskClient) -> list[str]:
    answer = fetch(client, upload(client, PNG, "a.mp4"))
    return answer.headers["Content-Security-Policy"].split("; ")


# That browsers obey is tested in checks/test_uploads_browser.py.
def test_trap_a_policy_stops_the_video_too(client: FlaskClient) -> None:
    assert {"default-src 'none'", "media-src 'self'"} <= set(policy(client))


def test_trap_a_stored_form_posts_as_your_site(client: FlaskClient) -> None:
    assert "form-action 'none'" in policy(client)
