"""Take the fix of each trap out (traps/), and see its test fail: no story for nothing."""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from book import ROOT, traps
from conftest import copy_of_the_book, side_by_side

# The list of the checks comes first: without their fixes they wait longest.
PATHS = sorted(ROOT.glob("checks/traps/*"), reverse=True)
LISTS = [tomllib.loads(path.read_text(encoding="utf-8")) for path in PATHS]
WITHOUT_FIX = {name: entry for entries in LISTS for name, entry in entries.items()}
TRAPS = {name.removeprefix("test_trap_"): path for name, path in traps().items()}


def test_every_trap_is_in_one_list() -> None:
    listed = [name for entries in LISTS for name in entries]
    assert len(listed) == len(set(listed))
    assert TRAPS.keys() - set(listed) == set(), "not in checks/traps/"
    assert set(listed) - TRAPS.keys() == set(), "has no test"


def app_of(name: str) -> Path:
    """Return the folder that a trap's test runs in, and its file is in; relative to ROOT."""
    folder = TRAPS[name].parent
    return folder.parent if folder.name == "tests" else folder


@pytest.mark.parametrize("name", WITHOUT_FIX)
def test_the_fix_of_a_trap_stands_once_in_its_file(name: str) -> None:
    file, fix, _ = WITHOUT_FIX[name].values()
    path = ROOT / app_of(name) / file
    assert path.read_text(encoding="utf-8").count(fix) == 1, f"{path}: {fix}"


@pytest.fixture(scope="module")
def said(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Any, Future[Any]]]:
    """What each trap's test says in a copy of the book without its fix."""
    folders = tmp_path_factory.mktemp("traps")

    def without_fix(name: str) -> str:
        folder = Path(tempfile.mkdtemp(dir=folders))
        copy = copy_of_the_book(folder)
        tests, app = TRAPS[name], app_of(name)
        file, fix, wrong = WITHOUT_FIX[name].values()
        path = copy / app / file
        source = path.read_text(encoding="utf-8")
        path.write_text(source.replace(fix, wrong), encoding="utf-8")
        modules = ROOT / "02_cors/frontend/node_modules"
        if modules.exists():
            (copy / "02_cors/frontend/node_modules").symlink_to(modules)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-rs", "-p", "no:cacheprovider"]
        command += [f"--basetemp={folder / 'tmp'}", "-k", f"test_trap_{name}"]
        command.append(str(tests.relative_to(app)))
        done = subprocess.run(command, cwd=copy / app, capture_output=True, text=True, timeout=300)
        return done.stdout + done.stderr

    yield from side_by_side(request, "name", without_fix, at_once=8)


@pytest.mark.drill
@pytest.mark.parametrize("name", WITHOUT_FIX)
def test_without_its_fix_the_trap_is_open(name: str, said: dict[str, Future[str]]) -> None:
    text = said[name].result()
    if reason := re.search(r"SKIPPED .*: there is no .*", text):
        pytest.skip(reason[0])
    assert "ChildProcessError" not in text and "REQUIRE_BROWSER" not in text, text
    assert "SyntaxError" not in text, text
    failed = re.search(r"\d+ (failed|error)|cannot import name", text)
    assert failed, f"{TRAPS[name]}: test_trap_{name} passes with {WITHOUT_FIX[name]['wrong']!r}"
