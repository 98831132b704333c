"""What a page of the book says: its headings, blocks, transcripts with their verdicts, exercises.

Nothing is run or rendered here, and the checks read pages with this module as well. A page is read
anew whenever it's asked about, and parsed again only if its text has changed. The notation is
Markdown as Git hosts show it. What has a meaning:

- a fenced block: its first word is the language, what follows names a file (``python errors.py``)
- a console block: lines that begin with ``$ `` are commands, the lines below each what it printed
- a paragraph ``✗ **Article:** text`` or ``✓ **Ours:** text`` right above such a block: its verdict
- two console blocks with verdicts in a row, on two ports: one card; any other one of curl: a card
- an ``###`` heading in the section "Exercises": an exercise (see `Exercise`)
"""

import re
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

MARKDOWN = MarkdownIt("commonmark").enable("table")
VERDICT = re.compile(r"([✗✓]) \*\*(.+?):\*\*\s+(.+)", re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n?", re.MULTILINE)
# The port of a request, not of the origin that it comes from: 81NN is ours, 82NN the article's.
URL_PORT = re.compile(r"(?<!Origin: )http://(?:127\.0\.0\.1|localhost):(8[12](?!00)\d\d)\b")
ANSWER = "<details><summary>Answer</summary>"


@dataclass(frozen=True)
class Heading:
    """A heading: its page, line (from 1) and level (1 for the title), its text as it's written.

    *section* is the title of the heading of level 2 that it stands under, or is; *below* are the
    lines up to the next heading of its level or above.
    """

    page: Path
    line: int
    level: int
    title: str
    anchor: str  # what links call it, as on a Git host
    section: str
    below: range

    def __str__(self) -> str:
        return f"{place(self.page, self.line)}: {self.title}"

    def text(self) -> str:
        """Return what stands below it."""
        lines = text_of(self.page).splitlines()
        return "\n".join(lines[self.below.start - 1 : self.below.stop - 1])

    def blocks(self) -> list["Block"]:
        return [block for block in blocks(self.page) if block.line in self.below]


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, line (from 1) and section, language, the file it names, its text.

    *heading* is the heading of any level that it stands under, *section* the one of level 2.
    """

    page: Path
    line: int
    section: str
    heading: str
    language: str
    file: str
    text: str

    def __str__(self) -> str:
        return place(self.page, self.line)


@dataclass(frozen=True)
class Verdict:
    """What a page says about the transcript below: right or not, of which version, and why."""

    good: bool
    label: str
    text: str  # Markdown


@dataclass(frozen=True)
class Exchange:
    """A command of a transcript, with its continuation lines, and what it printed."""

    command: str
    printed: str


@dataclass(frozen=True)
class Side:
    """A transcript of one version: a console block, its port in the book, its verdict if any."""

    block: Block
    port: int  # 81NN: ours; 82NN: the article's
    exchanges: list[Exchange]
    verdict: Verdict | None

    @property
    def version(self) -> str:
        return "ours" if self.port < 8200 else "article"


@dataclass(frozen=True)
class Card:
    """One transcript, or a pair: the article's and ours. *number* counts a page's cards from 1."""

    number: int
    section: str
    heading: str
    sides: list[Side]

    def side(self, version: str) -> Side | None:
        return next((side for side in self.sides if side.version == version), None)


@dataclass(frozen=True)
class Exercise:
    """A task: to take lines out (*out*, perhaps with others *instead*), or to write code.

    An exercise that asks for code has no *out*.
    """

    heading: Heading
    out: Block | None
    instead: Block | None
    answer: str  # Markdown, on one line


@dataclass(frozen=True)
class Piece:
    """A part of a page, in order: a node of its Markdown, and what it means, if it means anything.

    A card's piece stands where its last block does.
    """

    node: SyntaxTreeNode
    meaning: Heading | Block | Card | None


def place(page: Path, line: int) -> str:
    """Return what messages call a line of a page."""
    return f"{page.parent.name}/{page.name}:{line}"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@lru_cache(maxsize=100)
def parse(text: str) -> SyntaxTreeNode:
    return SyntaxTreeNode(MARKDOWN.parse(text))


def first_line(node: SyntaxTreeNode) -> int:
    assert node.map  # noqa: S101 (every block has one)
    return node.map[0] + 1


def anchor_of(title: str, taken: list[str]) -> str:
    """Return what Git hosts call a heading in links; the second of a name gets ``-1``."""
    plain = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    count = sum(re.fullmatch(rf"{re.escape(plain)}(-\d+)?", other) is not None for other in taken)
    return f"{plain}-{count}" if count else plain


def headings(page: Path) -> list[Heading]:
    """Return the headings of *page*, in order."""
    return headings_in(page, text_of(page))


@lru_cache(maxsize=100)
def headings_in(page: Path, text: str) -> list[Heading]:
    nodes = [node for node in parse(text).children if node.type == "heading"]
    found: list[Heading] = []
    section = ""
    for index, node in enumerate(nodes):
        line, level, title = first_line(node), int(node.tag[1]), node.children[0].content
        ends = [first_line(one) for one in nodes[index + 1 :] if int(one.tag[1]) <= level]
        below = range(line + 1, min([*ends, len(text.splitlines()) + 1]))
        section = title if level == 2 else section
        anchor = anchor_of(title, [heading.anchor for heading in found])
        found.append(Heading(page, line, level, title, anchor, section, below))
    return found


def title(page: Path) -> str:
    return next((heading.title for heading in headings(page)), page.name)


def section(page: Path, title: str) -> list[tuple[int, str]]:
    """Return the lines of the section *title*, each with its number; none if there's no such."""
    for heading in headings(page):
        if heading.level == 2 and heading.title == title:
            return list(enumerate(heading.text().splitlines(), heading.below.start))
    return []


def block_of(page: Path, node: SyntaxTreeNode) -> Block:
    line = first_line(node)
    language, _, file = node.info.partition(" ")
    above = [heading for heading in headings(page) if heading.line < line]
    section, heading = (above[-1].section, above[-1].title) if above else ("", "")
    return Block(page, line, section, heading, language, file.strip(), node.content)


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of *page*, in order, those in lists as well."""
    nodes = parse(text_of(page)).walk()
    return [block_of(page, node) for node in nodes if node.type == "fence"]


def exchanges(text: str) -> list[Exchange]:
    """Return the commands of a transcript, each with what it printed."""
    commands = list(COMMAND.finditer(text))
    ends = [*(match.start() for match in commands[1:]), len(text)]
    return [
        Exchange(match[1], text[match.end() : end])
        for match, end in zip(commands, ends, strict=True)
    ]


def verdict_of(node: SyntaxTreeNode) -> Verdict | None:
    match = node.type == "paragraph" and VERDICT.fullmatch(node.children[0].content)
    return Verdict(match[1] == "✓", match[2], match[3]) if match else None


def side_of(block: Block, verdict: Verdict | None) -> Side | None:
    """Return the transcript in *block*, or None if it isn't one of requests to one version."""
    if block.language != "console":
        return None
    found = exchanges(block.text)
    ports = {match[1] for one in found for match in URL_PORT.finditer(one.command)}
    requests = all("curl " in one.command for one in found)
    return Side(block, int(ports.pop()), found, verdict) if requests and len(ports) == 1 else None


def pieces(page: Path) -> list[Piece]:
    """Return what *page* consists of, in order; verdicts are in their cards."""
    return pieces_in(page, text_of(page))


@lru_cache(maxsize=100)
def pieces_in(page: Path, text: str) -> list[Piece]:
    found: list[Piece] = []
    by_line = {heading.line: heading for heading in headings(page)}
    verdict: Verdict | None = None
    for node in parse(text).children:
        if node.type == "heading":
            found.append(Piece(node, by_line[first_line(node)]))
        elif node.type == "fence":
            block = block_of(page, node)
            side = side_of(block, verdict)
            if side:
                found.append(Piece(node, card_of(side, found)))
            else:
                found.append(Piece(node, block))
        else:
            found.append(Piece(node, None))
        verdict = verdict_of(node)
    return found


def card_of(side: Side, before: list[Piece]) -> Card:
    """Return the card of *side*; what belongs to it is taken off the end of *before*."""
    sides = [side]
    if side.verdict:
        before.pop()  # the paragraph
        other = before[-1].meaning if before else None
        is_half = isinstance(other, Card) and len(other.sides) == 1 and other.sides[0].verdict
        if isinstance(other, Card) and is_half and other.sides[0].port != side.port:
            before.pop()
            sides.insert(0, other.sides[0])
    number = 1 + sum(isinstance(piece.meaning, Card) for piece in before)
    first = sides[0].block
    return Card(number, first.section, first.heading, sides)


def cards(page: Path) -> list[Card]:
    """Return the transcripts of requests on *page*, in order, each pair as one."""
    return [piece.meaning for piece in pieces(page) if isinstance(piece.meaning, Card)]


def exercises(page: Path) -> list[Exercise]:
    """Return the tasks in the section "Exercises" of *page*, in order."""
    found = []
    for heading in headings(page):
        if heading.level == 3 and heading.section == "Exercises":
            task, _, rest = heading.text().partition(ANSWER)
            own = range(heading.below.start, heading.below.start + task.count("\n"))
            code = [one for one in heading.blocks() if one.line in own and one.language == "python"]
            out, instead, *_ = [*code, None, None]
            answer = " ".join(rest.partition("</details>")[0].split())
            found.append(Exercise(heading, out, instead, answer))
    return found


def find(part: str, source: list[str], start: int = 0) -> int | None:
    """Return the index behind *part* in the lines of *source*, searched from the index *start* on.

    Indentation may differ. None: it isn't there.
    """
    wanted = textwrap.dedent(part).strip("\n").splitlines() or [""]
    for index in range(start, len(source) - len(wanted) + 1):
        if source[index].strip() == wanted[0].strip():
            end = index + len(wanted)
            if textwrap.dedent("\n".join(source[index:end])).splitlines() == wanted:
                return end
    return None


def line_of(block: Block) -> int | None:
    """Return the line (from 1) of the block's file where it begins; None: it's no excerpt."""
    path = block.page.parent / block.file
    if not block.file or not path.is_file():
        return None
    source = path.read_text(encoding="utf-8", errors="replace").splitlines()
    end = find(block.text, source)
    return end - len(block.text.strip("\n").splitlines()) + 1 if end else None
