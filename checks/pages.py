"""What the READMEs say: their fenced blocks, sections and tables."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from book import CHAPTERS, ROOT

PAGES = [ROOT / "README.md", *(chapter / "README.md" for chapter in CHAPTERS)]


@dataclass
class Block:
    """A fenced block: its page, line and section, language, the file it names, its text."""

    page: Path
    line: int
    section: str
    language: str
    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def headings(page: Path) -> list[tuple[int, str, str]]:
    """Return line number, tag (h1, h2, ...) and text of each heading of *page*."""
    found = []
    for token, content in pairwise(tokens(page)):
        if token.type == "heading_open" and token.map:
            found.append((token.map[0] + 1, token.tag, content.content))
    return found


def sections(page: Path) -> list[tuple[int, str]]:
    """Return where the sections of *page* begin, and their titles."""
    return [(line, title) for line, tag, title in headings(page) if tag == "h2"]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of *page*, in order."""
    found = []
    for token in tokens(page):
        if token.type == "fence" and token.map:
            language, _, file = token.info.partition(" ")
            line = token.map[0] + 1
            title = [title for start, title in sections(page) if start < line][-1:]
            found.append(Block(page, line, "".join(title), language, file, token.content))
    return found


def section(page: Path, title: str) -> list[tuple[int, str]]:
    """Return the numbered lines between the heading *title* and the next one of its level."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for (start, name), (end, _) in pairwise([*sections(page), (len(lines) + 1, "")]):
        if name == title:
            return list(enumerate(lines[start : end - 1], start + 1))
    return []


def table(page: Path, title: str) -> list[tuple[int, list[str]]]:
    """Return line number and cells of each row of the tables in a section, headings aside."""
    inside = {number for number, _ in section(page, title)}
    rows: list[tuple[int, list[str]]] = []
    for before, token in pairwise(tokens(page)):
        if token.type == "tr_open" and token.map:
            rows.append((token.map[0] + 1, []))
        elif before.type == "td_open":
            rows[-1][1].append(token.content)
    return [(number, cells) for number, cells in rows if number in inside and cells]


def declared(chapter: Path) -> dict[str, tuple[str, str]]:
    """Return what the chapter's README says of each file, and where it says so, by file name."""
    page = chapter / "README.md"
    found = {}
    for number, cells in table(page, "What changed in this chapter"):
        place = f"{page.relative_to(ROOT)}:{number}"
        found[cells[0].strip("`")] = (cells[1], place)
    return found
