"""The Makefile's contract, from a folder whose name has a space and Chinese characters."""

import fcntl
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from select import select

import pytest

import book
import diff
from book import APPS, CHAPTERS, ROOT, STEPS
from conftest import missing
from reading import free_ports
from servers import free_port, listens, process

pytestmark = pytest.mark.drill

ENV = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PIP_"))}


def make(folder: Path, *goals: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = ["make", *goals]
    return subprocess.run(
        command, cwd=folder, env=ENV | env, capture_output=True, text=True, timeout=300
    )


def python(folder: Path, fails_at: str) -> str:
    """A python3 that fails when asked for *fails_at*, as older or smaller installations do."""
    script = folder / "python3"
    script.write_text(
        f'#!/bin/sh\ncase "$2" in *{fails_at}*) exit 1; esac\nexec "{sys.executable}" "$@"'
    )
    script.chmod(0o755)
    return "PYTHON=./python3"


def fails_with_one_line(done: subprocess.CompletedProcess[str]) -> str:
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert done.returncode != 0
    assert len(said) == 1, done.stderr
    return said[0]


def test_make_alone_lists_commands_and_chapters() -> None:
    said = make(ROOT).stdout
    commands = ["read", "run-NN", "diff-NN", "test-NN", "test", "drills", "lint", "fix"]
    commands += ["bench", "clean"]
    for word in [*(f"make {command} " for command in commands), *(c.name for c in CHAPTERS)]:
        assert word in said


@pytest.mark.parametrize(
    "goal", ["run-99", "test-9", "diff-error", "run-", "run-01-02", "test-x-01"]
)
def test_a_chapter_that_is_not_there(goal: str) -> None:
    said = make(ROOT, goal).stderr
    assert len(said.splitlines()) == 1
    numbers = " ".join(chapter.name[:2] for chapter in CHAPTERS)
    assert f'no chapter for "make {goal}"; the chapters are {numbers}.' in said


@pytest.mark.parametrize(
    ("goal", "step", "says"),
    [
        ("run-06", "9", "There is no step 9; the steps of chapter 06 are 1 2 3 4 5 6 7 8."),
        ("diff-06", "%", "There is no step %;"),
        ("test-06", "1 2", "There is no step 1 2;"),
        ("run-05", "1", "Only chapter 06 has steps: make run-06 STEP=1."),
    ],
)
def test_a_step_that_is_not_there(goal: str, step: str, says: str) -> None:
    done = make(ROOT, goal, f"STEP={step}")
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1 and says in done.stderr


@pytest.mark.parametrize("version", ["ours", "article"])
def test_a_port_in_use(version: str) -> None:
    reader = free_ports()
    taken = reader + (101 if version == "article" else 1)
    with socket.create_server(("127.0.0.1", taken)):
        said = fails_with_one_line(make(ROOT, "run-01", READER_PORT=str(reader)))
    assert said.count(str(taken)) == 1 and "PORT=" in said


def test_the_readers_port_in_use() -> None:
    port = free_ports()
    with socket.create_server(("127.0.0.1", port)):
        said = fails_with_one_line(make(ROOT, "run-01", READER_PORT=str(port)))
    assert f"Port {port} is in use by another program" in said and "READER_PORT=" in said


def test_a_second_reader_says_where_the_chapter_is() -> None:
    port = free_ports()
    env = ENV | {"READER_PORT": str(port)}
    with process(["make", "run-01"], ROOT, port, env=env):
        said = fails_with_one_line(make(ROOT, "run-03", READER_PORT=str(port)))
    assert said.endswith(f"http://127.0.0.1:{port}/03_error_codes/README.md")


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("PORT=abc", "PORT="),
        ("PORT=99999", "PORT="),
        ("PORT=65500", "PORT="),
        ("READER_PORT=abc", "READER_PORT="),
        ("READER_PORT=0", "READER_PORT="),
        ("HOST=256.0.0.1", "HOST="),
        ("HOST=no.such.host.invalid", "HOST="),
        ("HOST=a..b", "HOST="),
        ("HOST=192.0.2.1", "HOST="),
    ],
)
def test_an_address_that_is_none(wrong: str, advice: str) -> None:
    said = fails_with_one_line(make(ROOT, "run-01", wrong, READER_PORT=str(free_ports())))
    assert said.startswith("Cannot serve on") and advice in said.partition(";")[2]


