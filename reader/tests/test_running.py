"""Real versions of the sample's chapter, as processes."""

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import curl
from conftest import free_ports
from contents import Book
from running import ACCESS, Answer, NotRunning, Runner, trace


def get(runner: Runner, book: Book, path: str, version: str = "ours") -> Answer:
    ports = book.chapters[0].ports
    port = ports.ours if version == "ours" else ports.article
    request = curl.parse(f"curl http://127.0.0.1:{port}{path}")
    return runner.version("01", version).send(request)


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_until_free(port: int) -> None:
    end = time.monotonic() + 30
    while listens(port) and time.monotonic() < end:
        time.sleep(0.05)
    assert not listens(port)


def test_a_version_answers_with_status_headers_body_and_log(book: Book, runner: Runner) -> None:
    answer = get(runner, book, "/boom")
    assert (answer.status, answer.reason) == (500, "INTERNAL SERVER ERROR")
    assert "Content-Type: text/html; charset=utf-8" in answer.head
    assert answer.log.startswith("[") and answer.log.endswith("ZeroDivisionError: division by zero")


def test_a_log_is_that_of_its_request_alone(book: Book, runner: Runner) -> None:
    get(runner, book, "/boom")
    assert get(runner, book, "/n/1").log == ""
    assert get(runner, book, "/boom", "article").log == ""


def test_what_a_server_says_when_it_starts_is_in_no_requests_log(
    book: Book, runner: Runner, module: Path
) -> None:
    late = """
import time
from werkzeug.serving import BaseWSGIServer

say = BaseWSGIServer.log_startup
BaseWSGIServer.log_startup = lambda server: (time.sleep(0.3), say(server))[1]
"""
    module.write_text(module.read_text() + late)
    assert get(runner, book, "/n/1").log == ""


def test_werkzeugs_access_line_ends_a_requests_log(book: Book, runner: Runner) -> None:
    # It's written when the headers go out, so it's there when the answer is.
    version = runner.version("01", "ours")
    version.start()
    mark = version.mark()
    get(runner, book, "/n/1?a=b")
    [line] = [line for line in version.logged(mark).splitlines() if line]
    assert ACCESS.match(line)
    assert version.arrived(mark) == ["GET /n/1?a=b 200"]


def test_a_changed_file_starts_a_version_anew(
    book: Book, runner: Runner, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    assert b"one" in get(runner, book, "/n/1").body
    text = module.read_text()
    second = 1_700_000_000 * 10**9
    for part, word in enumerate(("uno", "une", "ein")):  # of the same length, within a second
        module.write_text(text.replace('"one"', f'"{word}"'))
        os.utime(module, ns=(second + part, second + part))
        assert word.encode() in get(runner, book, "/n/1").body


def test_a_syntax_error_is_told_with_its_line_and_nothing_of_flask(
    book: Book, runner: Runner, module: Path
) -> None:
    module.write_text("def def x():\n")
    with pytest.raises(NotRunning) as told:
        get(runner, book, "/n/1")
    assert str(told.value).splitlines() == [
        '  File "app.py", line 3, in <module>',
        "    import numbers_",
        '  File "numbers_.py", line 1',
        "    def def x():",
        "        ^^^",
        "SyntaxError: invalid syntax",
    ]


def test_an_app_that_cannot_be_made_is_told(book: Book, runner: Runner, module: Path) -> None:
    module.write_text(
        module.read_text().replace("def init_app(app: Flask) -> None:", "def other():")
    )
    with pytest.raises(NotRunning, match=r"AttributeError: module 'numbers_' has no attribute"):
        get(runner, book, "/n/1")


def test_a_busy_port_is_told(book: Book, runner: Runner) -> None:
    runner.version("01", "ours").stop()
    other = socket.create_server(("127.0.0.1", book.chapters[0].ports.ours))
    with other, pytest.raises(NotRunning, match=r"Port \d+ can't be used"):
        get(runner, book, "/n/1")
    assert get(runner, book, "/n/1").status == 200


def test_a_version_that_dies_is_told_and_starts_again(
    book: Book, runner: Runner, module: Path
) -> None:
    module.write_text(
        module.read_text().replace("    if number not", "    os._exit(3)\n    if number not")
    )
    with pytest.raises(NotRunning, match="No answer"):
        get(runner, book, "/n/1")
    assert get(runner, book, "/boom").status == 500


def test_a_trace_without_a_frame_of_the_chapter_is_the_error(tmp_path: Path) -> None:
    text = 'Traceback (most recent call last):\n  File "/x/y.py", line 1\n    a\nOSError: no\n'
    assert trace(text, tmp_path) == "OSError: no"
    assert trace("Error: one\nUsage: two\n", tmp_path) == "Error: one\nUsage: two"


# How it ends by Ctrl-C or with make, what make says of a wrong setting: checks/test_make.py.


def test_versions_end_with_the_reader_and_a_second_one_finds_the_first(book: Book) -> None:
    program = Path(__file__).parent.parent / "run.py"
    command = [sys.executable, str(program), "--book", str(book.root), "--chapter", "01"]
    port = free_ports()
    env = os.environ | {"READER_PORT": str(port)}
    reader = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    with reader, ExitStack() as end_of_test:
        end_of_test.callback(reader.kill)
        assert reader.stdout
        shown = [reader.stdout.readline() for _ in range(4)]
        assert f"http://127.0.0.1:{port}/01_numbers/README.md" in shown[0]
        assert f":{port + 1}" in shown[1] and f":{port + 101}" in shown[2]
        end = time.monotonic() + 30
        while not (listens(port + 1) and listens(port + 101)) and time.monotonic() < end:
            time.sleep(0.05)

        second = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert second.returncode == 1 and "running already" in second.stderr

        reader.kill()  # which it doesn't hear of
        wait_until_free(port + 1)
        wait_until_free(port + 101)


def test_a_chapters_port_and_host_are_chosen(book: Book) -> None:
    moved = Book(book.root, book.port, {"01": book.port + 50})
    runner = Runner(moved.chapters, "0.0.0.0", debug=True)
    try:
        answer = get(runner, moved, "/boom")
        assert b"Werkzeug Debugger" in answer.body
        assert get(runner, moved, "/boom", "article").body == b"broken"
        assert listens(book.port + 50) and listens(book.port + 150)
    finally:
        runner.stop()
