"""What has been measured: as tables, as charts, and as figures that pages quote.

A chapter quotes a figure with a comment behind it that says which one it is:
``0.32<!-- bench static_files: chapter 01 | a small file -->``.
"""

import functools
import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE / "README.md"
TOLERANCE = 0.15  # of a quoted figure, because two long runs are never alike

Rows = dict[str, dict[str, float]]  # by row, then by column
Results = dict[str, Any]  # by script: "run" (when and where), "rows"


class Part(NamedTuple):
    """How the figures of one script are shown."""

    unit: str = ""  # of what is 1.00, or "" where every column's name says its own
    base: tuple[str, str] | None = None  # row and column of what is 1.00 (column "": in every one)
    chart: str = ""  # the column that the chart shows, if there is one
    title: str = ""  # of the chart


US = "µs"
PARTS = {
    "static_files": Part(US, ("send_from_directory", ""), "a small file", "Serving a small file"),
    "storing": Part(US, ("article", ""), "1 MiB", "Storing an upload of 1 MiB"),
    "storing_memory": Part(),
    "cors_hook": Part(US, ("bare Flask", ""), "allowed origin", "A request from an allowed origin"),
    "error_codes": Part(US, ("bare Flask", "success"), "raised 404", "A view that raises a 404"),
    "exception_subclass": Part(US, ("bare Flask", "success"), "success", "A view that succeeds"),
    "catch_all": Part(US, ("bare Flask", "success"), "success", "A view that succeeds"),
    "bot_lookup": Part(US, ("g", ""), "ten lookups", "Ten lookups in one request"),
    "bot_commands": Part(),
    "bots": Part(),
    "servers_load": Part(),
    "logins": Part(),
    "fetches": Part(),
    "open_streams": Part(chart="KiB per stream", title="Memory of an open stream, KiB"),
}


def figure(results: Results, script: str, row: str, column: str) -> float:
    """Return a figure as its table shows it: a ratio if the part has a base. KeyError: no such."""
    rows: Rows = results[script]["rows"]
    base = PARTS[script].base
    if base is None:
        return rows[row][column]
    return rows[row][column] / rows[base[0]][base[1] or column]


