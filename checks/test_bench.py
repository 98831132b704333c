"""What ``make bench`` counts and writes. Its times are for its page; nothing here asserts one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from book import ROOT


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
