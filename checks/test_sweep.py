"""Thousands of generated requests at the chapters that promise one format for every error."""

import subprocess
import sys
from pathlib import Path

import pytest

from book import CHAPTERS

pytestmark = pytest.mark.drill

SWEEP = Path(__file__).with_name("sweep.py")


@pytest.mark.parametrize("chapter", CHAPTERS[2:5], ids=lambda chapter: chapter.name)
def test_no_generated_request_gets_another_format_or_a_500(chapter: Path) -> None:
    command = [sys.executable, str(SWEEP)]
    done = subprocess.run(command, cwd=chapter, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) >= 2000


def test_the_sweep_finds_a_500(clone: Path) -> None:
    path = clone / "04_http_exception_subclass/exceptions.py"
    path.write_text(
        path.read_text(encoding="utf-8").replace("except RecursionError", "except KeyError")
    )
    command = [sys.executable, str(SWEEP)]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=300)
    assert "Failing test case" in done.stderr and "[[[[" in done.stderr
