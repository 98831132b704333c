"""What a maintainer wants to know: has anybody found a vulnerability in what the locks name?"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from book import ROOT

LOCKS = sorted(ROOT.glob("requirements*.txt"))


def known_vulnerabilities(report: dict[str, Any]) -> list[str]:
    """Return what pip-audit has found; it's skipped where it could ask about no package at all."""
    packages = report["dependencies"]
    if all("skip_reason" in package for package in packages):
        pytest.skip(f"PyPI's advisories can't be reached: {packages[0]['skip_reason']}")
    return [
        f"{package['name']} {package['version']}: {vulnerability['id']}"
        for package in packages
        for vulnerability in package.get("vulns", [])
    ]


@pytest.mark.drill
def test_nobody_knows_a_vulnerability_in_what_the_locks_name(tmp_path: Path) -> None:
    # Not in the locks: it needs twenty packages, a pip among them.
    python = str(tmp_path / "bin/python")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path)], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "pip-audit"]
    if subprocess.run(install, stdout=subprocess.DEVNULL).returncode:
        pytest.skip("pip-audit can't be installed: is there a network?")
    audit = [python, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
    audit += [option for lock in LOCKS for option in ("-r", str(lock))]
    done = subprocess.run(audit, capture_output=True, text=True)
    if "ConnectionError" in done.stderr:
        pytest.skip(f"PyPI's advisories can't be reached: {done.stderr.splitlines()[-1]}")
    assert known_vulnerabilities(json.loads(done.stdout)) == []


def test_a_vulnerability_is_told() -> None:
    found = {"name": "jinja2", "version": "3.1.5", "vulns": [{"id": "CVE-2025-27516"}]}
    report = {"dependencies": [{"name": "flask", "version": "3.1.3", "vulns": []}, found]}
    assert known_vulnerabilities(report) == ["jinja2 3.1.5: CVE-2025-27516"]


@pytest.mark.drill
def test_make_fix_carries_formats_and_reruns(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    module = "exceptions.py"
    original = clone / "04_http_exception_subclass" / module
    source = original.read_text(encoding="utf-8")
    original.write_text(f"{source}\n\nNEW = {{  'one':1}}\n", encoding="utf-8")
    page = clone / "03_error_codes/README.md"
    transcripts = page.read_text(encoding="utf-8")
    wrong = transcripts.replace('{"msg": "not_found", "r": 1003}', '{"msg": "gone", "r": 1}')
    assert wrong != transcripts
    page.write_text(wrong, encoding="utf-8")

    done = subprocess.run(["make", "fix"], cwd=clone, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stderr
    assert original.read_text(encoding="utf-8") == f'{source}\n\nNEW = {{"one": 1}}\n'
    for copy in clone.glob(f"0[56]_*/{module}"):
        assert copy.read_bytes() == original.read_bytes()
    assert '"gone"' not in page.read_text(encoding="utf-8")
    assert "make test says what is left to do by hand" in done.stdout
