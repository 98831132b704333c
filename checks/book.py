"""The chapters, the steps of chapter 06, their files, and which of them are the same file."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted(ROOT.glob("[0-9][0-9]_*"))
COMBINED = ROOT / "06_login_context"
ONE_TECHNIQUE = [chapter for chapter in CHAPTERS if chapter != COMBINED]
STEPS = sorted(COMBINED.glob("steps/[1-9]_*"))  # COMBINED itself is the one after them
APPS = [*CHAPTERS, *STEPS]
# The module that a chapter is about.
TECHNIQUES = {
    "01_static_files": "uploads.py",
    "02_cors": "cors.py",
    "03_error_codes": "errors.py",
    "04_http_exception_subclass": "exceptions.py",
    "05_catch_all": "handlers.py",
}
# Of a chapter or a step; everything else in it is a file of the app.
PAGE_NAMES = ("README.md", "traps.md", "operations.md")
CACHES = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
NOT_OURS = CACHES | {"instance", "local_settings.py", "node_modules"}
# What chapter 06 and each of its steps have of their own. Any other file of a step that the chapter
# has as well is the chapter's.
OWN = ("app.py", "conftest.py", "requirements.txt", "deploy/Procfile", "templates/index.html")
OWN_TASKS = STEPS[2] / "tasks.py"  # without events, which step 4 adds
# Of several steps, but not of the chapter: the folder that has the original.
ORIGINALS = {"static/step.css": STEPS[0], "deploy/restart.py": STEPS[2]}
# What a step builds on, where that isn't the one before.
BUILDS_ON = {"5_qr_login": "2_shared_login", "6_guard": "2_shared_login", "7_messages": "4_events"}


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


def originals(app: Path) -> dict[str, Path]:
    """Return the originals of the files that a chapter or a step shares, by name.

    A chapter that has the module of another one's technique has it byte for byte.
    """
    if app in CHAPTERS:
        found = {module: ROOT / chapter / module for chapter, module in TECHNIQUES.items()}
    else:
        shared = [name for name in files(app) if (COMBINED / name).exists() and name not in OWN]
        found = {name: COMBINED / name for name in shared if not name.startswith("tests/")}
        found |= {name: owner / name for name, owner in ORIGINALS.items()}
    return {
        name: original
        for name, original in found.items()
        if (app / name).exists() and app / name not in (original, OWN_TASKS)
    }


def before(app: Path) -> Path | None:
    """Return what a chapter or a step builds on; None for one that stands alone."""
    if app in STEPS:
        index = STEPS.index(app)
        base = BUILDS_ON.get(app.name)
        return app.with_name(base) if base else STEPS[index - 1] if index else None
    return {"05_catch_all": CHAPTERS[3], "06_login_context": STEPS[-1]}.get(app.name)


def traps() -> dict[str, Path]:
    """Return, by its test's name, the file where a trap is pinned first, relative to ROOT."""
    found: dict[str, Path] = {}
    tests = [path for app in APPS for path in sorted(app.glob("tests/test_*.py"))]
    for path in [*tests, *sorted(ROOT.glob("checks/test_*.py"))]:
        for name in re.findall(r"^ *def (test_trap_\w+)", path.read_text("utf-8"), re.MULTILINE):
            found.setdefault(name, path.relative_to(ROOT))
    return found
