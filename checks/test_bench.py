"""What ``make bench`` counts: under which servers a request meets somebody else's bot."""

import re
import subprocess
import sys

import pytest

from book import ROOT

pytestmark = pytest.mark.drill


def test_only_the_articles_bots_are_met_by_others() -> None:
    command = [sys.executable, str(ROOT / "bench/bots.py")]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    rows = re.findall(r"^\| (.+) \|$", printed.stdout, re.MULTILINE)
    counted = {server: cells for server, *cells in (row.split(" | ") for row in rows[2:])}
    assert len(counted) == 5
    for server, (_, wrong, wrong_on_one, *chapter) in counted.items():
        assert chapter == ["40", "0", "0"], server
        # flask run has a thread for each request, which hides the article's fault.
        assert (int(wrong) + int(wrong_on_one) > 0) == (server != "flask run"), server
