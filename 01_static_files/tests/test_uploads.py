"""Storing and configuring; tests/test_http.py has what a request for a stored file gets."""

import errno
import os
import re
import socket
import threading
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import pytest
from flask import Flask, request, url_for
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.serving import make_server
from werkzeug.test import Client, TestResponse, create_environ, run_wsgi_app
from werkzeug.wsgi import FileWrapper

import uploads
from app import create_app

PNG = b"\x89PNG\r\n\x1a\n not much of a picture"
DIGEST = "0" * 64


def post(client: FlaskClient, content: bytes, name: str = "a.txt") -> TestResponse:
    return client.post("/uploads", data={"file": (BytesIO(content), name)})


def upload(client: FlaskClient, content: bytes, name: str = "a.txt") -> str:
    url = post(client, content, name).location
    assert url is not None
    return url


def fetch(client: Client, url: str, method: str = "GET") -> TestResponse:
    # Buffered: read to the end and closed, as a server does.
    return client.open(url, method=method, buffered=True)


def stored(app: Flask) -> list[Path]:
    return list(uploads.upload_folder(app).iterdir())


# Storing


def test_upload_answers_201_with_location_name_and_url(client: FlaskClient) -> None:
    answer = post(client, b"hello\n", "hello.txt")
    name = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03.txt"
    assert answer.status_code == 201
    assert answer.json == {"filename": name, "url": f"/uploads/{name}"}
    assert answer.location == f"/uploads/{name}"


NAMES = ["报告.pdf", "照片", "../../etc/passwd", "CON", ".htaccess", "a.PNG", "🎉", "x" * 300]


@pytest.mark.parametrize("name", [*NAMES, "a.html", "a.png\n", "a.png\0", "a.txt.", "a.", ".png"])
def test_whatever_its_name_a_file_comes_back_byte_for_byte(
    app: Flask, client: FlaskClient, name: str
) -> None:
    content = bytes(range(256)) * 4000  # over 500 kB: parsed through a file, not in memory
    with app.test_request_context():
        filename = uploads.save(FileStorage(BytesIO(content), name))
    assert re.fullmatch(uploads.NAME, filename)
    assert fetch(client, f"/uploads/{filename}").data == content
    assert [path.name for path in stored(app)] == [filename]


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


def test_a_half_written_file_has_no_url(app: Flask) -> None:
    seen = []

    class Slow(BytesIO):
        """A file whose second half comes after we've looked at what can be fetched."""

        def read(self, size: int | None = -1, /) -> bytes:
            for path in stored(app):
                seen.append(path.name)
                assert fetch(app.test_client(), f"/uploads/{path.name}").status_code == 404
            return super().read(size)

    with app.app_context():
        filename = uploads.save(FileStorage(Slow(PNG), "a.png"))
    assert seen and filename not in seen


# The limit


def test_the_limit_counts_the_bytes_of_the_body(tmp_path: Path) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "UPLOAD_LIMIT": 1000})
    assert post(app.test_client(), b"x" * 500).status_code == 201
    assert post(app.test_client(), b"y" * 1001).status_code == 413
    assert len(stored(app)) == 1


def test_a_limit_of_zero_bytes_is_a_limit(tmp_path: Path) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "UPLOAD_LIMIT": 0})
    assert post(app.test_client(), b"x").status_code == 413


def test_the_limit_goes_before_a_smaller_one_of_the_whole_app(tmp_path: Path) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "MAX_CONTENT_LENGTH": 10})
    assert post(app.test_client(), b"x" * 500).status_code == 201


def test_save_in_a_view_of_ones_own_has_the_limit_too(tmp_path: Path) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "UPLOAD_LIMIT": 3})
    with app.app_context(), pytest.raises(RequestEntityTooLarge):
        uploads.save(FileStorage(BytesIO(b"four"), "a.txt"))
    assert stored(app) == []


