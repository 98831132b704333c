"""Run the tests of the folders named, each in a process of its own, and add them up."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(folder: str) -> Counter[str]:
    """Run pytest in *folder*; return how many tests passed, failed and were skipped."""
    print(f"\n{folder}", flush=True)
    # What the reader's shell sets is for running a chapter, not for its tests.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FLASK_", "PYTHONPATH"))}
    env["NO_PROXY"] = env["no_proxy"] = "127.0.0.1,localhost"
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-rs", f"--junit-xml={report}"]
        status = subprocess.run(command, cwd=ROOT / folder, env=env).returncode
        suites = list(ET.parse(report).iter("testsuite")) if report.exists() else []
    count: Counter[str] = Counter()
    for suite in suites:
        count["failed"] += int(suite.attrib["failures"]) + int(suite.attrib["errors"])
        count["skipped"] += int(suite.attrib["skipped"])
        count["passed"] += int(suite.attrib["tests"])
    count["passed"] -= count["failed"] + count["skipped"]
    if status and not count["failed"]:  # no tests at all, or pytest itself broke off
        count["failed"] = 1
    return count


if __name__ == "__main__":
    total = sum((run(folder) for folder in sys.argv[1:]), Counter())
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"\ntotal: {total['passed']} passed, {total['failed']} failed{skipped}")
    sys.exit(1 if total["failed"] else 0)
