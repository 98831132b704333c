"""What the pages say: their headings, sections, tables and fenced blocks."""

import textwrap
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from book import APPS, PAGE_NAMES, ROOT


def pages(app: Path) -> list[Path]:
    """Return the README of a chapter or a step, and what other pages it has."""
    return [app / name for name in PAGE_NAMES if (app / name).exists()]


PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "bench/README.md",
    *(page for app in APPS for page in pages(app)),
]


@dataclass
class Block:
    """A fenced block: its page, line and section, language, the file it names, its text.

    A block for an app that has something already names that instead (``python Flask-RESTful``).
    """

    page: Path
    line: int
    section: str
    language: str
    file: str
    text: str
    neighbour: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass
class Part:
    """A heading, as a place in its page, with its section and title and what is below it."""

    page: Path
    line: int
    section: str
    title: str
    lines: list[str]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.title}"

    def holds(self, line: int) -> bool:
        return self.line < line <= self.line + len(self.lines)

    def blocks(self) -> list[Block]:
        return [block for block in blocks(self.page) if self.holds(block.line)]


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def headings(page: Path) -> list[tuple[int, str, str]]:
    """Return line number, tag (h1, h2, ...) and text of each heading of *page*."""
    found = []
    for token, content in pairwise(tokens(page)):
        if token.type == "heading_open" and token.map:
            found.append((token.map[0] + 1, token.tag, content.content))
    return found


def section_at(page: Path, line: int) -> str:
    """Return the title of the section that *line* is in, or nothing above the first one."""
    above = [title for start, tag, title in headings(page) if tag == "h2" and start <= line]
    return above[-1] if above else ""


def parts(page: Path, tag: str) -> list[Part]:
    """Return the headings with *tag*, each with the lines up to the next of its level or above."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found = []
    rest = [*headings(page), (len(lines) + 1, "h1", "")]
    while len(rest) > 1:
        (start, level, title), *rest = rest
        if level == tag:
            end = next(line for line, other, _ in rest if other <= tag)
            found.append(Part(page, start, section_at(page, start), title, lines[start : end - 1]))
    return found


@cache
def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of *page*, in order."""
    found = []
    for token in tokens(page):
        if token.type == "fence" and token.map:
            language, _, rest = token.info.partition(" ")
            file = rest if "." in rest or (page.parent / rest).exists() else ""
            line = token.map[0] + 1
            section = section_at(page, line)
            neighbour = "" if file else rest
            found.append(Block(page, line, section, language, file, token.content, neighbour))
    return found


def section(page: Path, title: str) -> list[tuple[int, str]]:
    """Return the numbered lines between the heading *title* and the next one of its level."""
    for part in parts(page, "h2"):
        if part.title == title:
            return list(enumerate(part.lines, part.line + 1))
    return []


def rows(page: Path) -> list[tuple[int, list[str]]]:
    """Return line number and cells of each row of the tables of *page*, headings aside."""
    found: list[tuple[int, list[str]]] = []
    for before, token in pairwise(tokens(page)):
        if token.type == "tr_open" and token.map:
            found.append((token.map[0] + 1, []))
        elif before.type == "td_open":
            found[-1][1].append(token.content)
    return [(number, cells) for number, cells in found if cells]


def table(page: Path, title: str) -> list[tuple[int, list[str]]]:
    """Return line number and cells of each row of the tables in a section, headings aside."""
    return [(number, cells) for number, cells in rows(page) if section_at(page, number) == title]


def find(part: str, source: list[str], start: int) -> int | None:
    """Return the line behind *part* in *source*, from *start* on; indentation may differ."""
    wanted = textwrap.dedent(part).strip("\n")
    length = wanted.count("\n") + 1
    for index in range(start, len(source) - length + 1):
        if textwrap.dedent("\n".join(source[index : index + length])) == wanted:
            return index + length
    return None