def chunks() -> Iterator[bytes]:
    yield (
        b"POST /uploads HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    for part in (head, b"x" * 1000, b"x" * 1000, b"\r\n--b--\r\n"):
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


def look_for_a_token() -> None:
    """Read the form before any view does, as CSRFProtect's hook does."""
    request.form.get("csrf_token")


@pytest.mark.parametrize("form_is_read_first", [False, True])
@pytest.mark.parametrize(("limit", "status"), [(3000, b"201"), (1500, b"413")])
def test_a_chunked_body_has_the_limit_too(
    tmp_path: Path, limit: int, status: bytes, form_is_read_first: bool
) -> None:
    app = create_app({"UPLOAD_FOLDER": tmp_path, "UPLOAD_LIMIT": limit})
    if form_is_read_first:
        app.before_request(look_for_a_token)
    server = make_server("127.0.0.1", 0, app)
    with (
        closing(server.socket),
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as client,
    ):
        client.sendall(b"".join(chunks()))
        server.handle_request()
        assert client.recv(1000).split()[1] == status
    assert len(stored(app)) == (status == b"201")


# What a killed process leaves behind


def old_part(folder: Path) -> Path:
    part = folder / f".upload-{uuid.uuid4()}.part"
    part.write_bytes(b"half")
    os.utime(part, (0, 0))
    return part


def test_at_start_no_other_file_is_removed(app: Flask) -> None:
    folder = uploads.upload_folder(app)
    names = [".htaccess", ".part", "notes.part", f".{uuid.uuid4()}.part", f"{DIGEST}.txt"]
    for name in names:
        old_part(folder).rename(folder / name)
    create_app({"UPLOAD_FOLDER": folder})
    assert {path.name for path in stored(app)} == set(names)


def test_eight_processes_that_start_at_once_may_remove_the_same_parts(app: Flask) -> None:
    folder = uploads.upload_folder(app)
    for _ in range(200):
        old_part(folder)
    start = threading.Barrier(8)

    def one_process(_: int) -> None:
        start.wait()
        uploads.remove_parts(folder)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one_process, range(8)))
    assert stored(app) == []


def test_a_part_that_cannot_be_removed_stops_no_start(app: Flask) -> None:
    folder = uploads.upload_folder(app)
    part = folder / f".upload-{uuid.uuid4()}.part"
    part.mkdir()
    os.utime(part, (0, 0))
    create_app({"UPLOAD_FOLDER": folder})
    assert stored(app) == [part]


# What is served


def test_a_file_may_be_kept_for_a_year_by_browsers_alone(client: FlaskClient) -> None:
    answer = fetch(client, upload(client, PNG, "a.png"))
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_a_text_is_utf_8(client: FlaskClient) -> None:
    answer = fetch(client, upload(client, "报告".encode(), "a.txt"))
    assert (answer.content_type, answer.text) == ("text/plain; charset=utf-8", "报告")


GOOD = f"{'b' * 64}.txt"  # a name as save makes it
PRIVATE = [
    "salary.txt",
    ".git",
    "b" * 64,
    f"{'b' * 64}.html",
    f"{'B' * 64}.txt",
    f"{'b' * 64}.TXT",
    f"x{GOOD}",
    f"{GOOD}.bak",
    f"{GOOD}\n",
    f"folder/{GOOD}",
]
TRICKS = """
    .  ..  ../app.py  ..%2fapp.py  %2e%2e/%2e%2e/app.py  ..%5capp.py  ..%252fapp.py  %00
    GOOD%00  GOOD/  GOOD/.  GOOD/../salary.txt  GOOD%2f..%2fsalary.txt  ./GOOD  folder
    folder/../GOOD  aaaa.txt
""".replace("GOOD", GOOD).split()


