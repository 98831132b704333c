"""Compare an answer with what the book says, and the article's answer with ours.

The checks compare with `agrees` as well.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from running import Answer

# What varies by nature from run to run, or from one machine to the next; nothing else may.
VARYING: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"^((?:Date|Last-Modified|Expires): ).+": r"\1<date>",
    r"^(Server: ).+": r"\1<server>",
    r'^(ETag: (?:W/)?)".*"': r'\1"<etag>"',
    r"^(X-Request-ID: )[0-9a-f]{32}$": r"\1<id>",
    r"^(id: )\d+-\d+$": r"\1<id>",  # of an event
    r'("request_id": ?")[0-9a-f]{32}(?=")': r"\1<id>",
    r"^(Allow|Vary): (.+)": lambda match: f"{match[1]}: {', '.join(sorted(match[2].split(', ')))}",
}
UNINTERESTING = ("connection", "content-length", "date", "server")  # of one's own request
SHOWN = 60  # lines of a body


def stable(text: str) -> str:
    """Return *text* with a placeholder for each part of it that varies from run to run."""
    for pattern, instead in VARYING.items():
        text = re.sub(pattern, instead, text, flags=re.MULTILINE | re.IGNORECASE)
    return text


def agrees(expected: str, printed: str) -> bool:
    """Tell whether *printed* is what a transcript says; ``...`` in it stands for any lines."""
    pattern = ""
    for line in stable(expected).splitlines():
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line) + r"\n"
    text = stable(printed)
    return bool(re.fullmatch(pattern, text if text.endswith("\n") or not text else f"{text}\n"))


@dataclass(frozen=True)
class Line:
    text: str
    marked: bool = False


@dataclass(frozen=True)
class Row:
    """A row of the comparison: its name, and the lines of each side; None: it isn't there."""

    name: str
    cells: list[list[Line] | None]
    marked: bool = False  # the sides differ, and that's worth seeing
    same: bool = False  # one cell for both


def header_row(name: str, values: list[list[str]]) -> Row:
    stables = [sorted(stable(f"{name}: {value}") for value in side) for side in values]
    differ = len(values) == 2 and stables[0] != stables[1]
    return Row(name, [[Line(value) for value in side] or None for side in values], differ)


def named_headers(expected: str) -> list[str]:
    """Return the names of the headers that a transcript has left in, in order."""
    head = expected.partition("\n\n")[0]
    return re.findall(r"^([A-Za-z][\w-]*): ", head, re.MULTILINE)


def json_of(answer: Answer) -> Any:
    """Return the JSON of a body, or None if it's none."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def text_lines(body: bytes) -> list[str]:
    try:
        lines = body.decode().splitlines()
    except UnicodeDecodeError:
        return [f"({len(body):,} bytes that are no text)"]
    if len(body) > 100_000 and len(lines) < SHOWN:
        return [f"({len(body):,} bytes)"]
    rest = len(lines) - SHOWN
    return lines if rest <= 0 else [*lines[:SHOWN], f"({rest} more lines)"]


def json_lines(value: Any, other: Any, plain: Callable[[str], str], name: str = "") -> list[Line]:
    """Return *value* on lines, each member marked that *other* doesn't have or has otherwise."""
    if not isinstance(value, dict) or not isinstance(other, dict) or not value:
        differ = plain(json.dumps({name: value})) != plain(json.dumps({name: other}))
        text = json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, dict) else None)
        return [Line(line, differ) for line in text.splitlines()]
    lines = [Line("{")]
    for index, (key, member) in enumerate(value.items(), 1):
        different = {"not": [member]}  # from every member
        first, *rest = json_lines(member, other.get(key, different), plain, key)
        own = [Line(f"{json.dumps(key, ensure_ascii=False)}: {first.text}", first.marked), *rest]
        if index < len(value):
            own[-1] = Line(f"{own[-1].text},", own[-1].marked)
        lines += [Line(f"  {line.text}", line.marked) for line in own]
    return [*lines, Line("}")]


def body_row(answers: list[Answer], plain: Callable[[str], str]) -> Row:
    """Return the row of the bodies; *plain* replaces what differs only because two servers ran."""
    values = [json_of(answer) for answer in answers]
    cells: list[list[Line]] = []
    for answer, value, other in zip(answers, values, reversed(values), strict=True):
        if value is not None:
            cells.append(json_lines(value, value if other is None else other, plain))
        else:
            cells.append([Line(line) for line in text_lines(answer.body)])
    if len(answers) == 2 and values == [None, None]:
        cells = marked_lines(cells, plain)
    same = len(cells) == 2 and cells[0] == cells[1] != []
    return Row("Body", [cell or None for cell in cells], same=same)


def marked_lines(sides: list[list[Line]], plain: Callable[[str], str]) -> list[list[Line]]:
    """Return the lines of two texts, those marked that only one of them has."""
    left, right = ([plain(line.text) for line in side] for side in sides)
    only_left: set[int] = set()
    only_right: set[int] = set()
    for kind, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind != "equal":
            only_left.update(range(a, b))
            only_right.update(range(c, d))
    return [
        [Line(line.text, index in only) for index, line in enumerate(side)]
        for side, only in zip(sides, (only_left, only_right), strict=True)
    ]


def log_row(answers: list[Answer]) -> Row:
    logs = [[Line(line) for line in one.log.splitlines()] or None for one in answers]
    return Row("Log", logs, marked=len(logs) == 2 and (logs[0] is None) != (logs[1] is None))


def log_summary(lines: list[Line]) -> list[str]:
    """Return what a folded log shows: its first line, and that of its last exception."""
    exceptions = [
        line.text for line in lines if re.match(r"[A-Z][\w.]*(Error|Exception)\b", line.text)
    ]
    return [lines[0].text, *exceptions[-1:]]


def status_row(answers: list[Answer]) -> Row:
    differ = len({one.status for one in answers}) > 1
    return Row("Status", [[Line(f"{one.status} {one.reason}")] for one in answers], differ)


@dataclass(frozen=True)
class Comparison:
    """What's shown of one request to one or two versions."""

    rows: list[Row]
    more: list[Row]  # the headers that the transcript leaves out
    differing: int  # how many of them differ


def compare(answers: list[Answer], expected: list[str], ports: Callable[[str], str]) -> Comparison:
    """Return the rows for the answers of one or two versions to the same request.

    *expected* is what the transcripts say; the headers named there get rows of their own, and where
    there is none, those that differ. *ports* takes out what differs only because each version has
    its own.
    """

    def plain(text: str) -> str:
        return stable(ports(text))

    everything: dict[str, str] = {}
    for answer in answers:
        for name, _ in answer.headers:
            everything.setdefault(name.lower(), name)
    wanted: dict[str, str] = {}
    for text in expected:
        wanted.update({name.lower(): name for name in named_headers(text)})
    rows = {
        low: header_row(name, [[ports(value) for value in one.values(name)] for one in answers])
        for low, name in (everything | wanted).items()
    }
    if not any(expected):  # somebody's own request, so the page can't say which ones matter
        differing = [low for low, row in rows.items() if row.marked and low not in UNINTERESTING]
        wanted = {low: everything[low] for low in differing}
    more = [row for low, row in rows.items() if low not in wanted]
    shown = [rows[low] for low in wanted]
    return Comparison(
        [status_row(answers), *shown, body_row(answers, plain), log_row(answers)],
        more,
        sum(row.marked for row in more),
    )


def in_turn(sides: list[list[Any]]) -> list[list[Any]]:
    """Return the requests of one or two sides, the first ones together, then the second ones."""
    return [[one for one in group if one is not None] for group in zip_longest(*sides)]
