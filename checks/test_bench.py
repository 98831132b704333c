"""What ``make bench`` counts and writes. Its times are for its page; nothing here asserts one."""

import json
import subprocess
import sys

import pytest

from book import ROOT

IN_PROCESS = "static_files storing cors_hook error_codes exception_subclass catch_all"


@pytest.mark.drill
def test_every_version_that_is_measured_answers_as_it_should() -> None:
    """The scripts themselves look at each answer before they measure."""
    # With FULL=1 it would write bench/README.md.
    command = ["make", "bench", f"ONLY={IN_PROCESS}", "FULL="]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=600)
    assert done.returncode == 0
    for script in IN_PROCESS.split():
        assert f"\n## {script}\n\n|  | " in done.stdout


@pytest.mark.drill
def test_only_the_articles_bots_are_met_by_others() -> None:
    command = [sys.executable, str(ROOT / "bench/bots.py")]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    rows = json.loads(done.stdout)
    assert len(rows) == 5
    for server, row in rows.items():
        _, wrong, wrong_on_one, *chapter = row.values()
        assert chapter == [40, 0, 0], server
        # flask run has a thread for each request, which hides the article's fault.
        assert (wrong + wrong_on_one > 0) == (server != "flask run"), server
