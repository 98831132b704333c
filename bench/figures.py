"""What has been measured, as tables."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE / "README.md"

Rows = dict[str, dict[str, float]]  # by row, then by column
Results = dict[str, Any]  # by script: "run" (when and where), "rows"

# Row and column of what is 1.00 in a script's table (column "": in every one). Its time is in µs.
# A script without that shows its figures as they are; their units are in the names of the columns.
BASES: dict[str, tuple[str, str] | None] = {
    "static_files": ("send_from_directory", ""),
    "storing": ("article", ""),
    "storing_memory": None,
    "cors_hook": ("bare Flask", ""),
    "error_codes": ("bare Flask", "success"),
    "exception_subclass": ("bare Flask", "success"),
    "catch_all": ("bare Flask", "success"),
    "bot_lookup": ("g", ""),
    "bots": None,
    "servers_load": None,
    "open_streams": None,
}


def figure(results: Results, script: str, row: str, column: str) -> float:
    """Return a figure as its table shows it: a ratio if it has a base. KeyError: no such."""
    rows: Rows = results[script]["rows"]
    base = BASES[script]
    if base is None:
        return rows[row][column]
    return rows[row][column] / rows[base[0]][base[1] or column]


def in_digits(value: float) -> str:
    """Return *value* with three digits or so."""
    if value == round(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 20 else f"{value:.2f}"


def cell(results: Results, script: str, row: str, column: str) -> str:
    measured: float | None = results[script]["rows"][row].get(column)
    base = BASES[script]
    if measured is None:
        return ""
    if base is None:
        return in_digits(measured)
    ratio = f"{figure(results, script, row, column):.2f}"
    is_base = row == base[0] and base[1] in ("", column)
    return f"{ratio} ({in_digits(measured)} µs)" if is_base else ratio


def markdown(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def table(results: Results, script: str) -> str:
    """Return a script's figures as a Markdown table."""
    rows: Rows = results[script]["rows"]
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    body = [[row, *(cell(results, script, row, column) for column in columns)] for row in rows]
    if len(columns) <= 5:
        return markdown(["", *columns], body)
    turned = [list(line) for line in zip(["", *columns], *body, strict=True)]  # not as wide
    return markdown(turned[0], turned[1:])


def aims(results: Results) -> str:
    """Return what we aimed at beside what was measured, as a Markdown table."""

    def get(script: str, row: str, column: str) -> float:
        return figure(results, script, row, column)

    def of_success(script: str, row: str) -> float:
        return get(script, row, "raised 404") / get(script, row, "success")

    def cors_by(row: str) -> float:
        columns = ("allowed origin", "no Origin", "preflight")
        return max(get("cors_hook", "chapter 02", c) / get("cors_hook", row, c) for c in columns)

    def streams(count: str, column: str) -> float:
        return get("open_streams", f"chapter 06, {count}", column)

    to_one = "to one: CPU per event, µs"
    rows = [
        (
            "chapter 01, a small file: × `send_from_directory`",
            0.60,
            get("static_files", "chapter 01", "a small file"),
        ),
        ("chapter 02, the slowest of three columns: × bare Flask", 1.10, cors_by("bare Flask")),
        ("chapter 02, the slowest of three columns: × flask-cors", 1.00, cors_by("flask-cors")),
        (
            "chapter 04, success: × bare Flask",
            1.50,
            get("exception_subclass", "chapter 04", "success"),
        ),
        (
            "chapter 04, raised 404: × its own success",
            1.25,
            of_success("exception_subclass", "chapter 04"),
        ),
        ("chapter 05, success: × bare Flask", 1.50, get("catch_all", "chapter 05", "success")),
        ("chapter 05, raised 404: × its own success", 1.25, of_success("catch_all", "chapter 05")),
        (
            "an event to one of 10,000 streams, CPU: × the same with 100",
            1.15,
            streams("10,000", to_one) / streams("100", to_one),
        ),
        ("an event to 5,000 streams, p99: ms", 150, streams("5,000", "to all: p99, ms")),
        (
            "an event to 5,000 streams, CPU per delivery: µs",
            15,
            streams("5,000", "to all: CPU per delivery, µs"),
        ),
        ("10,000 streams, memory of each: KiB", 20, streams("10,000", "KiB per stream")),
        ("10,000 streams, time to open them: s", 10, streams("10,000", "opened in, s")),
        ("10,000 streams, refused", 0, streams("10,000", "refused")),
    ]
    body = [
        [what, in_digits(most), in_digits(value), "yes" if value <= most else "no"]
        for what, most, value in rows
    ]
    return markdown(["", "at most", "measured", "reached"], body)


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
