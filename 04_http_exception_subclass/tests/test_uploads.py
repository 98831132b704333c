import errno
import os
import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from flask import Flask, request, url_for
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.serving import make_server
from werkzeug.test import Client, TestResponse, create_environ, run_wsgi_app
from werkzeug.wsgi import FileWrapper

import uploads
from app import create_app

PNG = b"\x89PNG\r\n\x1a\n not much of a picture"


def post(client: FlaskClient, content: bytes, name: str = "a.txt") -> TestResponse:
    return client.post("/uploads", data={"file": (BytesIO(content), name)})


def upload(client: FlaskClient, content: bytes, name: str = "a.txt") -> str:
    url = post(client, content, name).location
    assert url is not None
    return url


def fetch(client: Client, url: str, method: str = "GET", **headers: str) -> TestResponse:
    # Buffered: read to the end and closed, as a server does.
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.open(url, method=method, headers=sent, buffered=True)


def stored(app: Flask) -> list[Path]:
    return list(app.config["UPLOAD_FOLDER"].iterdir())


# Storing


def test_upload_answers_201_with_location_name_and_url(client: FlaskClient) -> None:
    answer = post(client, b"hello\n", "hello.txt")
    name = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03.txt"
    assert answer.status_code == 201
    assert answer.json is not None and answer.json["filename"] == name
    assert answer.location == answer.json["url"] == f"/uploads/{name}"


NAMES = ["报告.pdf", "照片", "../../etc/passwd", "CON", ".htaccess", "a.PNG", "🎉", "x" * 300]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_its_name_a_file_comes_back_byte_for_byte(
    app: Flask, client: FlaskClient, name: str
) -> None:
    content = bytes(range(256)) * 4000  # over 500 kB: parsed through a file, not in memory
    url = upload(client, content, name)
    assert fetch(client, url).data == content
    assert [f"/uploads/{path.name}" for path in stored(app)] == [url]


def test_same_bytes_again_get_the_same_url_and_one_file(app: Flask, client: FlaskClient) -> None:
    url = upload(client, PNG, "a.png")
    [path] = stored(app)
    written = path.stat().st_mtime_ns
    assert upload(client, PNG, "B.PNG") == url
    assert [again.stat().st_mtime_ns for again in stored(app)] == [written]


class Counted(FileIO):
    """A file that counts how much of it is read."""

    count = 0

    def read(self, size: int | None = -1, /) -> Any:
        data = super().read(size)
        self.count += len(data or b"")
        return data

    def readinto(self, buffer: Any, /) -> Any:
        size = super().readinto(buffer)
        self.count += size or 0
        return size


def test_a_new_file_is_read_twice_and_one_that_is_there_once(app: Flask, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(PNG * 10_000)
    with app.app_context():
        for times in (2, 1):  # to hash it, and to write it
            with Counted(source) as file:
                uploads.save(FileStorage(file, "a.png"))
            assert file.count == times * source.stat().st_size


def test_a_view_may_look_into_a_file_before_it_is_saved(app: Flask, client: FlaskClient) -> None:
    @app.post("/look")
    def look() -> str:
        file = request.files["file"]
        assert file.read(4)
        return uploads.save(file)

    def name(content: bytes) -> str:
        return client.post("/look", data={"file": (BytesIO(content), "a.pdf")}).text

    assert name(b"%PDF same tail") != name(b"%PNG same tail")


def test_same_bytes_from_eight_clients_at_once_are_one_file(app: Flask) -> None:
    start = threading.Barrier(8)

    def one_client(_: int) -> str:
        start.wait()
        return upload(app.test_client(), PNG * 10_000, "a.png")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(one_client, range(8)))) == 1
    assert len(stored(app)) == 1


@pytest.mark.parametrize("data", [{}, {"file": "no file"}, {"file": (BytesIO(), "")}])
def test_no_file_or_an_empty_name_is_400(client: FlaskClient, data: dict[str, object]) -> None:
    assert client.post("/uploads", data=data).status_code == 400


def test_body_over_the_limit_is_413_and_leaves_nothing(tmp_path: Path) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "MAX_CONTENT_LENGTH": 1000})
    assert post(app.test_client(), b"x" * 1001).status_code == 413
    assert stored(app) == []


