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
NOT_OURS = {
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "instance",
    "node_modules",
}
# Where the one original of a file is that other folders have as well, byte for byte. A chapter has
# only what its technique builds on.
ORIGINALS = {
    "05_catch_all": {"exceptions.py": "04_http_exception_subclass"},
    "06_login_context": {
        "uploads.py": "01_static_files",
        "cors.py": "02_cors",
        "exceptions.py": "04_http_exception_subclass",
        "handlers.py": "05_catch_all",
    },
}
# A step of chapter 06 that has one of these files has it from there.
OF_THE_STEPS = dict.fromkeys(
    [
        "context.py",
        "delivery.py",
        "deploy/gunicorn.conf.py",
        "deploy/receive.py",
        "deploy/redis_server.py",
        "deploy/run.py",
        "deploy/secret_key.py",
        "deploy/worker.py",
        "events.py",
        "guard.py",
        "logins.py",
        "make_celery.py",
        "names.json",
        "network.py",
        "scan.py",
        "sse.py",
        "static/scan.js",
        "tasks.py",
        "wx.py",
    ],
    "06_login_context",
)
OF_THE_STEPS["static/step.css"] = "06_login_context/steps/1_current_bot"
OF_THE_STEPS["deploy/restart.py"] = "06_login_context/steps/3_task"
# Without events, which step 4 adds.
OWN = {"3_task": "tasks.py"}
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
    """Return the originals of the files that a chapter or a step shares, by name."""
    if app not in STEPS:
        return {name: ROOT / owner / name for name, owner in ORIGINALS.get(app.name, {}).items()}
    found = {name: ROOT / owner / name for name, owner in OF_THE_STEPS.items()}
    return {
        name: original
        for name, original in found.items()
        if (app / name).exists() and original != app / name and OWN.get(app.name) != name
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
