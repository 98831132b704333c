"""The table in chapter 06's README is what ``make bench`` prints, but for what is chance."""

import re
import subprocess
import sys

import pytest

from book import CHAPTERS, ROOT
from pages import table

pytestmark = pytest.mark.drill


def test_the_table_of_bots_is_what_is_measured() -> None:
    command = [sys.executable, str(ROOT / "bench/bots.py")]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    rows = re.findall(r"^\| (.+) \|$", printed.stdout, re.MULTILINE)
    true = {server: cells for server, *cells in (row.split(" | ") for row in rows[2:])}
    said = {
        cells[0]: cells[1:]
        for _, cells in table(CHAPTERS[5] / "README.md", "The technique")
        if cells[0] in true
    }
    threads = next(server for server in true if "4 threads" in server)
    for counts in (true.pop(threads), said.pop(threads)):
        assert all(int(count) for count in counts[:3])  # which thread one meets is chance
        assert counts[3:] == ["40", "0", "0"]
    assert said == true
