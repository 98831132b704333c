"""The pages of the book as HTML: text by markdown-it, code by Pygments, the rest by templates."""

import ast
import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from flask import render_template
from markupsafe import Markup, escape
from pygments import highlight as pygments_highlight  # type: ignore[import-untyped]
from pygments import lexers
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

import curl
import pages
from contents import Book, Chapter
from pages import Block, Card, Exercise, Heading, Piece, Side, Verdict

FORMATTER = HtmlFormatter(nowrap=True, classprefix="p-")
TEST = re.compile(r"\[`(\w+)`\]\(([\w/.]+)\)")
TESTED_SECTION = "What goes wrong"  # its requests are what an exercise asks about


def highlighted(text: str, language: str = "", file: str = "") -> list[Markup]:
    """Return the lines of *text* with its syntax in spans; without a *language*, by file name."""
    try:
        if language:
            lexer = lexers.get_lexer_by_name(language, stripnl=False)
        else:
            lexer = lexers.get_lexer_for_filename(file, stripnl=False)
    except ClassNotFound:
        lexer = lexers.get_lexer_by_name("text", stripnl=False)
    # Pygments escapes the text; each of its lines closes its own spans.
    html = pygments_highlight(text, lexer, FORMATTER)
    return [Markup(line) for line in html.removesuffix("\n").split("\n")]  # noqa: S704


def inline(text: str) -> Markup:
    """Return the HTML of a line of Markdown."""
    return Markup(pages.MARKDOWN.renderInline(text))  # noqa: S704


def command_html(command: str, chapter: Chapter) -> Markup:
    """Return a curl command with its ports in their versions' colours, and long names shortened."""
    html = str(escape(shortened(command)))
    for name, port in (("article", chapter.ports.article), ("ours", chapter.ports.ours)):
        html = re.sub(rf"(?<=:|/){port}\b", f'<b class="{name}">{port}</b>', html)
    return Markup(html)  # noqa: S704


@dataclass(frozen=True)
class Commands:
    """The commands of a card: as they're shown, and what's edited, each with its version's name.

    The version is "both" where the commands of the two differ in nothing but the port.
    """

    shown: list[tuple[str, str]]
    edited: list[tuple[str, str]]


def commands_of(card: Card, chapter: Chapter) -> Commands:
    ours, article = f":{chapter.ports.ours}", f":{chapter.ports.article}"
    sides = [
        [(side.version, chapter.ports.live(one.command)) for one in side.exchanges]
        for side in card.sides
    ]
    shown: list[tuple[str, str]] = []
    for pair in zip_longest(*sides):
        same = {one and one[1].replace(article, ours) for one in pair}
        if len(pair) == 2 and len(same) == 1:
            shown.append(("both", pair[1][1].replace(ours, f"{article}/{ours[1:]}")))
        else:
            shown += [one for one in pair if one]
    if len(sides) == 2 and all(version == "both" for version, _ in shown):
        return Commands(shown, [("both", "\n".join(text for _, text in sides[1]))])
    return Commands(shown, [(side[0][0], "\n".join(text for _, text in side)) for side in sides])


@dataclass(frozen=True)
class Source:
    """A part of a file as it's shown."""

    file: str
    href: str  # from its page
    lines: list[Markup]
    first: int | None  # the number of the first line
    text: str


def excerpt(block: Block) -> Source:
    file = block.file if (block.page.parent / block.file).is_file() else ""
    first = pages.line_of(block)
    href = f"{file}#L{first}" if first else file
    return Source(block.file, href, highlighted(block.text, block.language), first, block.text)


def function_of(path: Path, name: str) -> tuple[int, str] | None:
    """Return the line (from 1) and the text of a function in a Python file, with its decorators."""
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:
        return None
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            lines = text.splitlines()[first - 1 : node.end_lineno]
            return first, "\n".join(lines)
    return None


def test_html(page: Path, name: str, file: str) -> str:
    """Return the line under a step's heading that unfolds its test."""
    first, text = function_of(page.parent / file, name) or (1, "")
    source = Source(file, f"{file}#L{first}", highlighted(text, "python"), first, text)
    return render_template("test.html", name=name, source=source)


