"""The chapters, their files, and what each chapter adds to the one before."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted(ROOT.glob("[0-9][0-9]_*"))
PAGE_NAMES = ("README.md", "traps.md")  # of a chapter; everything else in it is a file of the app
NOT_OURS = {
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "instance",
    "node_modules",
}


def files(chapter: Path) -> dict[str, bytes]:
    """Return the contents of a chapter's files, without its pages, by relative name."""
    found = {}
    for path in sorted(chapter.rglob("*")):
        name = path.relative_to(chapter)
        if path.is_file() and not NOT_OURS & set(name.parts) and name.as_posix() not in PAGE_NAMES:
            found[name.as_posix()] = path.read_bytes()
    return found


def changes(chapter: Path) -> dict[str, list[str]]:
    """Return the files of *chapter* that are new, changed, carried over, or left behind."""
    index = CHAPTERS.index(chapter)
    new = files(chapter)
    old = files(CHAPTERS[index - 1]) if index else {}
    return {
        "new": [name for name in new if name not in old],
        "changed": [name for name in new if name in old and new[name] != old[name]],
        "carried over": [name for name in new if new[name] == old.get(name)],
        "left behind": [name for name in old if name not in new],
    }


def traps() -> dict[str, Path]:
    """Return, by its test's name, the file where a trap is pinned first, relative to ROOT."""
    found: dict[str, Path] = {}
    tests = [path for chapter in CHAPTERS for path in sorted(chapter.glob("tests/test_*.py"))]
    here = [ROOT / f"checks/test_{name}.py" for name in ("browser", "desk", "processes")]
    for path in [*tests, *here]:
        for name in re.findall(r"def (test_trap_\w+)", path.read_text(encoding="utf-8")):
            found.setdefault(name, path.relative_to(ROOT))
    return found
