"""What ``make bench`` counts and writes. Its times are for its page; nothing here asserts one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from book import ROOT

IN_PROCESS = "static_files storing cors_hook error_codes exception_subclass catch_all".split()


def make(*goals: str) -> str:
    """Return what make prints; CalledProcessError if it fails."""
    command = ["make", *goals, "FULL="]  # with FULL=1 it would write bench/README.md
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=600, check=True
    )
    return done.stdout


@pytest.mark.drill
def test_make_bench_prints_a_table() -> None:
    assert "| chapter 02 |" in make("bench", "ONLY=cors_hook")


@pytest.mark.drill
@pytest.mark.parametrize("script", IN_PROCESS)
def test_every_version_that_is_measured_answers_as_it_should(script: str) -> None:
    """The scripts themselves look at each answer before they measure."""
    make(".venv/requirements-bench.txt")
    command = [str(ROOT / ".venv/bench/bin/python"), f"bench/{script}.py", "--debug-single-value"]
    subprocess.run(command, cwd=ROOT, timeout=300, check=True)


@pytest.mark.drill
def test_only_the_articles_bots_are_met_by_others(tmp_path: Path) -> None:
    counted = tmp_path / "bots.json"
    command = [sys.executable, str(ROOT / "bench/bots.py"), "-o", str(counted)]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    rows = json.loads(counted.read_text())
    assert len(rows) == 5
    for server, row in rows.items():
        _, wrong, wrong_on_one, *chapter = row.values()
        assert chapter == [40, 0, 0], server
        # flask run has a thread for each request, which hides the article's fault.
        assert (wrong + wrong_on_one > 0) == (server != "flask run"), server