def questions(page: Path) -> list[tuple[Card, Side]]:
    """Return what an exercise may change: the cards with requests to ours, and these."""
    found = []
    for card in pages.cards(page):
        side = card.side("ours")
        if side and card.section == TESTED_SECTION:
            found.append((card, side))
    return found


def short(side: Side) -> str:
    """Return a transcript's requests in a few words, such as ``GET /j/users/1``."""
    names = []
    for one in side.exchanges:
        request = curl.parse(one.command)
        origin = request.header("Origin")
        path = request.target.partition("?")[0]
        names.append(f"{request.method} {path}{' from ' if origin else ''}{origin}")
    return ", ".join(dict.fromkeys(names))


def shortened(text: str) -> str:
    """Return *text* with the middle of long hexadecimal names left out."""
    return re.sub(r"\b([0-9a-f]{6})[0-9a-f]{20,}([0-9a-f]{4})\b", r"\1…\2", text)


def card_html(card: Card, chapter: Chapter | None) -> str:
    if not chapter or not chapter.runs:
        return "".join(transcript_html(side.block, side.verdict) for side in card.sides)
    return render_template(
        "card.html",
        card=card,
        chapter=chapter,
        commands=commands_of(card, chapter),
        command_html=command_html,
        transcript_html=transcript_html,
    )


def transcript_html(block: Block, verdict: Verdict | None) -> Markup:
    lines = highlighted(block.text, "console")
    html = render_template("transcript.html", block=block, verdict=verdict, lines=lines)
    return Markup(html)  # noqa: S704


def exercise_html(number: int, exercise: Exercise, page: Path) -> str:
    asked = [(card, shortened(short(side))) for card, side in questions(page)]
    return render_template("exercise.html", number=number, exercise=exercise, questions=asked)


def piece_html(piece: Piece, page: Path, chapter: Chapter | None) -> str:
    meaning = piece.meaning
    if isinstance(meaning, Card):
        return card_html(meaning, chapter)
    if isinstance(meaning, Heading):
        text = inline(meaning.title)
        return f'<h{meaning.level} id="{escape(meaning.anchor)}">{text}</h{meaning.level}>\n'
    if isinstance(meaning, Block):
        if meaning.language == "console":
            return transcript_html(meaning, None)
        return render_template("excerpt.html", source=excerpt(meaning), language=meaning.language)
    if piece.node.type == "paragraph":
        line = piece.node.children[0].content
        if line.startswith(("Test: [", "Tests: [")):
            return "".join(test_html(page, *found) for found in TEST.findall(line))
    html = str(pages.MARKDOWN.renderer.render(piece.node.to_tokens(), pages.MARKDOWN.options, {}))
    if piece.node.type == "table":
        html = html.replace("<th></th>", "<td></td>")  # an empty heading is none
        return f'<div class="table">{html}</div>'
    return html


def page_html(book: Book, page: Path) -> Markup:
    """Return the body of a page; before an exercise's answer stands what checks it."""
    chapter = book.chapter_of(page)
    tasks = {}
    if chapter and chapter.runs and page == chapter.readme:
        tasks = {task.heading.line: (n, task) for n, task in enumerate(pages.exercises(page))}
    found = []
    task: tuple[int, Exercise] | None = None
    for piece in pages.pieces(page):
        if isinstance(piece.meaning, Heading):
            task = tasks.get(piece.meaning.line)
        if task and piece.node.type == "html_block" and pages.ANSWER in piece.node.content:
            found.append(exercise_html(*task, page))
        found.append(piece_html(piece, page, chapter))
    return Markup("".join(found))  # noqa: S704


def diff_parts(text: str) -> list[tuple[str, list[Markup]]]:
    """Return the parts of a diff: its summary without a name, then each file's name and lines."""
    summary, *files = re.split(r"^(?=diff --git )", text, flags=re.MULTILINE)
    parts = [("", [escape(line) for line in summary.splitlines()])]
    for file in files:
        name = re.search(r"^\+\+\+ (?:b/)?(.+)", file, re.MULTILINE)
        hunks = file[file.find("@@") :] if "@@" in file else ""
        parts.append((name[1] if name else "", highlighted(hunks, "diff")))
    return parts
