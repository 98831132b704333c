"""What the READMEs say: their fenced blocks, sections and tables."""

import re
from dataclasses import dataclass
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


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of *page*, in order."""
    found, section, heading = [], "", ""
    for token in tokens(page):
        if token.type == "heading_open":
            heading = token.tag
        elif token.type == "inline" and heading:
            section = token.content if heading == "h2" else section
            heading = ""
        elif token.type == "fence" and token.map:
            language, _, file = token.info.partition(" ")
            line = token.map[0] + 1
            found.append(Block(page, line, section, language, file, token.content))
    return found


def section(page: Path, title: str) -> list[tuple[int, str]]:
    """Return the numbered lines between the heading *title* and the next one of its level."""
    lines, inside, fenced = [], False, False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            inside = line == f"## {title}"
        elif inside:
            lines.append((number, line))
    return lines


def table(page: Path, title: str) -> list[tuple[int, list[str]]]:
    """Return line number and cells of each row of the tables in a section, headings aside."""
    rows = []
    for number, line in section(page, title):
        if line.startswith("|") and not re.fullmatch(r"[|: -]+", line):
            rows.append((number, [cell.strip() for cell in line.strip("|").split("|")]))
        elif line.startswith("|"):
            rows.pop()  # what stands above the rule is the heading
    return rows


def declared(chapter: Path) -> dict[str, tuple[str, str]]:
    """Return what the chapter's README says of each file, and where it says so, by file name."""
    page = chapter / "README.md"
    found = {}
    for number, cells in table(page, "What changed in this chapter"):
        place = f"{page.relative_to(ROOT)}:{number}"
        found[cells[0].strip("`")] = (cells[1], place)
    return found
