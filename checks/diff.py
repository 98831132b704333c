"""Show what chapter 05 adds to 04, or what a step of chapter 06 adds to the one before it.

``diff.py 05``, or ``diff.py 05 1`` with tests and pages; ``diff.py 06 "" 2`` for step 2. The last
step is the chapter itself: ``diff.py 06 "" 5`` shows what it adds to step 4.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from book import CHAPTERS, COMBINED, PAGE_NAMES, ROOT, STEPS, TECHNIQUES, before, files, title

QUIET_FOLDERS = ("deploy/", "tests/", "static/", "templates/")
QUIET_TYPES = (".json", ".md", ".png", ".txt")
PLUMBING = ("conftest.py", "versions.py")
# Written anew in every chapter: compared with the one before, two programs would only be mixed.
WHOLE = ("article.py",)


def is_quiet(name: str) -> bool:
    """Tell whether a file is listed, but not shown."""
    return name.startswith(QUIET_FOLDERS) or name.endswith(QUIET_TYPES) or name in PLUMBING


def difference(old: Path, new: Path) -> dict[str, list[str]]:
    """Return the names of the files that are changed, new, left behind, or the same in *new*."""
    there, here = files(old), files(new)
    if old in STEPS and new == COMBINED:  # the steps aren't part of what comes after them
        here = {name: text for name, text in here.items() if not name.startswith("steps/")}
    return {
        "changed": [name for name in here if name in there and here[name] != there[name]],
        "new": [name for name in here if name not in there],
        "left behind": [name for name in there if name not in here],
        "the same": [name for name in here if here[name] == there.get(name)],
    }


def compare(old: Path | None, new: Path) -> str:
    """Return what git says of two files; without an *old* one, all of *new* is new."""
    colour = "--color=always" if sys.stdout.isatty() else "--color=never"
    command = ["git", "--no-pager", "diff", "--no-index", "--no-ext-diff", colour]
    command += ["--src-prefix=a/", "--dst-prefix=b/", "--"]
    command += [title(old) if old else os.devnull, title(new)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE)
    return done.stdout.decode("utf-8", errors="replace")


def text_of(old: Path, new: Path, everything: bool) -> str:
    """Return a summary of all files, and the differences of those that are code."""
    names = difference(old, new)
    lines = [f"{kind}: {', '.join(found)}" for kind, found in names.items() if found]
    text = "\n".join(lines) + "\n"
    pages = [name for name in PAGE_NAMES if (new / name).exists()]
    for name in [*names["changed"], *names["new"], *(pages if everything else [])]:
        if everything or not is_quiet(name):
            is_compared = (old / name).exists() and name not in WHOLE
            text += "\n" + compare(old / name if is_compared else None, new / name)
    return text


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


def chosen(number: str, step: str) -> Path:
    """Return the chapter or the step with this number."""
    if step and int(step) <= len(STEPS):
        return STEPS[int(step) - 1]
    [chapter] = [chapter for chapter in CHAPTERS if chapter.name.startswith(f"{number}_")]
    return chapter


def main(number: str, everything: str = "", step: str = "") -> None:
    new = chosen(number, step)
    old = before(new)
    if old is None:
        technique = TECHNIQUES.get(new.name, "context.py")
        print(f"{title(new)} stands alone; the file to read is {title(new)}/{technique}")
        return
    if not shutil.which("git"):
        sys.exit("git is needed to show a diff; install it first")
    show(text_of(old, new, bool(everything)))


if __name__ == "__main__":
    main(*sys.argv[1:])
