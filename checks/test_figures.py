"""Digits of a measurement stand in the tables of bench/ alone; pages say them in words."""

import re
import sys
from pathlib import Path

import pytest

from book import ROOT
from book_pages import PAGES, texts

sys.path.append(str(ROOT / "bench"))
import figures  # type: ignore[import-not-found]

# What only a measurement can say: 0.32 of the time, 12 µs. (Limits are in s or MiB, or they are
# whole numbers of KiB.) In words, "about a third of the time", people may say it by themselves.
MEASURED = re.compile(
    r"\d\.\d\d (?:of|as|times)\b|\d (?:µs|ms|KB)\b|\d\.\d KiB\b|\d (?:times as|per second)"
    r"|\d % (?:of|faster|slower)"
)


def test_the_tables_of_bench_are_those_that_the_script_writes() -> None:
    page = figures.PAGE.read_text(encoding="utf-8")
    assert page == figures.page(figures.load()), "make bench FULL=1 writes it"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_says_what_was_measured_in_words(page: Path) -> None:
    for where, node in texts(page):
        found = MEASURED.search(" ".join(node.content.split()))
        is_cell = node.parent and node.parent.type == "td"
        if found and not (is_cell and page == figures.PAGE):
            pytest.fail(f"{where}: where does {found[0]!r} come from? {node.content}")
