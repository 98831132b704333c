"""Take the fix of each trap out (traps.toml), and see its test fail: no story for nothing."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from book import ROOT, traps

WITHOUT_FIX = tomllib.loads(Path(__file__).with_name("traps.toml").read_text(encoding="utf-8"))


TRAPS = {name.removeprefix("test_trap_"): path for name, path in traps().items()}


def test_every_trap_is_in_the_list() -> None:
    assert sorted(TRAPS) == sorted(WITHOUT_FIX)


@pytest.mark.parametrize("name", WITHOUT_FIX)
def test_without_its_fix_the_trap_is_open(name: str, clone: Path) -> None:
    folder, tests = TRAPS[name].parts[0], Path(*TRAPS[name].parts[1:])
    file, fix, wrong = WITHOUT_FIX[name].values()
    path = clone / folder / file
    source = path.read_text(encoding="utf-8")
    assert source.count(fix) == 1, f"{folder}/{file}: not once there: {fix}"
    path.write_text(source.replace(fix, wrong), encoding="utf-8")
    modules = ROOT / "02_cors/frontend/node_modules"
    if modules.exists():
        (clone / "02_cors/frontend/node_modules").symlink_to(modules)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rs", "-p", "no:cacheprovider"]
    command += [str(tests), "-k", f"test_trap_{name}"]
    done = subprocess.run(command, cwd=clone / folder, capture_output=True, text=True, timeout=300)
    said = done.stdout + done.stderr
    if reason := re.search(r"SKIPPED .*: there is no .*", said):
        pytest.skip(reason[0])
    assert "ChildProcessError" not in said and "REQUIRE_BROWSER" not in said, said
    assert "SyntaxError" not in said, said
    failed = re.search(r"\d+ (failed|error)|cannot import name", said)
    assert failed, f"{TRAPS[name]}: test_trap_{name} passes with {wrong!r}"