def in_digits(value: float) -> str:
    """Return *value* with three digits or so."""
    if value == round(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 20 else f"{value:.2f}"


def table(results: Results, script: str) -> str:
    """Return a part's figures as a Markdown table."""
    rows: Rows = results[script]["rows"]
    unit, base, *_ = PARTS[script]
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [["", *columns], ["---", *["--:"] * len(columns)]]
    for row, cells in rows.items():
        line = [row]
        for column in columns:
            if column not in cells:
                line.append("")
            elif base is None:
                line.append(in_digits(cells[column]))
            else:
                ratio = f"{figure(results, script, row, column):.2f}"
                is_base = row == base[0] and base[1] in ("", column)
                line.append(f"{ratio} ({in_digits(cells[column])} {unit})" if is_base else ratio)
        lines.append(line)
    if len(columns) > 5:  # too wide to read
        head, _, *body = lines
        turned = [list(line) for line in zip(head, *body, strict=True)]
        lines = [turned[0], ["---", *["--:"] * len(body)], *turned[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# Charts

WIDTH, LEFT, RIGHT, LINE = 720, 250, 90, 28  # pixels
STYLE = """\
text { font: 14px system-ui, sans-serif; fill: #1f2328 }
.paper { fill: #fff }
.title { font-weight: 600 }
.note { font-size: 12px; fill: #59636e }
.bar { fill: #9aa4b0 }
.ours { fill: #1f6feb }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .paper { fill: #0d1117 }
  .note { fill: #9198a1 }
  .bar { fill: #59636e }
  .ours { fill: #4493f8 }
}"""


def chart(results: Results, script: str) -> str:
    """Return a part's figures of one column as an SVG bar chart, light or dark as the reader's."""
    unit, base, column, title = PARTS[script]
    rows: Rows = results[script]["rows"]
    values = {row: figure(results, script, row, column) for row in rows if column in rows[row]}
    longest = max(values.values()) or 1
    note = "shorter is better"
    if base:
        cell = rows[base[0]][base[1] or column]
        said = ", ".join(filter(None, base))
        note = f"{said} = 1.00 ({in_digits(cell)} {unit}); {note}"

    height = 60 + LINE * len(values)
    said = escape(title)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" role="img" aria-label="{said}">',
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        f'<text class="title" x="12" y="24">{said}</text>',
        f'<text class="note" x="12" y="43">{escape(note)}</text>',
    ]
    for number, (row, value) in enumerate(values.items()):
        y = 56 + LINE * number
        length = (WIDTH - LEFT - RIGHT) * value / longest
        kind = "bar ours" if row.startswith(("chapter", "current_bot")) else "bar"
        shown = f"{value:.2f}" if base else in_digits(value)
        lines += [
            f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(row)}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="20" rx="2"/>',
            f'<text x="{LEFT + length + 8:.1f}" y="{y + 15}">{shown}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


# What we aimed at

Get = Callable[[str, str, str], float]  # a figure, by script, row and column


class Aim(NamedTuple):
    what: str
    most: float
    measured: Callable[[Get], float]


def single(script: str, row: str, column: str) -> Callable[[Get], float]:
    return lambda get: get(script, row, column)


def error_by_success(script: str, row: str) -> Callable[[Get], float]:
    return lambda get: get(script, row, "raised 404") / get(script, row, "success")


def cors_by(other: str) -> Callable[[Get], float]:
    """Compare with the row *other*, in the column where that looks worst for ours."""
    columns = ["allowed origin", "no Origin", "preflight"]
    return lambda get: max(
        get("cors_hook", "chapter 02", column) / get("cors_hook", other, column)
        for column in columns
    )


def streams(count: str, column: str) -> Callable[[Get], float]:
    return single("open_streams", f"chapter 06, {count}", column)


def one_in_many(get: Get) -> float:
    column = "to one: CPU per event, µs"
    return streams("10,000", column)(get) / streams("100", column)(get)


FILE = single("static_files", "chapter 01", "a small file")
SUCCESS_04 = single("exception_subclass", "chapter 04", "success")
SUCCESS_05 = single("catch_all", "chapter 05", "success")
ERROR_04 = error_by_success("exception_subclass", "chapter 04")
ERROR_05 = error_by_success("catch_all", "chapter 05")
LATE = streams("5,000", "to all: p99, ms")
DELIVERY = streams("5,000", "to all: CPU per delivery, µs")
AIMS = [
    Aim("chapter 01, a small file: × `send_from_directory`", 0.60, FILE),
    Aim("chapter 02, the slowest of three columns: × bare Flask", 1.10, cors_by("bare Flask")),
    Aim("chapter 02, the slowest of three columns: × flask-cors", 1.00, cors_by("flask-cors")),
    Aim("chapter 04, success: × bare Flask", 1.50, SUCCESS_04),
    Aim("chapter 04, raised 404: × its own success", 1.25, ERROR_04),
    Aim("chapter 05, success: × bare Flask", 1.50, SUCCESS_05),
    Aim("chapter 05, raised 404: × its own success", 1.25, ERROR_05),
    Aim("an event to one of 10,000 streams, CPU: × the same with 100", 1.15, one_in_many),
    Aim("an event to 5,000 streams, p99: ms", 150, LATE),
    Aim("an event to 5,000 streams, CPU per delivery: µs", 15, DELIVERY),
    Aim("10,000 streams, memory of each: KiB", 20, streams("10,000", "KiB per stream")),
    Aim("10,000 streams, time to open them: s", 10, streams("10,000", "opened in, s")),
    Aim("10,000 streams, refused", 0, streams("10,000", "refused")),
]


def aims(results: Results) -> str:
    """Return what we aimed at beside what was measured, as a Markdown table."""
    get = functools.partial(figure, results)
    lines = [["", "at most", "measured", "reached"], ["---", "--:", "--:", "---"]]
    for what, most, measured in AIMS:
        value = measured(get)
        lines.append([what, in_digits(most), in_digits(value), "yes" if value <= most else "no"])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# Files


def load() -> Results:
    results: Results = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


def generated(results: Results) -> dict[Path, str]:
    """Return the files that are made from *results*: the page, with its tables anew, and charts."""
    files = {
        HERE / f"{script}.svg": chart(results, script)
        for script, part in PARTS.items()
        if part.chart
    }
    page = PAGE.read_text(encoding="utf-8")
    blocks = {"aims": aims(results).rstrip("\n")}
    runs = {}
    for script in PARTS:
        run = results[script]["run"]
        date = run.partition(",")[0]
        blocks[script] = f"{table(results, script)}\nMeasured on {date}."
        runs[run] = f"- {run}"
    blocks["runs"] = "\n".join(runs.values())
    for name, text in blocks.items():
        before, rest = page.split(f"<!-- {name} -->\n", 1)
        after = rest.split("<!-- end -->", 1)[1]
        page = f"{before}<!-- {name} -->\n\n{text}\n\n<!-- end -->{after}"
    return files | {PAGE: page}


def write(results: Results) -> None:
    """Write the files that are made from *results*."""
    for path, text in generated(results).items():
        path.write_text(text, encoding="utf-8")
