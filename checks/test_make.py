"""The Makefile's contract, from a folder whose name has a space and Chinese characters."""

import fcntl
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import diff
from book import APPS, CHAPTERS, COMBINED, ROOT, STEPS, TECHNIQUES, title
from reading import free_ports
from servers import free_port, listens, process

pytestmark = pytest.mark.drill

ENV = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PIP_"))}
NO_PORT = "Cannot serve on 127.0.0.1:{}: there is no such port; choose another one with {}="
NO_HOST = "there is no such host; choose another one with HOST="


@pytest.fixture
def ready(clone: Path) -> Path:
    """A copy of the project with everything installed."""
    (clone / ".venv").symlink_to(ROOT / ".venv")
    return clone


# Whoever kills this closes the terminal in which it runs a command.
TERMINAL = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])"]


def make(folder: Path, command: str, *by: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run make with *command* by another program, if one is named."""
    return subprocess.run(
        [*by, "make", *shlex.split(command)], cwd=folder, env=ENV | env, timeout=300,
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip


def fails_with_one_line(done: subprocess.CompletedProcess[str]) -> str:
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert done.returncode != 0
    assert len(said) == 1, done.stderr
    return said[0]


def test_make_alone_lists_commands_and_chapters() -> None:
    commands = "read run-NN diff-NN test-NN test drills lint fix bench clean"
    listed = [f"make {command} " for command in commands.split()]
    said = make(ROOT, "").stdout
    assert [word for word in [*listed, *map(title, CHAPTERS)] if word not in said] == []


# What is refused


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("run-99", 'no chapter for "make run-99"; the chapters are 01 02 03 04 05 06.'),
        ("test-9", 'no chapter for "make test-9"'),
        ("diff-error", 'no chapter for "make diff-error"'),
        ("run-", 'no chapter for "make run-"'),
        ("run-01-02", 'no chapter for "make run-01-02"'),
        ("test-x-01", 'no chapter for "make test-x-01"'),
        ("run-06 STEP=9", "no step 9; the steps of chapter 06 are 1 2 3 4 5 6 7 8."),
        ("diff-06 STEP=%", "no step %;"),
        ("test-06 STEP='1 2'", "no step 1 2;"),
        ("run-05 STEP=1", "Only chapter 06 has steps: make run-06 STEP=1."),
        ("run-01 PORT=abc", NO_PORT.format("abc", "PORT")),
        ("run-01 PORT=99999", NO_PORT.format("99999", "PORT")),
        ("run-01 PORT=65500", NO_PORT.format("65600", "PORT")),  # the article's
        ("run-01 READER_PORT=abc", NO_PORT.format("abc", "READER_PORT")),
        ("run-01 READER_PORT=0", NO_PORT.format("0", "READER_PORT")),
        ("run-01 HOST=256.0.0.1", NO_HOST),
        ("run-01 HOST=no.such.host.invalid", NO_HOST),
        ("run-06 HOST=a..b", NO_HOST),
        ("run-01 HOST=192.0.2.1", "isn't an address of this computer; choose one with HOST="),
    ],
)
def test_a_mistake_gets_one_line(command: str, says: str) -> None:
    assert says in fails_with_one_line(make(ROOT, command, READER_PORT=str(free_ports())))


@pytest.mark.parametrize(
    ("whose", "offset", "says"),
    [
        ("ours", 1, "choose another port with PORT="),
        ("the article's", 101, "choose another port with PORT="),
        ("the reader's", 0, "in use by another program. Stop it, or set READER_PORT="),
    ],
)
def test_a_port_in_use(whose: str, offset: int, says: str) -> None:
    reader = free_ports()
    with socket.create_server(("127.0.0.1", reader + offset)):
        said = fails_with_one_line(make(ROOT, "run-01", READER_PORT=str(reader)))
    assert said.count(str(reader + offset)) == 1 and says in said


@pytest.mark.parametrize("chapter", ["01", "06"])
def test_a_folder_that_may_not_be_written_to(ready: Path, chapter: str) -> None:
    [folder] = ready.glob(f"{chapter}_*")
    not_even_root = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    folder.chmod(0o555)
    command = f"run-{chapter} PORT={free_port()} READER_PORT={free_ports()}"
    done = make(ready, command, *not_even_root)
    folder.chmod(0o755)
    assert "You may not write to" in fails_with_one_line(done)


def test_reading_the_makefile_removes_nothing(clone: Path) -> None:
    (clone / "python").write_text("no Python")
    make(clone, "-n help VENV=python")
    assert (clone / "python").exists()


@pytest.mark.parametrize(
    "command", ["run-01 HOST=", "run-06 HOST=", "run-06 PORT=", "drills ONLY="]
)
def test_what_a_variable_holds_is_no_code(ready: Path, command: str) -> None:
    for quote in "", "'", '"':
        code = f"x$$(touch gotcha){quote}; touch gotcha; {quote}"
        assert make(ready, command + shlex.quote(code)).returncode != 0
        assert not list(ready.rglob("gotcha"))


# Setup


@pytest.mark.parametrize(
    ("fails_at", "says"),
    [("version_info", "Python 3.11 or later"), ("ensurepip", "python3-venv")],
)
def test_a_python_that_is_too_old_or_has_no_venv(clone: Path, fails_at: str, says: str) -> None:
    other = clone / "python3"
    other.write_text(
        f'#!/bin/sh\ncase "$2" in *{fails_at}*) exit 1; esac\nexec "{sys.executable}" "$@"'
    )
    other.chmod(0o755)
    assert says in fails_with_one_line(make(clone, "run-01 PYTHON=./python3"))


def test_no_network_at_first_setup(clone: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONFIG_FILE": os.devnull}
    done = make(clone, "run-01", PIP_RETRIES="0", **nowhere)
    assert "Is there a network?" in fails_with_one_line(done)
    assert (clone / ".venv/pip.log").exists()


def test_setup_runs_once_and_again_when_python_is_gone_or_the_lock_changes(clone: Path) -> None:
    def setup() -> list[str]:
        return make(clone, ".venv/requirements.txt").stdout.splitlines()

    installing = ["Installing requirements.txt into .venv: about 1 MB, once."]
    lock, python = clone / "requirements.txt", clone / ".venv/bin/python"
    lock.write_text("# nothing to install\n", encoding="utf-8")
    assert setup() == installing
    assert installing[0] not in setup()

    python.unlink()
    python.symlink_to("nowhere")
    assert setup() == installing
    assert python.exists() and (clone / ".venv/requirements.txt").exists()

    later = lock.stat().st_mtime + 60
    os.utime(lock, (later, later))
    assert setup() == installing


# Servers


def wait_until(open_: bool, ports: list[int]) -> None:
    """Wait until all ports are open, or until none is; AssertionError after 30 seconds."""
    end = time.monotonic() + 30
    while any(listens(port) is not open_ for port in ports):
        assert time.monotonic() < end, f"{ports} aren't {'open' if open_ else 'closed'}"
        time.sleep(0.1)


def page(port: int, path: str = "") -> bytes:
    return bytes(urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}").read())


@pytest.mark.parametrize(
    ("goal", "servers", "title", "end"),
    [
        ("run-01", [0, 1, 101], b"01 Static files", "Ctrl-C"),
        ("run-01", [0, 1, 101], b"01 Static files", "make is killed"),
        ("run-01", [0, 1, 101], b"01 Static files", "the terminal is closed"),
        ("run-06", [1], b"Chat desk", "Ctrl-C"),
        ("run-06", [1], b"Chat desk", "make is killed"),
        ("run-06", [1], b"Chat desk", "the terminal is closed"),
        ("run-06 STEP=1", [1, 101], b"06, step 1", "Ctrl-C"),
        ("run-06 STEP=2", [1, 101], b"06, step 2", "Ctrl-C"),
    ],
)
def test_run_serves_the_page_until(
    ready: Path, goal: str, servers: list[int], title: bytes, end: str
) -> None:
    port = free_ports()
    ports = [port + offset for offset in servers]  # the first one has the page
    command = ["make", *goal.split(), f"READER_PORT={port}", f"PORT={port + 1}"]
    if end == "the terminal is closed":  # make has no shell, which would tell it
        command = [*TERMINAL, *command]
    with process(command, ready, *ports, env=ENV, start_new_session=True) as server:
        assert title in page(ports[0])
        if end == "Ctrl-C":
            os.killpg(server.pid, signal.SIGINT)
        else:
            server.kill()
        wait_until(False, ports)


def test_read_starts_a_chapter_when_its_page_is_opened(ready: Path) -> None:
    port = free_ports()
    with process(["make", "read", f"READER_PORT={port}"], ready, port, env=ENV):
        assert not listens(port + 3)
        assert b"03 Error codes" in page(port, "03_error_codes/README.md")
        wait_until(True, [port + 3, port + 103])
        said = fails_with_one_line(make(ready, "run-04", READER_PORT=str(port)))
        assert said.endswith(f"http://127.0.0.1:{port}/04_http_exception_subclass/README.md")
    wait_until(False, [port, port + 3, port + 103])


# Differences


def shown(said: str) -> list[str]:
    """Return the files that a diff shows, in its order."""
    return [line.split(" b/")[1] for line in said.splitlines() if line.startswith("diff --git")]


DIFFS = {"diff-05": CHAPTERS[4], "diff-06": COMBINED, f"diff-06 STEP={len(STEPS) + 1}": COMBINED}
DIFFS |= {f"diff-06 STEP={number}": step for number, step in enumerate(STEPS[1:], 2)}


@pytest.mark.parametrize("command", DIFFS)
def test_diff_lists_all_files_and_shows_the_code_that_changed_and_then_what_is_new(
    command: str,
) -> None:
    files = diff.difference(DIFFS[command])
    said = make(ROOT, command).stdout
    summary = said.partition("\n\n")[0]
    assert summary == diff.summary(files).rstrip("\n")
    for kind in ("changed", "new"):
        for name in files[kind]:
            [line] = [line for line in summary.splitlines() if name in re.split("[:,]? ", line)]
            assert line.startswith("plumbing" if diff.is_quiet(name) else f"{kind}: ")

    code = [name for name in files["changed"] + files["new"] if not diff.is_quiet(name)]
    assert shown(said) == [f"{title(DIFFS[command])}/{name}" for name in code]
    assert [name for name in files["new"] if name in code]
    assert not [name for name in code if name.startswith("tests/") or name.endswith(".md")]


def test_diff_shows_tests_and_pages_if_asked_to() -> None:
    everything = shown(make(ROOT, "diff-05 ALL=1").stdout)
    assert {"05_catch_all/tests/test_handlers.py", "05_catch_all/README.md"} <= {*everything}


@pytest.mark.parametrize("chapter", CHAPTERS[:4], ids=title)
def test_diff_of_a_chapter_that_stands_alone_names_the_file_to_read(chapter: Path) -> None:
    technique = f"{chapter.name}/{TECHNIQUES[chapter.name]}"
    said = make(ROOT, f"diff-{chapter.name[:2]}").stdout
    assert said == f"{chapter.name} stands alone; the file to read is {technique}\n"


def test_diff_is_paged_on_a_terminal_and_only_there() -> None:
    pager = {"GIT_PAGER": "sed 's/^/paged: /'", "COLUMNS": "80"}
    lines = make(ROOT, "diff-06", *TERMINAL, **pager).stdout.splitlines()
    assert lines[0].startswith("paged: changed:")
    assert all(line.startswith("paged: ") for line in lines)
    assert "paged: " not in make(ROOT, "diff-06", **pager).stdout
    unpaged = make(ROOT, "diff-06", *TERMINAL, GIT_PAGER="a-pager-that-is-not-there")
    assert unpaged.stdout.startswith("changed:")


def test_diff_without_git() -> None:
    command = [sys.executable, "checks/diff.py", "05"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True)
    assert "git is needed" in fails_with_one_line(done)


# Tests and drills

TESTS = "[!.]*/**/test_*.py"  # not those in .venv
SMALL = """
import os, pytest

def test_quick():
    pass

@pytest.mark.drill
def test_drill():
    assert not os.environ["FULL"], "the long form"
"""


@pytest.fixture
def small(ready: Path) -> Path:
    """A copy in which each file of tests has a quick one; those of checks have a drill, too."""
    for path in ready.glob(TESTS):
        path.write_text(SMALL if path.is_relative_to(ready / "checks") else SMALL.split("@")[0])
    return ready


def test_tests_and_drills_run_each_check_once(small: Path) -> None:
    in_checks = len(list(small.glob("checks/**/test_*.py")))
    in_all = len(list(small.glob(TESTS)))
    said = make(small, "test").stdout.splitlines()
    assert said[-1] == f"total: {in_all} passed, 0 failed"
    for name in [*map(title, APPS), "reader", "checks"]:
        assert f"{name}: running" in said
        assert [line for line in said if re.match(rf"{name}: \d+ passed, 0 failed in \d+ s", line)]

    for command, total in {
        "drills": f"total: {in_checks} passed, 0 failed",
        "drills ONLY=test_make.py": "total: 2 passed, 0 failed",
        "drills ONLY=test_make.py FULL=1": "total: 1 passed, 1 failed",
    }.items():
        assert make(small, command).stdout.splitlines()[-1] == total


def test_a_failing_chapter_fails_the_whole(small: Path) -> None:
    skips = "import pytest\n\ndef test_it():\n    pytest.skip('there is no moon')\n"
    (small / "checks/test_moon.py").write_text(skips)
    fails = "def test_it():\n    assert 'sun' == 'moon'\n"
    (small / "01_static_files/tests/test_uploads.py").write_text(fails)
    for command, total in {
        "test-01": r"total: \d+ passed, 1 failed",
        "test": r"total: \d+ passed, 1 failed, 1 skipped",
    }.items():
        done = make(small, command)
        assert done.returncode != 0
        assert re.fullmatch(total, done.stdout.splitlines()[-1])
        assert done.stdout.count("= FAILURES =") == 1
        assert "assert 'sun' == 'moon'" in done.stdout
    assert "there is no moon" in done.stdout
    assert "Something failed in 01_static_files;" in done.stdout


# Cleaning


def test_clean_leaves_the_data_of_a_chapter_that_runs(ready: Path) -> None:
    data = ready / "06_login_context/instance/valkey"
    data.mkdir(parents=True)
    lock = os.open(data, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as redis_server.py does
    try:
        assert "is in use; stop the chapter first" in fails_with_one_line(make(ready, "clean"))
        assert data.exists() and (ready / ".venv").exists()
    finally:
        os.close(lock)
    assert make(ready, "clean").returncode == 0
    assert not data.exists() and not (ready / ".venv").exists() and (ROOT / ".venv").exists()


def test_clean_removes_what_make_created(clone: Path) -> None:
    before = sorted(clone.rglob("*"))
    for made in (
        ".venv/bin",
        "01_static_files/instance",
        "02_cors/frontend/node_modules/vite/instance",
        "03_error_codes/__pycache__",
        "06_login_context/steps/1_current_bot/instance/valkey",
    ):
        (clone / made).mkdir(parents=True)
    assert make(clone, "clean").returncode == 0
    assert sorted(clone.rglob("*")) == before
