"""How many rounds a drill has, and its row in the table of README.md."""

import os
import platform
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

FULL = os.environ.get("FULL") == "1"
ROUNDS = 25 if FULL else 2
PAGE = Path(__file__).with_name("README.md")
COLUMNS = "messages uploads logins events lost doubled refused".split()


def write_row(fault: str, rounds: int, sums: Counter[str]) -> None:
    """Replace the row of a fault in the table, or add one."""
    counts = [rounds, *(sums[name] for name in COLUMNS), sums["fetched again"]]
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}"
    cells = [fault, *(f"{count:,}" for count in counts), f"{datetime.now(UTC):%Y-%m-%d}, {machine}"]
    row = f"| {' | '.join(cells)} |\n"

    text = PAGE.read_text(encoding="utf-8")
    old = re.search(rf"^\| {re.escape(fault)} \|.*\n", text, re.MULTILINE)
    end = "\n<!-- end -->"
    text = text.replace(old[0], row) if old else text.replace(end, row + end)
    PAGE.write_text(text, encoding="utf-8")
