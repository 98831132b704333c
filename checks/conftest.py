"""Real servers of the chapters, a real browser, and copies of the book for the checks."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import book_pages  # noqa: F401 (from here on, the modules of the reader can be imported)
from book import NOT_OURS, ROOT
from servers import answers, free_port, process

BROWSERS = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
]
FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()

Serve = Callable[..., int]


def missing(what: str) -> NoReturn:
    """Skip the test for want of *what*, or fail it where CI says that it must be there."""
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but there is no {what}")
    pytest.skip(f"there is no {what}")


def copy_of_the_book(folder: Path) -> Path:
    """Return a copy without its .venv, in a folder whose name is hard on careless scripts."""
    ignore = shutil.ignore_patterns(".git", ".venv", *NOT_OURS)
    return Path(shutil.copytree(ROOT, folder / "a b 中文", ignore=ignore))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return copy_of_the_book(tmp_path)


@pytest.fixture
def repository(clone: Path) -> Path:
    """A copy of the project as a fresh clone."""
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "The book"]):
        subprocess.run([*git, *arguments], cwd=clone, check=True)
    return clone


def side_by_side(
    request: pytest.FixtureRequest, parameter: str, function: Callable[..., Any], at_once: int
) -> Iterator[dict[Any, Future[Any]]]:
    """Be a fixture: what *function* returns for the *parameter* of each test that uses it.

    This is for what waits more than it works; so many run at once.
    """
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    items = [item for item in items if request.fixturename in item.fixturenames]
    values = [item.callspec.params[parameter] for item in items]
    with ThreadPoolExecutor(at_once) as pool:
        yield {value: pool.submit(function, value) for value in values}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A function that serves a chapter, given settings, and returns its port."""
    with ExitStack() as servers:

        def serve(chapter: str, **settings: str) -> int:
            [folder] = ROOT.glob(f"{chapter}_*")
            port = free_port()
            env = {f"FLASK_{name}": value for name, value in settings.items()}
            env.setdefault("FLASK_UPLOAD_FOLDER", str(tmp_path / "uploads"))
            command = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port)]
            servers.enter_context(process(command, folder, port, env=os.environ | env))
            return port

        yield serve


def npm_ci(folder: Path, *options: str) -> Path:
    """Install what the package.json in *folder* names, if need be; return its node_modules."""
    npm = shutil.which("npm") or missing("npm")
    installed = folder / "node_modules/.package-lock.json"
    with (folder / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another group of drills may be installing as well
        changed = os.fstat(lock.fileno()).st_mtime
        needed = not installed.exists() or installed.stat().st_mtime < changed
        if needed and subprocess.run([npm, "ci", *options], cwd=folder, timeout=300).returncode:
            missing("network for npm ci")
    return installed.parent


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """What checks/package.json names; without its scripts, as one would look for a Java."""
    return npm_ci(ROOT / "checks", "--ignore-scripts")


@pytest.fixture
def vite(tmp_path: Path) -> Iterator[Serve]:
    """A function that starts chapter 02's front end before a Flask port; returns Vite's port."""
    node = shutil.which("node") or missing("node")
    version = subprocess.check_output([node, "--version"], text=True).strip("v\n").split(".")
    major, minor = int(version[0]), int(version[1])
    if (major, minor) < (20, 19) or (21, 0) <= (major, minor) < (22, 12):
        missing("Node 20.19+ or 22.12+")
    folder = ROOT / "02_cors/frontend"
    packages = npm_ci(folder)
    with ExitStack() as servers:

        def vite(flask_port: int, *options: str) -> int:
            port = free_port()
            # In a copy, because two that start in one folder break each other's cache.
            copy = tmp_path / f"vite-{port}"
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("node_modules"))
            (copy / "node_modules").mkdir()
            for package in packages.glob("[!.]*"):
                (copy / "node_modules" / package.name).symlink_to(package)
            command = [node, "node_modules/vite/bin/vite.js", "--port", str(port), *options]
            env = os.environ | {"FLASK_URL": f"http://127.0.0.1:{flask_port}"}
            servers.enter_context(process(command, copy, port, up=answers, env=env))
            return port

        yield vite


@contextmanager
def chromium() -> Iterator[Browser]:
    paths = [path for name in BROWSERS if (path := shutil.which(name))]
    if not paths:
        missing("Chromium or Chrome")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=paths[0], args=FLAGS) as browser,
    ):
        yield browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        context.set_default_timeout(10_000)  # milliseconds
        yield context.new_page()
