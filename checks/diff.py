"""Show what a chapter or a step of chapter 06 adds to the one before it.

``diff.py 03``, or ``diff.py 03 1`` with tests and pages; ``diff.py 06 "" 2`` for step 2. The last
step is the chapter itself: ``diff.py 06 "" 5`` shows what it adds to step 4.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from book import CHAPTERS, COMBINED, PAGE_NAMES, ROOT, STEP_NAMES, STEPS, before, difference, title

QUIET_FOLDERS = ("tests/", "static/", "templates/")
QUIET_FILES = ("conftest.py", "frontend/index.html", "frontend/main.js")
QUIET_TYPES = (".json", ".md", ".png")
# Written anew in every chapter: compared with the one before, two programs would only be mixed.
WHOLE = ("article.py", "tests/test_traps.py")
INDENT = 14  # as wide as "carried over: "


def is_code(name: str) -> bool:
    quiet = name.startswith(QUIET_FOLDERS) or name in QUIET_FILES or name.endswith(QUIET_TYPES)
    return not quiet


def table(app: Path) -> list[str]:
    """Return the names in the README's table of changes, which begins with the technique."""
    readme = (app / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?`) \|(.*)", readme, re.MULTILINE)
    named = [(name, words) for cell, words in rows for name in re.findall("`([^`]+)`", cell)]
    names = [name for name, _ in named]

    # The article's version of the technique is read right after it, wherever its row is.
    techniques = [name for name, words in named if "the technique" in words]
    if techniques and "article.py" in names:
        names.remove("article.py")
        names.insert(names.index(techniques[0]) + 1, "article.py")
    return names


def row_of(name: str, rows: list[str]) -> str:
    """Return the row of the table that *name* belongs to: its own, or that of its folder."""
    folder = f"{name.split('/')[0]}/"
    return folder if folder in rows and name not in rows else name


def in_order(names: list[str], rows: list[str]) -> list[str]:
    """Sort *names* as their rows are; what the table doesn't name comes last."""
    places = {row: index for index, row in enumerate(rows)}
    return sorted(names, key=lambda name: places.get(row_of(name, rows), len(rows)))


def summary(changed: dict[str, list[str]], rows: list[str]) -> str:
    """Return a line for each group of files; of those carried over, only how many there are."""
    lines = []
    for kind in ("new", "changed", "left behind"):
        groups: dict[str, list[str]] = {}
        for name in in_order(changed[kind], rows):
            groups.setdefault(row_of(name, rows), []).append(name)
        shown = []
        for row, names in groups.items():
            shown.append(f"{row} ({len(names)} files)" if len(names) > 1 else names[0])
        if shown:
            lines.append(f"{kind + ':':{INDENT}}{', '.join(shown)}")
    carried = len(changed["carried over"])
    if carried:
        files = "1 file" if carried == 1 else f"{carried} files"
        lines.append(f"carried over: {files}, unchanged")

    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        wrapper = textwrap.TextWrapper(
            width, subsequent_indent=" " * INDENT, break_long_words=False, break_on_hyphens=False
        )
        lines = [wrapper.fill(line) for line in lines]
    return "\n".join(lines) + "\n"


def compare(old: str, new: str) -> str:
    colour = "--color=always" if sys.stdout.isatty() else "--color=never"
    command = ["git", "--no-pager", "diff", "--no-index", "--no-ext-diff", colour]
    command += ["--src-prefix=a/", "--dst-prefix=b/", "--", old, new]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE)
    return done.stdout.decode("utf-8", errors="replace")


def show(text: str) -> None:
    """Print *text*; on a terminal, in the pager that git would use."""
    pager = ""
    if sys.stdout.isatty():
        command = ["git", "var", "GIT_PAGER"]
        pager = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    if not pager or not shutil.which(shlex.split(pager)[0]):
        sys.stdout.write(text)
        return

    # As git sets them: show colours, and don't hold a text that fits on the screen.
    env = {"LESS": "FRX", "LV": "-c"} | os.environ
    # Ctrl-C belongs to the pager, where it ends a search; it mustn't end this script before it.
    signal.signal(signal.SIGINT, lambda *_: None)
    subprocess.run(pager, shell=True, input=text.encode(), env=env)


def with_pages(changed: dict[str, list[str]], old: Path | None, new: Path) -> dict[str, list[str]]:
    """Return *changed* with the pages of *new*, which are no files of the app."""
    added: dict[str, list[str]] = {"new": [], "changed": []}
    for page in PAGE_NAMES:
        if (new / page).exists():
            is_new = not old or not (old / page).exists()
            added["new" if is_new else "changed"].append(page)
    return {kind: [*names, *added.get(kind, [])] for kind, names in changed.items()}


def chosen(number: str, step: str) -> tuple[Path | None, Path]:
    """Return the two folders that are compared."""
    if step == str(len(STEP_NAMES) + 1):
        return STEPS[-1], COMBINED
    if step:
        new = STEPS[int(step) - 1]
    else:
        [new] = [chapter for chapter in CHAPTERS if chapter.name.startswith(f"{number}_")]
    return before(new), new


def main(number: str, everything: str = "", step: str = "") -> None:
    if not shutil.which("git"):
        sys.exit("git is needed to show a diff; install it first")
    old, new = chosen(number, step)

    changed = difference(old, new)
    if everything:
        changed = with_pages(changed, old, new)
    if old in STEPS and new == COMBINED:  # the steps aren't part of what comes after them
        for kind, names in changed.items():
            changed[kind] = [name for name in names if not name.startswith("steps/")]

    rows = table(new)
    text = summary(changed, rows)
    for name in in_order([*changed["new"], *changed["changed"]], rows):
        # Each step is a chapter in small; make diff-06 STEP=2 shows it.
        if name.startswith("steps/") or not (everything or is_code(name)):
            continue
        source = "/dev/null"
        if old and name in changed["changed"] and name not in WHOLE:
            source = f"{title(old)}/{name}"
        text += "\n" + compare(source, f"{title(new)}/{name}")
    show(text)


main(*sys.argv[1:])