@pytest.mark.parametrize("chapter", ["01", "06"])
def test_a_folder_that_may_not_be_written_to(clone: Path, chapter: str) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    command = ["make", f"run-{chapter}", f"PORT={free_port()}", f"READER_PORT={free_ports()}"]
    [folder] = clone.glob(f"{chapter}_*")
    if os.geteuid() == 0:  # who may write everywhere, except to what is mounted read-only
        mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        namespace = ["unshare", "--mount", "sh", "-c", mount, str(folder)]
        if not shutil.which("unshare") or subprocess.run([*namespace, "true"]).returncode:
            missing("permission to mount")
        command = [*namespace, *command]
    folder.chmod(0o555)
    try:
        done = subprocess.run(command, cwd=clone, env=ENV, capture_output=True, text=True)
    finally:
        folder.chmod(0o755)
    assert "You may not write to" in fails_with_one_line(done)


def test_reading_the_makefile_removes_nothing(clone: Path) -> None:
    python = clone / "python"
    python.write_text("no Python")
    make(clone, "-n", "help", f"VENV={python}")
    assert python.exists()


def test_what_a_variable_holds_is_no_code(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    code = "$(touch gotcha)`touch gotcha`\"; touch gotcha; '; touch gotcha; #"
    for goal, name in (("run-01", "HOST"), ("run-06", "HOST"), ("run-06", "PORT")):
        assert make(clone, goal, f"{name}={code.replace('$', '$$')}").returncode != 0
    make(clone, "drills", f"ONLY={code.replace('$', '$$')}")
    assert not list(clone.rglob("gotcha"))


def test_a_python_that_is_too_old(clone: Path) -> None:
    old = python(clone, fails_at="version_info")
    assert "Python 3.11 or later" in fails_with_one_line(make(clone, "run-01", old))


def test_a_python_without_venv(clone: Path) -> None:
    bare = python(clone, fails_at="ensurepip")
    assert "python3-venv" in fails_with_one_line(make(clone, "run-01", bare))


def test_no_network_at_first_setup(clone: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONFIG_FILE": os.devnull}
    done = make(clone, "run-01", PIP_RETRIES="0", **nowhere)
    assert "Is there a network?" in fails_with_one_line(done)
    assert (clone / ".venv/pip.log").exists()


def test_setup_runs_once_and_again_when_the_lock_changes(clone: Path) -> None:
    lock = clone / "requirements.txt"
    lock.write_text("# nothing to install\n", encoding="utf-8")
    installing = "Installing requirements.txt into .venv: about 1 MB, once."
    first = make(clone, ".venv/requirements.txt").stdout
    assert first.startswith(installing) and len(first.splitlines()) == 1
    assert installing not in make(clone, ".venv/requirements.txt").stdout
    later = lock.stat().st_mtime + 60
    os.utime(lock, (later, later))
    assert make(clone, ".venv/requirements.txt").stdout.startswith(installing)


def test_a_venv_whose_python_is_gone_is_made_anew(clone: Path) -> None:
    (clone / "requirements.txt").write_text("# nothing to install\n", encoding="utf-8")
    make(clone, ".venv/requirements.txt")
    (clone / ".venv/bin/python").unlink()
    (clone / ".venv/bin/python").symlink_to("nowhere")
    assert "Installing" in make(clone, ".venv/requirements.txt").stdout
    assert (clone / ".venv/requirements.txt").exists()


def run_command(chapter: str, step: str = "") -> tuple[list[str], list[int]]:
    """Return the command that runs a chapter, and its ports; the first one is of its page."""
    if chapter == "06":
        port = free_port()
        return ["make", "run-06", f"STEP={step}", f"PORT={port}"], [port]
    port = free_ports()
    number = int(chapter)
    command = ["make", f"run-{chapter}", f"READER_PORT={port}"]
    return command, [port, port + number, port + number + 100]


def wait_until(open_: bool, ports: list[int]) -> None:
    """Wait until all ports are open, or until none is; AssertionError after 30 seconds."""
    end = time.monotonic() + 30
    while any(listens(port) is not open_ for port in ports):
        assert time.monotonic() < end, f"{ports} aren't {'open' if open_ else 'closed'}"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("chapter", "step", "title"),
    [
        ("01", "", b"01 Static files"),
        ("06", "", b"Chat desk"),
        ("06", "1", b"06, step 1"),
        ("06", "2", b"06, step 2"),
    ],
)
def test_run_serves_the_page_until_interrupted(
    clone: Path, chapter: str, step: str, title: bytes
) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    command, ports = run_command(chapter, step)
    with process(command, clone, ports[0], env=ENV, start_new_session=True) as server:
        wait_until(True, ports)
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}/") as answer:
            assert title in answer.read()
        os.killpg(server.pid, signal.SIGINT)  # what Ctrl-C sends
        server.wait(timeout=30)
    wait_until(False, ports)


