"""What has been measured, as tables."""

import json
from typing import Any

from scripts import HERE, Table

RESULTS = HERE / "results.json"
PAGE = HERE / "README.md"

Results = dict[str, Any]  # by script: "run" (when and where), "rows"

# Row and column of what is 1.00 in a script's table (column "": in every one). Its time is in µs.
# A script without that shows its figures as they are; their units are in the names of the columns.
BASES: dict[str, tuple[str, str] | None] = {
    "static_files": ("send_from_directory", ""),
    "cors_hook": ("bare Flask", ""),
    "api_errors": ("bare Flask", "success"),
    "bots": None,
    "file_servers": None,
    "open_streams": None,
}


def in_digits(value: float) -> str:
    """Return *value* with three digits or so."""
    if value == round(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 20 else f"{value:.2f}"


def cell(rows: Table, base: tuple[str, str] | None, row: str, column: str) -> str:
    measured = rows[row].get(column)
    if measured is None:
        return ""
    if base is None:
        return in_digits(measured)
    base_row, base_column = base[0], base[1] or column
    ratio = f"{measured / rows[base_row][base_column]:.2f}"
    is_base = (row, column) == (base_row, base_column)
    return f"{ratio} ({in_digits(measured)} µs)" if is_base else ratio


def markdown(head: list[str], *body: list[str]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def table(results: Results, script: str) -> str:
    """Return a script's figures as a Markdown table."""
    rows: Table = results[script]["rows"]
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    lines = [["", *columns]]
    lines += [[row, *(cell(rows, BASES[script], row, name) for name in columns)] for row in rows]
    if len(columns) > 5:
        lines = [list(line) for line in zip(*lines, strict=True)]  # turned, it isn't as wide
    return markdown(*lines)


def aims(results: Results) -> str:
    """Return what we aimed at beside what was measured, as a Markdown table."""
    files: Table = results["static_files"]["rows"]
    cors: Table = results["cors_hook"]["rows"]
    errors: Table = results["api_errors"]["rows"]
    streams: Table = results["open_streams"]["rows"]
    file, success, raised = "a small file", "success", "raised 404"
    ours, bare = cors["chapter 02"], errors["bare Flask"]
    ch_04, ch_05 = errors["chapter 04"], errors["chapter 05"]
    few, many, most = (streams[f"chapter 06, {count}"] for count in ("100", "5,000", "10,000"))
    to_one = "to one: CPU per event, µs"

    def slowest(other: str) -> float:
        return max(ours[column] / cors[other][column] for column in ours)

    rows = [
        (
            "chapter 01, a small file: × `send_from_directory`",
            0.60,
            files["chapter 01"][file] / files["send_from_directory"][file],
        ),
        ("chapter 02, the slowest of three columns: × bare Flask", 1.10, slowest("bare Flask")),
        ("chapter 02, the slowest of three columns: × flask-cors", 1.00, slowest("flask-cors")),
        ("chapter 04, success: × bare Flask", 1.50, ch_04[success] / bare[success]),
        ("chapter 04, raised 404: × its own success", 1.25, ch_04[raised] / ch_04[success]),
        ("chapter 05, success: × bare Flask", 1.50, ch_05[success] / bare[success]),
        ("chapter 05, raised 404: × its own success", 1.25, ch_05[raised] / ch_05[success]),
        (
            "an event to one of 10,000 streams, CPU: × the same with 100",
            1.15,
            most[to_one] / few[to_one],
        ),
        ("an event to 5,000 streams, p99: ms", 150, many["to all: p99, ms"]),
        (
            "an event to 5,000 streams, CPU per delivery: µs",
            15,
            many["to all: CPU per delivery, µs"],
        ),
        ("10,000 streams, memory of each: KiB", 20, most["KiB per stream"]),
        ("10,000 streams, time to open them: s", 10, most["opened in, s"]),
        ("10,000 streams, refused", 0, most["refused"]),
    ]
    body = [
        [what, in_digits(aim), in_digits(value), "yes" if value <= aim else "no"]
        for what, aim, value in rows
    ]
    return markdown(["", "at most", "measured", "reached"], *body)


def load() -> Results:
    results: Results = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


def page(results: Results) -> str:
    """Return the page with its tables anew."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = {"aims": aims(results)}
    for script in BASES:
        date = results[script]["run"].partition(",")[0]
        blocks[script] = f"{table(results, script)}\nMeasured on {date}.\n"
    blocks["runs"] = "".join(f"- {run}\n" for run in {r["run"]: None for r in results.values()})
    for name, block in blocks.items():
        before, rest = text.split(f"<!-- {name} -->\n", 1)
        after = rest.split("<!-- end -->", 1)[1]
        text = f"{before}<!-- {name} -->\n\n{block}\n<!-- end -->{after}"
    return text
