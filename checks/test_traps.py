"""Take the fix of each trap out (traps/), and see its test fail: no story for nothing."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from book import NOT_OURS, ROOT, traps

LISTS = [
    tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("checks/traps/*"))
]
WITHOUT_FIX = {name: entry for entries in LISTS for name, entry in entries.items()}
TRAPS = {name.removeprefix("test_trap_"): path for name, path in traps().items()}


def test_every_trap_is_in_one_list() -> None:
    listed = [name for entries in LISTS for name in entries]
    assert sorted(TRAPS) == sorted(listed)


def said_without_fix(name: str, folder: Path) -> str:
    """Run the trap's test in a copy of the project without its fix; return what pytest said."""
    tests = TRAPS[name]
    app = tests.parent.parent if tests.parent.name == "tests" else tests.parent
    file, fix, wrong = WITHOUT_FIX[name].values()
    copy = folder / "a b 中文"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", *NOT_OURS))
    path = copy / app / file
    source = path.read_text(encoding="utf-8")
    assert source.count(fix) == 1, f"{app}/{file}: not once there: {fix}"
    path.write_text(source.replace(fix, wrong), encoding="utf-8")
    modules = ROOT / "02_cors/frontend/node_modules"
    if modules.exists():
        (copy / "02_cors/frontend/node_modules").symlink_to(modules)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rs", "-p", "no:cacheprovider"]
    command += [str(tests.relative_to(app)), "-k", f"test_trap_{name}"]
    command += [f"--basetemp={folder / 'tmp'}"]
    where = copy / app
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def said(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[str]]]:
    """What each trap's test says without its fix. They wait more than they work: four at a time."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    selected = [str(item.callspec.params["name"]) for item in items if "said" in item.fixturenames]
    with ThreadPoolExecutor(4) as pool:
        yield {
            name: pool.submit(said_without_fix, name, tmp_path_factory.mktemp("trap"))
            for name in selected
        }


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