@pytest.mark.parametrize("middleware", [True, False])
@pytest.mark.parametrize("path", [*map(quote, PRIVATE), *TRICKS, "a" * 64 + ".txt", "x" * 5000])
def test_nothing_but_what_save_stored_is_ever_served(
    tmp_path: Path, middleware: bool, path: str
) -> None:
    (tmp_path / "folder").mkdir()
    for name in PRIVATE:
        (tmp_path / name).write_text("private")
    (tmp_path / GOOD).write_text("public")
    app = Flask("theirs")
    app.config["UPLOAD_FOLDER"] = tmp_path
    uploads.init_app(app, middleware=middleware)
    app.register_error_handler(404, lambda error: ("from Flask", 404))

    assert fetch(app.test_client(), f"/uploads/{GOOD}").text == "public"
    answer = fetch(app.test_client(), f"/uploads/{path}")
    assert (answer.status_code, answer.text) == (404, "from Flask")
    assert "Cache-Control" not in answer.headers


@pytest.mark.parametrize("path", ["", None])
def test_a_request_without_a_path_is_flasks(app: Flask, path: str | None) -> None:
    environ = create_environ("/")
    environ["PATH_INFO"] = path
    if path is None:
        del environ["PATH_INFO"]
    assert run_wsgi_app(app, environ)[1].startswith("404 ")


def test_a_file_that_cannot_be_opened_is_the_apps_own_500(app: Flask, client: FlaskClient) -> None:
    resource = pytest.importorskip("resource", reason="needs a POSIX system")
    app.testing = False
    app.register_error_handler(500, lambda error: (repr(error.original_exception), 500))
    url = upload(client, PNG)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_number = os.dup(0)
    os.close(next_number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_number, hard))  # no more open files
    try:
        answer = client.get(url)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert answer.status_code == 500
    assert "Too many open files" in answer.text


def test_what_is_no_regular_file_is_404(app: Flask, client: FlaskClient) -> None:
    (uploads.upload_folder(app) / GOOD).mkdir()
    assert fetch(client, f"/uploads/{GOOD}").status_code == 404


def test_other_rules_of_the_app_below_uploads_go_on_working(tmp_path: Path) -> None:
    app = Flask("theirs")
    app.config["UPLOAD_FOLDER"] = tmp_path
    app.add_url_rule("/uploads/mine", "mine", lambda: "mine")
    app.add_url_rule("/<path:anything>", "page", lambda anything: "a page")
    uploads.init_app(app)
    app.add_url_rule("/uploads/<name>", "theirs", lambda name: "theirs")  # added later
    client = app.test_client()
    assert fetch(client, "/uploads/mine").text == "mine"
    assert fetch(client, "/uploads/salary.txt").text == "theirs"
    assert fetch(client, "/uploads/a/b").text == "a page"
    assert fetch(client, f"/uploads/{DIGEST}.txt").status_code == 404


def test_the_server_may_send_the_file_by_itself(app: Flask, client: FlaskClient) -> None:
    # A server recognises what its own wsgi.file_wrapper has made, and uses sendfile for it.
    environ = create_environ(upload(client, PNG)) | {"wsgi.file_wrapper": FileWrapper}
    start_response: Any = print  # status and headers are another test's concern
    body: Any = app.wsgi_app(environ, start_response)
    assert isinstance(body, FileWrapper)
    body.close()


@pytest.mark.parametrize("headers", [{}, {"HTTP_RANGE": "bytes=0-3"}, {"HTTP_RANGE": "bytes=99-"}])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_file_is_closed_with_the_answer(
    app: Flask, client: FlaskClient, method: str, headers: dict[str, str]
) -> None:
    opened = []

    def file_wrapper(file: BinaryIO, size: int) -> Iterable[bytes]:
        opened.append(file)
        return FileWrapper(file, size)

    url = upload(client, PNG)
    environ = create_environ(url, method=method) | {"wsgi.file_wrapper": file_wrapper} | headers
    run_wsgi_app(app, environ, buffered=True)
    assert opened and all(file.closed for file in opened)


# Configuration


def test_the_view_for_uploads_may_have_any_url_and_name(tmp_path: Path) -> None:
    app = Flask("theirs")
    app.config["UPLOAD_FOLDER"] = tmp_path
    app.add_url_rule("/upload", "upload", lambda: "a view of its own")
    uploads.init_app(app)
    app.add_url_rule("/attachments", "attach", uploads.upload, methods=["POST"])
    data = {"file": (BytesIO(b"mine"), "a.txt")}
    url = app.test_client().post("/attachments", data=data).location or ""
    assert fetch(app.test_client(), url).data == b"mine"


