"""The rounds of a drill, their progress on the terminal, and the tables in README.md."""

import fcntl
import os
import platform
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger import Load

FULL = os.environ.get("FULL") == "1"
ROUNDS = 25 if FULL else 2
PAGE = Path(__file__).with_name("README.md")
ACKNOWLEDGED = ("messages", "uploads", "logins", "events")
HEAD = ["fault", "rounds", *ACKNOWLEDGED, "lost", "doubled", "refused", "asked again", "run"]


def where() -> str:
    """Return when and on what machine this runs."""
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine}"


def write_row(name: str, head: list[str], row: list[str]) -> None:
    """Replace a row of the table *name* in the page, or add it; the first cell says which."""
    begin, end = f"<!-- {name} -->\n", "<!-- end -->"
    with PAGE.open("r+", encoding="utf-8") as page:
        fcntl.flock(page, fcntl.LOCK_EX)  # a drill of another file may end now, too
        before, rest = page.read().split(begin)
        table, after = rest.split(end, 1)
        lines = re.findall(r"^\| (.+) \|$", table, re.MULTILINE)[2:]
        rows = {line.split(" | ")[0]: line.split(" | ") for line in lines} | {row[0]: row}
        whole = [head, ["---", *["--:"] * (len(head) - 2), "---"], *rows.values()]
        table = "".join(f"| {' | '.join(cells)} |\n" for cells in whole)
        page.seek(0)
        page.write(f"{before}{begin}\n{table}\n{end}{after}")
        page.truncate()


class Report:
    """What the drills of one file have found; a long run writes it into the page."""

    def __init__(self, config: pytest.Config) -> None:
        self.capture = config.pluginmanager.getplugin("capturemanager")

    def rounds(self, fault: str, load: Load) -> Iterator[int]:
        """Yield the number of each round; check the ledger after it, and judge it at the end."""
        done, ledger = 0, load.ledger
        begin = time.monotonic()
        try:
            for number in range(1, ROUNDS + 1):
                yield number
                load.check()
                done = number
                self.say(f"{fault}: round {done} of {ROUNDS}, {ledger.summary()}")
        finally:
            self.say(f"{fault}: {done} rounds in {time.monotonic() - begin:.0f} s")
            if FULL:
                self.write(fault, done, load)
        if ledger.wrong:
            said = re.findall(r".*\b(?:ERROR|WARNING|CRITICAL)\b.*", load.desk.log())
            pytest.fail("\n".join([*ledger.wrong[:50], "The desk has said:", *said[-50:]]))

    def say(self, line: str) -> None:
        with self.capture.global_and_fixture_disabled():
            print(f"\ndrill: {line}", end="", flush=True)

    def write(self, fault: str, rounds: int, load: Load) -> None:
        sums = load.ledger.sums
        refused = sum(count for what, count in sums.items() if what.startswith(("status", "no ")))
        counts = [rounds, *(sums[name] for name in (*ACKNOWLEDGED, "lost", "doubled"))]
        counts += [refused, sums["fetched again"]]
        row = [fault, *(f"{count:,}" for count in counts), where()]
        write_row("the last long run", HEAD, row)
