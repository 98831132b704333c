"""What a maintainer wants to know: do the locks have a vulnerability, and does ``make fix`` fix?"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from book import ROOT

pytestmark = pytest.mark.drill


def test_nobody_knows_a_vulnerability_in_what_the_locks_name(tmp_path: Path) -> None:
    # Not in the locks: it needs twenty packages, a pip among them.
    python = str(tmp_path / "bin/python")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path)], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "pip-audit"]
    if subprocess.run(install).returncode:
        pytest.skip("pip-audit can't be installed: is there a network?")
    audit = [python, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
    audit += [f"--requirement={lock}" for lock in ROOT.glob("requirements*.txt")]
    done = subprocess.run(audit, capture_output=True, text=True)
    if "ConnectionError" in done.stderr:
        pytest.skip(f"PyPI's advisories can't be reached: {done.stderr.splitlines()[-1]}")
    packages = json.loads(done.stdout)["dependencies"]
    if all("skip_reason" in package for package in packages):
        pytest.skip(f"PyPI's advisories can't be reached: {packages[0]['skip_reason']}")
    assert done.returncode == 0, [package for package in packages if package.get("vulns")]


def test_an_edit_of_a_copy_is_not_lost(repository: Path) -> None:
    copy = repository / "05_catch_all/exceptions.py"
    copy.write_text(f"{copy.read_text(encoding='utf-8')}# mine\n", encoding="utf-8")
    carry = [sys.executable, "checks/carry.py"]
    done = subprocess.run(carry, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 1
    assert "05_catch_all/exceptions.py is a copy, and edited" in done.stderr
    assert copy.read_text(encoding="utf-8").endswith("# mine\n")


def test_make_fix_carries_formats_and_reruns(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    original = clone / "04_http_exception_subclass/exceptions.py"
    source = original.read_text(encoding="utf-8")
    original.write_text(f"{source}\n\nNEW = {{  'one':1}}\n", encoding="utf-8")
    page = clone / "03_error_codes/README.md"
    right = page.read_text(encoding="utf-8")
    wrong = right.replace('{"msg": "not_found", "r": 1003}', '{"msg": "gone", "r": 1}')
    assert wrong != right
    page.write_text(wrong, encoding="utf-8")

    said = subprocess.check_output(["make", "fix"], cwd=clone, text=True, timeout=600)

    assert original.read_text(encoding="utf-8") == f'{source}\n\nNEW = {{"one": 1}}\n'
    for copy in clone.glob("0[56]_*/exceptions.py"):
        assert copy.read_bytes() == original.read_bytes()
    assert '"gone"' not in page.read_text(encoding="utf-8")
    assert "make test says what is left to do by hand" in said