@pytest.mark.parametrize("kind", [str, Path])
def test_the_folder_keeps_its_type_and_value(tmp_path: Path, kind: Any) -> None:
    app = create_app({"UPLOAD_FOLDER": kind(tmp_path / "new")})
    assert app.config["UPLOAD_FOLDER"] == kind(tmp_path / "new")
    assert type(app.config["UPLOAD_FOLDER"]) is type(kind(tmp_path))
    assert post(app.test_client(), PNG).status_code == 201


def test_a_relative_folder_is_in_the_instance_folder(tmp_path: Path) -> None:
    app = Flask("theirs", instance_path=str(tmp_path))
    app.config["UPLOAD_FOLDER"] = "mine"
    uploads.init_app(app)
    assert uploads.upload_folder(app) == tmp_path / "mine"
    assert (tmp_path / "mine").is_dir()


def test_the_folder_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    client = create_app({"UPLOAD_FOLDER": tmp_path / "link"}).test_client()
    assert fetch(client, upload(client, PNG)).data == PNG


def test_a_folder_set_after_init_app_is_used(app: Flask, client: FlaskClient) -> None:
    before = uploads.upload_folder(app)
    app.config["UPLOAD_FOLDER"] = before.with_name("later")
    uploads.upload_folder(app).mkdir()
    assert fetch(client, upload(client, PNG)).data == PNG
    assert list(before.iterdir()) == []


@pytest.mark.parametrize("setting", ["UPLOAD_FOLDER", "UPLOAD_LIMIT"])
def test_a_setting_that_cannot_work_stops_the_start(tmp_path: Path, setting: str) -> None:
    with pytest.raises((OSError, ValueError)):
        create_app({"UPLOAD_FOLDER": tmp_path, setting: __file__})


@pytest.mark.parametrize("rule", ["/uploads/<name>", "/uploads/<path:name>", "/uploads/<int:id>"])
def test_a_rule_that_is_there_already_is_refused_by_name(tmp_path: Path, rule: str) -> None:
    app = Flask("theirs")
    app.config["UPLOAD_FOLDER"] = tmp_path
    app.add_url_rule(rule, "download_file", lambda **values: "theirs")
    with pytest.raises(ValueError, match=re.escape(f"{rule} (endpoint 'download_file')")):
        uploads.init_app(app)


def test_an_endpoint_that_is_there_already_is_refused_by_name(tmp_path: Path) -> None:
    app = Flask("theirs")
    app.config["UPLOAD_FOLDER"] = tmp_path
    app.add_url_rule("/files/<name>", "uploaded_file", lambda name: "theirs")
    with pytest.raises(ValueError, match="'uploaded_file'"):
        uploads.init_app(app)


def test_url_for_builds_the_address_of_a_file(app: Flask) -> None:
    with app.test_request_context(base_url="https://desk.example.org/below"):
        url = url_for("uploaded_file", filename=f"{DIGEST}.txt", _external=True)
    assert url == f"https://desk.example.org/below/uploads/{DIGEST}.txt"


def test_a_view_of_ones_own_may_store_with_save(app: Flask, client: FlaskClient) -> None:
    @app.post("/photos")
    def photos() -> str:
        return url_for("uploaded_file", filename=uploads.save(request.files["photo"]))

    answer = client.post("/photos", data={"photo": (BytesIO(PNG), "a.png")})
    assert fetch(client, answer.text).data == PNG


def test_what_a_form_sends_if_no_file_was_chosen_is_not_stored(
    app: Flask, client: FlaskClient
) -> None:
    @app.post("/photos")
    def photos() -> str:
        return uploads.save(request.files["photo"])

    assert client.post("/photos", data={"photo": (BytesIO(), "")}).status_code == 400
    assert stored(app) == []
