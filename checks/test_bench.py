"""What ``make bench`` counts and writes. Its times are for its page; nothing here asserts one."""

import subprocess
import sys

import pytest

from book import ROOT

sys.path.append(str(ROOT / "bench"))
import bots  # type: ignore[import-not-found]

pytestmark = pytest.mark.drill


def test_every_version_that_is_measured_answers_as_it_should() -> None:
    """The scripts themselves look at each answer before they measure."""
    scripts = "static_files cors_hook api_errors"
    # With FULL=1 it would write bench/README.md.
    command = ["make", "bench", f"ONLY={scripts}", "FULL="]
    said = subprocess.check_output(command, cwd=ROOT, text=True, timeout=600)
    for script in scripts.split():
        assert f"\n## {script}\n\n|  | " in said


def test_only_the_articles_bots_are_met_by_others() -> None:
    rows = bots.measure()
    assert len(rows) == 5
    for server, row in rows.items():
        _, wrong, wrong_on_one, *chapter = row.values()
        assert chapter == [40, 0, 0], server
        # flask run has a thread for each request, which hides the article's fault.
        assert (wrong + wrong_on_one > 0) == (server != "flask run"), server
