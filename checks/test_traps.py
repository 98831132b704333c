"""Take the fix of each trap out (traps.toml), and see its test fail: no story for nothing."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from book import CHAPTERS, NOT_OURS, changes

WITHOUT_FIX = tomllib.loads(Path(__file__).with_name("traps.toml").read_text())


def traps() -> dict[str, tuple[Path, str]]:
    """Return chapter and test file of every trap, by the test's name."""
    found = {}
    for chapter in CHAPTERS:
        for file in changes(chapter)["new"]:
            if file.startswith("tests/"):
                for name in re.findall(r"def test_trap_(\w+)", (chapter / file).read_text()):
                    found[name] = (chapter, file)
    return found


TRAPS = traps()


def test_every_trap_is_in_the_list() -> None:
    assert sorted(TRAPS) == sorted(WITHOUT_FIX)


@pytest.mark.parametrize("name", WITHOUT_FIX)
def test_without_its_fix_the_trap_is_open(name: str, tmp_path: Path) -> None:
    chapter, tests = TRAPS[name]
    file, fix, wrong = WITHOUT_FIX[name].values()
    copy = tmp_path / chapter.name
    shutil.copytree(chapter, copy, ignore=shutil.ignore_patterns(*NOT_OURS, "frontend"))
    source = (copy / file).read_text()
    assert source.count(fix) == 1, f"{chapter.name}/{file}: not once there: {fix}"
    (copy / file).write_text(source.replace(fix, wrong))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, tests, "-k", f"test_trap_{name}"], cwd=copy, capture_output=True, text=True
    )
    failed = re.search(r"\d+ failed|cannot import name", done.stdout + done.stderr)
    assert failed, f"{chapter.name}/{tests}: test_trap_{name} passes with {wrong!r}"
