"""The Makefile's contract, from a folder whose name has a space and Chinese characters."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from book import CHAPTERS, ROOT
from servers import free_port, process

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
    commands = ["run-NN", "diff-NN", "test-NN", "test", "lint", "carry", "transcripts", "clean"]
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


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = fails_with_one_line(make(ROOT, "run-01", f"PORT={port}"))
    assert str(port) in said and "PORT=" in said


def test_an_address_that_is_none() -> None:
    for wrong in ("PORT=abc", "PORT=", "PORT=99999", "HOST=256.0.0.1"):
        assert "Cannot serve on" in fails_with_one_line(make(ROOT, "run-01", wrong))


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
    installing = "Installing requirements.txt into .venv ...\n"
    assert make(clone, ".venv/requirements.txt").stdout == installing
    assert installing not in make(clone, ".venv/requirements.txt").stdout
    later = lock.stat().st_mtime + 60
    os.utime(lock, (later, later))
    assert make(clone, ".venv/requirements.txt").stdout == installing


def test_a_venv_whose_python_is_gone_is_made_anew(clone: Path) -> None:
    (clone / "requirements.txt").write_text("# nothing to install\n", encoding="utf-8")
    make(clone, ".venv/requirements.txt")
    (clone / ".venv/bin/python").unlink()
    (clone / ".venv/bin/python").symlink_to("nowhere")
    assert "Installing" in make(clone, ".venv/requirements.txt").stdout
    assert (clone / ".venv/requirements.txt").exists()


@pytest.mark.parametrize(("chapter", "title"), [("01", b"01 Static files"), ("06", b"Chat desk")])
def test_run_serves_the_page_until_interrupted(clone: Path, chapter: str, title: bytes) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    port = free_port()
    command = ["make", f"run-{chapter}", f"PORT={port}"]
    with process(command, clone, port, env=ENV, start_new_session=True) as server:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert title in answer.read()
        os.killpg(server.pid, signal.SIGINT)  # what Ctrl-C sends
        server.wait(timeout=30)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_diff_names_the_files_and_shows_the_code_without_tests() -> None:
    said = make(ROOT, "diff-03").stdout
    shown = [line.split(" b/")[1] for line in said.splitlines() if line.startswith("diff --git")]
    assert said.startswith("new:")
    assert "03_error_codes/errors.py" in shown and "03_error_codes/app.py" in shown
    assert "tests/test_errors.py" in said.splitlines()[0]
    assert not [name for name in shown if "/tests/" in name or name.endswith((".html", ".md"))]
    assert "03_error_codes/templates/index.html" in make(ROOT, "diff-03", "ALL=1").stdout


def test_a_failing_chapter_fails_the_whole(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    (clone / "01_static_files/tests/test_uploads.py").write_text(
        "def test_it():\n    assert 0\n", encoding="utf-8"
    )
    done = make(clone, "test-01")
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1] == "total: 0 passed, 1 failed"


def test_clean_removes_what_make_created(clone: Path) -> None:
    for made in (".venv", "01_static_files/instance", "03_error_codes/__pycache__"):
        (clone / made).mkdir(parents=True, exist_ok=True)
    before = sorted(ROOT.glob("0*/*.py"))
    assert make(clone, "clean").returncode == 0
    assert not [p for p in clone.rglob("*") if p.name in (".venv", "instance", "__pycache__")]
    assert len(list(clone.glob("0*/*.py"))) == len(before)
