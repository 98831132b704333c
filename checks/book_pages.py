"""Which pages the book has, their texts and tables. They're parsed by the reader's `pages`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from markdown_it.tree import SyntaxTreeNode

from book import APPS, PAGE_NAMES, ROOT

sys.path.append(str(ROOT / "reader"))  # for all checks: `pages`, `comparing` and `exercises`

from pages import first_line, parse, place, text_of


def pages_of(app: Path) -> list[Path]:
    """Return the README of a chapter or a step, and what other pages it has."""
    return [app / name for name in PAGE_NAMES if (app / name).exists()]


PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "bench/README.md",
    *(page for app in APPS for page in pages_of(app)),
]


def texts(page: Path) -> Iterator[tuple[str, SyntaxTreeNode]]:
    """Yield each paragraph, heading and cell of *page*, with its place."""
    for node in parse(text_of(page)).walk():
        if node.type == "inline":
            yield place(page, first_line(node)), node


def tables(page: Path) -> list[list[tuple[int, list[str]]]]:
    """Return the tables of *page* as rows, each its line and its cells; the first is the head."""
    found = []
    for table in parse(text_of(page)).children:
        if table.type == "table":
            rows = [node for node in table.walk() if node.type == "tr"]
            cells = [[cell.children[0].content for cell in row.children] for row in rows]
            found.append(list(zip(map(first_line, rows), cells, strict=True)))
    return found