def test_read_starts_a_chapter_when_its_page_is_opened(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    port = free_ports()
    with process(["make", "read", f"READER_PORT={port}"], clone, port, env=ENV):
        assert not listens(port + 3)
        url = f"http://127.0.0.1:{port}/03_error_codes/README.md"
        with urllib.request.urlopen(url) as answer:
            assert b"03 Error codes" in answer.read()
        wait_until(True, [port + 3, port + 103])
    wait_until(False, [port, port + 3, port + 103])


# A shell tells its jobs when the terminal is closed. Here, make has no shell around it: it is the
# first process of its session.


@pytest.mark.parametrize("chapter", ["01", "06"])
def test_a_server_ends_when_its_terminal_is_closed(clone: Path, chapter: str) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    command, ports = run_command(chapter)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(clone)
        os.execvpe("make", command, ENV)
    try:
        for _ in range(200):
            if select([terminal], [], [], 0.1)[0]:
                os.read(terminal, 65536)  # or its output would wait for us
            if all(map(listens, ports)):
                break
        else:
            pytest.fail("it doesn't start")
        os.close(terminal)
        wait_until(False, ports)
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("chapter", ["01", "06"])
def test_a_server_ends_when_make_is_killed(clone: Path, chapter: str) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    command, ports = run_command(chapter)
    with process(command, clone, ports[0], env=ENV, start_new_session=True) as server:
        try:
            wait_until(True, ports)
            server.kill()
            wait_until(False, ports)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def shown(said: str) -> list[str]:
    """Return the files that a diff shows, in its order."""
    return [line.split(" b/")[1] for line in said.splitlines() if line.startswith("diff --git")]


@pytest.mark.parametrize("chapter", [CHAPTERS[4], CHAPTERS[5]], ids=book.title)
def test_diff_begins_with_a_summary_of_all_files(chapter: Path) -> None:
    files = diff.difference(chapter)
    summary, _, _ = make(ROOT, f"diff-{chapter.name[:2]}").stdout.partition("\n\n")
    assert summary == diff.summary(files).rstrip("\n")
    for kind in ("changed", "new"):
        for name in files[kind]:
            [line] = [line for line in summary.splitlines() if name in re.split("[:,]? ", line)]
            assert line.startswith("plumbing" if diff.is_quiet(name) else f"{kind}: ")


def test_diff_shows_changed_files_first_and_no_tests() -> None:
    said = shown(make(ROOT, "diff-05").stdout)
    assert said.index("05_catch_all/app.py") < said.index("05_catch_all/handlers.py")
    assert not [name for name in said if "/tests/" in name or name.endswith(".md")]
    everything = shown(make(ROOT, "diff-05", "ALL=1").stdout)
    for name in ("tests/test_handlers.py", "README.md"):
        assert f"05_catch_all/{name}" in everything


@pytest.mark.parametrize("chapter", CHAPTERS[:4], ids=book.title)
def test_diff_of_a_chapter_that_stands_alone_names_the_file_to_read(chapter: Path) -> None:
    said = make(ROOT, f"diff-{chapter.name[:2]}").stdout
    technique = f"{chapter.name}/{book.TECHNIQUES[chapter.name]}"
    assert said == f"{chapter.name} stands alone; the file to read is {technique}\n"


ADDED = {"2": "logins", "3": "tasks", "4": "sse", "5": "scan", "6": "guard", "7": "delivery"}
ADDED |= {str(len(STEPS) + 1): "views/contacts"}


@pytest.mark.parametrize("step", ADDED)
def test_diff_of_a_step_shows_what_it_adds_and_lists_the_plumbing(step: str) -> None:
    said = make(ROOT, "diff-06", f"STEP={step}").stdout
    folder = "06_login_context" if len(STEPS) < int(step) else book.title(STEPS[int(step) - 1])
    assert f"{folder}/{ADDED[step]}.py" in shown(said)
    assert all(name.startswith(f"{folder}/") for name in shown(said))
    assert not [name for name in shown(said) if diff.is_quiet(name.removeprefix(f"{folder}/"))]


def on_a_terminal(*goals: str, **env: str) -> str:
    """Return what make says if its output is a terminal with 80 columns."""
    reader, terminal = pty.openpty()
    command = ["make", *goals]
    output = b""
    with subprocess.Popen(command, cwd=ROOT, env=ENV | env, stdout=terminal, stderr=terminal):
        os.close(terminal)
        with suppress(OSError):  # on Linux, that is how a terminal says that it was closed
            while more := os.read(reader, 65536):
                output += more
    os.close(reader)
    return output.decode().replace("\r\n", "\n")


def test_diff_is_paged_on_a_terminal_and_only_there() -> None:
    pager = {"GIT_PAGER": "sed 's/^/paged: /'", "COLUMNS": "80"}
    lines = on_a_terminal("diff-06", **pager).splitlines()
    assert lines[0].startswith("paged: changed:")
    assert all(line.startswith("paged: ") for line in lines)
    assert "paged: " not in make(ROOT, "diff-06", **pager).stdout

    unpaged = on_a_terminal("diff-06", GIT_PAGER="a-pager-that-is-not-there")
    assert unpaged.startswith("changed:")


def test_diff_without_git() -> None:
    command = [sys.executable, "checks/diff.py", "05"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True)
    assert "git is needed" in fails_with_one_line(done)


SMALL = """
import pytest

def test_quick():
    pass

@pytest.mark.drill
def test_drill():
    pass
"""


def all_tests_of(clone: Path) -> list[Path]:
    """Return the tests of the chapters, of the steps of chapter 06, and of the reader."""
    folders = ("0*", "0*/steps/*", "reader")
    return [path for folder in folders for path in clone.glob(f"{folder}/tests/test_*.py")]


def test_tests_and_drills_run_each_check_once(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    in_chapters = all_tests_of(clone)
    in_checks = list(clone.glob("checks/**/test_*.py"))
    for path in in_chapters:
        path.write_text("def test_it():\n    pass\n", encoding="utf-8")
    for path in in_checks:
        path.write_text(SMALL, encoding="utf-8")

    said = make(clone, "test").stdout.splitlines()
    assert said[-1] == f"total: {len(in_chapters) + len(in_checks)} passed, 0 failed"
    for name in [*map(book.title, APPS), "reader", "checks"]:
        assert f"{name}: running" in said
        assert [line for line in said if re.match(rf"{name}: \d+ passed, 0 failed in \d+ s", line)]
    said = make(clone, "drills").stdout.splitlines()
    assert said[-1] == f"total: {len(in_checks)} passed, 0 failed"
    said = make(clone, "drills", "ONLY=test_make.py").stdout.splitlines()
    assert said[-1] == "total: 2 passed, 0 failed"


def test_drills_may_be_told_to_take_longer(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    (clone / "checks/run.py").write_text("import os; print('FULL is', os.environ['FULL'])")
    assert "FULL is 1" in make(clone, "drills", "FULL=1").stdout
    assert "FULL is \n" in make(clone, "drills").stdout


def test_a_failing_chapter_fails_the_whole(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    for path in all_tests_of(clone):
        path.write_text("def test_it():\n    pass\n", encoding="utf-8")
    for path in clone.glob("checks/test_*.py"):
        path.unlink()
    skips = "import pytest\n\ndef test_it():\n    pytest.skip('there is no moon')\n"
    (clone / "checks/test_moon.py").write_text(skips, encoding="utf-8")
    fails = "def test_it():\n    assert 'sun' == 'moon'\n"
    [path] = clone.glob("01_*/tests/test_uploads.py")
    path.write_text(fails, encoding="utf-8")

    one = make(clone, "test-01")
    assert one.returncode != 0
    assert re.match(r"total: \d+ passed, 1 failed", one.stdout.splitlines()[-1])
    assert "assert 'sun' == 'moon'" in one.stdout

    whole = make(clone, "test")
    assert whole.returncode != 0
    assert re.match(r"total: \d+ passed, 1 failed, 1 skipped", whole.stdout.splitlines()[-1])
    assert whole.stdout.count("= FAILURES =") == 1 and "assert 'sun' == 'moon'" in whole.stdout
    assert "there is no moon" in whole.stdout
    assert "Something failed in 01_static_files;" in whole.stdout


def test_clean_leaves_the_data_of_a_chapter_that_runs(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    data = clone / "06_login_context/instance/valkey"
    data.mkdir(parents=True)
    lock = os.open(data, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as redis_server.py does
    try:
        assert "is in use; stop the chapter first" in fails_with_one_line(make(clone, "clean"))
        assert data.exists() and (clone / ".venv").exists()
    finally:
        os.close(lock)
    assert make(clone, "clean").returncode == 0
    assert not data.exists()


def test_clean_removes_what_make_created(clone: Path) -> None:
    cleaned = (".venv", "instance", "__pycache__", "node_modules")
    for made in (".venv", "01_static_files/instance", "06_login_context/steps/1/instance"):
        (clone / made).mkdir(parents=True, exist_ok=True)
    for made in ("03_error_codes/__pycache__", "02_cors/frontend/node_modules/vite/instance"):
        (clone / made).mkdir(parents=True, exist_ok=True)
    before = sorted(ROOT.glob("0*/*.py"))
    assert make(clone, "clean").returncode == 0
    assert not [path for path in clone.rglob("*") if path.name in cleaned]
    assert len(list(clone.glob("0*/*.py"))) == len(before)