def test_disk_full_leaves_nothing(app: Flask, client: FlaskClient) -> None:
    resource = pytest.importorskip("resource", reason="needs a POSIX system")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # from here on the kernel says no
    try:
        with pytest.raises(OSError) as failed:
            post(client, b"x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failed.value.errno == errno.EFBIG
    assert stored(app) == []


def test_client_gone_in_the_middle_leaves_nothing(app: Flask) -> None:
    half = (
        b"POST /uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhalf'
    )
    server = make_server("127.0.0.1", 0, app)
    with closing(server.socket):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(half)
        server.handle_request()
    assert stored(app) == []


def test_half_written_file_is_404(app: Flask, client: FlaskClient) -> None:
    (app.config["UPLOAD_FOLDER"] / ".half").write_bytes(b"half")
    assert fetch(client, "/uploads/.half").status_code == 404


def test_nothing_in_a_hidden_folder_is_served(app: Flask, client: FlaskClient) -> None:
    (app.config["UPLOAD_FOLDER"] / ".git").mkdir()
    (app.config["UPLOAD_FOLDER"] / ".git/config").write_bytes(b"secret")
    assert fetch(client, "/uploads/.git/config").status_code == 404


def age(path: Path) -> None:
    """Let *path* look as if it had been written long ago."""
    os.utime(path, (0, 0))


def test_at_start_dotfiles_that_are_not_parts_stay(app: Flask) -> None:
    folder = app.config["UPLOAD_FOLDER"]
    names = [".htaccess", ".part", ".notes.part", f".{uuid.uuid4()}", f"{uuid.uuid4()}.part"]
    for name in names:
        (folder / name).write_bytes(b"mine")
        age(folder / name)
    create_app({"UPLOAD_FOLDER": folder})
    assert {path.name for path in stored(app)} == set(names)


def test_eight_processes_that_start_at_once_may_remove_the_same_parts(app: Flask) -> None:
    folder = app.config["UPLOAD_FOLDER"]
    for _ in range(200):
        part = folder / f".{uuid.uuid4()}.part"
        part.write_bytes(b"half")
        age(part)
    start = threading.Barrier(8)

    def one_process(_: int) -> None:
        start.wait()
        uploads.remove_parts(folder)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one_process, range(8)))
    assert stored(app) == []


def test_a_part_that_cannot_be_removed_stops_no_start(app: Flask) -> None:
    folder = app.config["UPLOAD_FOLDER"]
    part = folder / f".{uuid.uuid4()}.part"
    part.mkdir()
    age(part)
    create_app({"UPLOAD_FOLDER": folder})
    assert stored(app) == [part]


# Serving


