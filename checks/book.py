"""The chapters, the steps of chapter 06, their files, and what each adds to the one before."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted(ROOT.glob("[0-9][0-9]_*"))
COMBINED = ROOT / "06_login_context"
STEP_NAMES = ("1_current_bot", "2_shared_login", "3_task", "4_events")  # the fifth is COMBINED
STEPS = [COMBINED / "steps" / name for name in STEP_NAMES]
APPS = [*CHAPTERS, *STEPS]
# Of a chapter or a step; everything else in it is a file of the app.
PAGE_NAMES = ("README.md", "traps.md", "operations.md")
NOT_OURS = {
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "instance",
    "node_modules",
}
# What a step shares with another app is that app's file, byte for byte: files of the combined app,
# the switch of chapter 05, and the look of step 1.
SHARED = {
    **dict.fromkeys(
        ("context.py", "wx.py", "names.json", "redis_server.py", "run.py", "gunicorn.conf.py"),
        COMBINED,
    ),
    **dict.fromkeys(("sse.py", "errors.py", "exceptions.py"), COMBINED),
    "versions.py": ROOT / "05_catch_all",
    "static/step.css": STEPS[0],
}


def chapter_number(app: Path) -> str:
    """Return the number of a chapter, or of the chapter that a step belongs to."""
    return app.relative_to(ROOT).parts[0][:2]


def title(app: Path) -> str:
    """Return what messages call a chapter or a step: its path from ROOT."""
    return app.relative_to(ROOT).as_posix()


def files(app: Path) -> dict[str, bytes]:
    """Return the contents of the files of a chapter or a step, without its pages, by name."""
    found = {}
    for path in sorted(app.rglob("*")):
        name = path.relative_to(app)
        if path.is_file() and not NOT_OURS & set(name.parts) and name.as_posix() not in PAGE_NAMES:
            found[name.as_posix()] = path.read_bytes()
    return found


def before(app: Path) -> Path | None:
    """Return the chapter before a chapter, or the step before a step; None for the first ones."""
    row = STEPS if app in STEPS else CHAPTERS
    index = row.index(app)
    return row[index - 1] if index else None


def difference(old: Path | None, new: Path) -> dict[str, list[str]]:
    """Return the files of *new* that are new, changed, carried over, or left behind."""
    there = files(old) if old else {}
    here = files(new)
    return {
        "new": [name for name in here if name not in there],
        "changed": [name for name in here if name in there and here[name] != there[name]],
        "carried over": [name for name in here if here[name] == there.get(name)],
        "left behind": [name for name in there if name not in here],
    }


def changes(app: Path) -> dict[str, list[str]]:
    """Return the difference between a chapter or a step and the one before it."""
    return difference(before(app), app)


def traps() -> dict[str, Path]:
    """Return, by its test's name, the file where a trap is pinned first, relative to ROOT."""
    found: dict[str, Path] = {}
    tests = [path for app in APPS for path in sorted(app.glob("tests/test_*.py"))]
    here = [ROOT / f"checks/test_{name}.py" for name in ("browser", "desk", "processes")]
    for path in [*tests, *here]:
        for name in re.findall(r"def (test_trap_\w+)", path.read_text(encoding="utf-8")):
            found.setdefault(name, path.relative_to(ROOT))
    return found
