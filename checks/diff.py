"""Show what chapter 05 adds to 04, or what a step of chapter 06 adds to the one before it.

``diff.py 05``, or ``diff.py 05 1`` with tests and pages; ``diff.py 06 "" 2`` for step 2. The last
step is the chapter itself, ``diff.py 06``: it's compared with all the steps before it.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import book
from book import COMBINED, PAGE_NAMES, ROOT, STEPS, files, originals, title

QUIET_FOLDERS = ("deploy/", "tests/", "static/", "templates/")
QUIET_ENDS = (".json", ".md", ".png", ".txt", "conftest.py")


def is_quiet(name: str) -> bool:
    """Tell whether a file is listed, but not shown."""
    is_technique = name == "deploy/receive.py"  # of step 7
    return (name.startswith(QUIET_FOLDERS) and not is_technique) or name.endswith(QUIET_ENDS)


def sources(new: Path) -> dict[str, Path]:
    """Return the files that *new* builds on, by name: of the steps, the last one that has each."""
    if new == COMBINED:
        return {name: step / name for step in STEPS for name in files(step)} | originals(new)
    old = book.before(new)
    return {name: old / name for name in files(old)} if old else {}


def difference(new: Path) -> dict[str, list[str]]:
    """Return the names of the files that are changed, new, left behind, or the same in *new*."""
    there, here = sources(new), files(new)
    if new == COMBINED:  # the steps aren't part of it, and most that they have is theirs alone
        here = {name: text for name, text in here.items() if not name.startswith("steps/")}
        there = {name: path for name, path in there.items() if name in here}
    same = [name for name in here if name in there and there[name].read_bytes() == here[name]]
    return {
        "changed": [name for name in here if name in there and name not in same],
        "new": [name for name in here if name not in there],
        "left behind": [name for name in there if name not in here],
        "the same": same,
    }


def summary(names: dict[str, list[str]]) -> str:
    """Return which files are changed, new and so on; last those that aren't shown."""
    code = {kind: [name for name in found if not is_quiet(name)] for kind, found in names.items()}
    quiet = [name for name in names["changed"] + names["new"] if is_quiet(name)]
    code["plumbing, tests and pages, not shown here"] = quiet
    return "".join(f"{kind}: {', '.join(found)}\n" for kind, found in code.items() if found)


def compare(old: Path | None, new: Path) -> str:
    """Return what git says of two files; without an *old* one, all of *new* is new."""
    colour = "--color=always" if sys.stdout.isatty() else "--color=never"
    command = ["git", "--no-pager", "diff", "--no-index", "--no-ext-diff", colour]
    command += ["--src-prefix=a/", "--dst-prefix=b/", "--"]
    command += [title(old) if old else os.devnull, title(new)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE)
    return done.stdout.decode("utf-8", errors="replace")


def text_of(new: Path, everything: bool) -> str:
    """Return a summary of all files, and the differences of those that are code."""
    there, names = sources(new), difference(new)
    # Written anew in every chapter: compared with the one before, two programs would only be mixed.
    there.pop("article.py", None)
    shown = names["changed"] + names["new"]
    if everything:
        shown += [name for name in PAGE_NAMES if (new / name).exists()]
    else:
        shown = [name for name in shown if not is_quiet(name)]
    return "\n".join([summary(names), *(compare(there.get(name), new / name) for name in shown)])


def show(text: str) -> None:
    """Print *text*; on a terminal, in the pager that git would use."""
    # Ctrl-C belongs to the pager, where it ends a search; it mustn't end this script before it.
    signal.signal(signal.SIGINT, lambda *_: None)
    command = ["git", "--paginate", "-c", "alias.show-text=!cat", "show-text"]
    # Without a word about a pager that isn't there; then git prints the text.
    subprocess.run(command, cwd=ROOT, input=text.encode(), stderr=subprocess.DEVNULL)


def main(number: str, everything: str = "", step: str = "") -> None:
    [new] = ROOT.glob(f"{number}_*")
    if step and int(step) <= len(STEPS):
        new = STEPS[int(step) - 1]
    if book.before(new) is None:
        technique = book.TECHNIQUES.get(new.name, "context.py")
        print(f"{title(new)} stands alone; the file to read is {title(new)}/{technique}")
    elif not shutil.which("git"):
        sys.exit("git is needed to show a diff; install it first")
    else:
        show(text_of(new, bool(everything)))


if __name__ == "__main__":
    main(*sys.argv[1:])
