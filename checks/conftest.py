"""Real servers of the chapters and a real browser for the checks."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

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


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the project, without its .venv, in a folder that is hard on careless scripts."""
    folder = tmp_path / "a b 中文"
    not_in_git = shutil.ignore_patterns(".git", ".venv", *NOT_OURS)
    shutil.copytree(ROOT, folder, ignore=not_in_git)
    return folder


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


@pytest.fixture
def vite(tmp_path: Path) -> Iterator[Serve]:
    """A function that starts chapter 02's front end before a Flask port; returns Vite's port."""
    npm, node = (shutil.which(name) or missing(name) for name in ("npm", "node"))
    version = subprocess.check_output([node, "--version"], text=True).strip("v\n").split(".")
    major, minor = int(version[0]), int(version[1])
    if (major, minor) < (20, 19) or (21, 0) <= (major, minor) < (22, 12):
        missing("Node 20.19+ or 22.12+")
    folder = ROOT / "02_cors/frontend"
    installed = folder / "node_modules/.package-lock.json"
    lock = folder / "package-lock.json"
    outdated = not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime
    if outdated and subprocess.run([npm, "ci"], cwd=folder, timeout=300).returncode:
        missing("network for npm ci")
    with ExitStack() as servers:

        def vite(flask_port: int, *options: str) -> int:
            port = free_port()
            # In a copy, because two that start in one folder break each other's cache.
            copy = tmp_path / f"vite-{port}"
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("node_modules"))
            (copy / "node_modules").mkdir()
            for package in (folder / "node_modules").iterdir():
                if not package.name.startswith(".vite"):
                    (copy / "node_modules" / package.name).symlink_to(package)
            command = [node, "node_modules/vite/bin/vite.js", "--port", str(port), *options]
            env = os.environ | {"FLASK_URL": f"http://127.0.0.1:{flask_port}"}
            servers.enter_context(process(command, copy, port, up=answers, env=env))
            return port

        yield vite


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with what package.json names, installed if need be."""
    npm = shutil.which("npm") or missing("npm")
    folder = ROOT / "checks"
    installed = folder / "node_modules/.package-lock.json"
    lock = folder / "package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another group of drills may be installing as well
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            # Without its scripts: the HTML checker's would look for a Java of its own.
            command = [npm, "ci", "--ignore-scripts"]
            if subprocess.run(command, cwd=folder, timeout=300).returncode:
                missing("network for npm ci")
    return folder / "node_modules"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    paths = [path for name in BROWSERS if (path := shutil.which(name))]
    if not paths:
        missing("Chromium or Chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=paths[0], args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        context.set_default_timeout(10_000)  # milliseconds
        yield context.new_page()