def test_file_comes_with_its_type_an_etag_and_a_year_of_caching(client: FlaskClient) -> None:
    url = upload(client, PNG, "a.png")
    answer = fetch(client, url)
    assert (answer.status_code, answer.content_type) == (200, "image/png")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    again = fetch(client, url, If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == answer.headers["Cache-Control"]
    assert "Content-Type" not in again.headers  # a cache would overwrite its own


NOT_A_FILE = """
    /uploads/missing.txt  /uploads/  /uploads/.  /uploads/..  /uploads/../app.py
    /uploads/..%2fapp.py  /uploads/%2e%2e/%2e%2e/app.py  /uploads/..%5capp.py  /uploads/folder
    /uploads/..%252fapp.py  /uploads//etc/passwd  /uploads/%00  /uploads/a%00.txt
""".split()


@pytest.mark.parametrize("path", [*NOT_A_FILE, "/uploads/" + "x" * 5000])
def test_what_is_not_a_stored_file_is_404_from_flask(
    app: Flask, client: FlaskClient, path: str
) -> None:
    app.register_error_handler(404, lambda error: ("from Flask", 404))
    (app.config["UPLOAD_FOLDER"] / "folder").mkdir()
    answer = fetch(client, path)
    assert (answer.status_code, answer.text) == (404, "from Flask")
    assert "Cache-Control" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"])
def test_any_other_method_is_left_to_flask(client: FlaskClient, method: str) -> None:
    url = upload(client, PNG, "a.png")
    assert fetch(client, url, method).status_code == 404


def test_head_has_the_headers_of_the_file_and_no_body(client: FlaskClient) -> None:
    head = fetch(client, upload(client, PNG, "a.png"), "HEAD")
    assert (head.status_code, head.data, head.content_length) == (200, b"", len(PNG))


def test_url_for_builds_the_address_of_a_file(app: Flask) -> None:
    with app.test_request_context():
        assert url_for("uploaded_file", filename="a.txt") == "/uploads/a.txt"


def test_a_view_below_uploads_is_not_served_as_a_file(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/uploads/mine", view_func=lambda: "private")
    answer = fetch(client, "/uploads/mine")
    assert answer.text == "private"
    assert "Cache-Control" not in answer.headers


def test_upload_headers_come_with_every_file_and_go_before_the_defaults(tmp_path: Path) -> None:
    headers = {"X-Robots-Tag": "noindex", "Cache-Control": "private"}
    app = create_app({"UPLOAD_FOLDER": tmp_path, "UPLOAD_HEADERS": headers})
    client = app.test_client()
    answer = fetch(client, upload(client, PNG))
    assert (answer.headers["X-Robots-Tag"], answer.headers["Cache-Control"]) == (
        "noindex",
        "private",
    )
    assert "X-Robots-Tag" not in fetch(client, "/uploads/missing.txt").headers


def test_the_server_may_send_the_file_by_itself(app: Flask, client: FlaskClient) -> None:
    # A server recognises what its own wsgi.file_wrapper has made, and uses sendfile for it.
    environ = create_environ(upload(client, PNG)) | {"wsgi.file_wrapper": FileWrapper}
    start_response: Any = print  # status and headers are another test's concern
    body: Any = app.wsgi_app(environ, start_response)
    assert isinstance(body, FileWrapper)
    body.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_file_is_closed_with_the_answer(app: Flask, client: FlaskClient, method: str) -> None:
    opened = []

    def file_wrapper(file: BinaryIO, size: int) -> FileWrapper:
        opened.append(file)
        return FileWrapper(file, size)

    url = upload(client, PNG)
    environ = create_environ(url, method=method) | {"wsgi.file_wrapper": file_wrapper}
    run_wsgi_app(app, environ, buffered=True)
    assert [file.closed for file in opened] == [True]


# Configuration


def test_the_view_for_uploads_may_have_any_url_and_name(tmp_path: Path) -> None:
    app = Flask("other")
    app.config["UPLOAD_FOLDER"] = tmp_path
    app.add_url_rule("/upload", "upload", lambda: "a view of its own")
    uploads.init_app(app)
    app.add_url_rule("/attachments", "attach", uploads.upload, methods=["POST"])
    data = {"file": (BytesIO(b"mine"), "a.txt")}
    url = app.test_client().post("/attachments", data=data).location or ""
    assert fetch(app.test_client(), url).data == b"mine"


def test_a_limit_of_zero_bytes_is_a_limit(tmp_path: Path) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "MAX_CONTENT_LENGTH": 0})
    assert post(app.test_client(), b"x").status_code == 413


def test_a_relative_folder_is_in_the_instance_folder(tmp_path: Path) -> None:
    app = Flask("other", instance_path=str(tmp_path))
    app.config["UPLOAD_FOLDER"] = "mine"
    uploads.init_app(app)
    assert app.config["UPLOAD_FOLDER"] == tmp_path / "mine"


@pytest.mark.parametrize("folder", ["", ".", "..", "mine/.."])
def test_the_instance_folder_itself_is_never_served(folder: str) -> None:
    with pytest.raises(ValueError, match="UPLOAD_FOLDER cannot be used: the instance folder"):
        create_app({"UPLOAD_FOLDER": folder})


@pytest.mark.parametrize("setting", ["UPLOAD_FOLDER", "UPLOAD_HEADERS", "MAX_CONTENT_LENGTH"])
@pytest.mark.parametrize("value", [__file__, -1])
def test_bad_setting_is_named_when_the_app_is_created(
    tmp_path: Path, setting: str, value: object
) -> None:
    with pytest.raises(ValueError, match=setting):
        create_app({"UPLOAD_FOLDER": tmp_path, setting: value})
