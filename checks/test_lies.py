"""A lie of each kind, told in a copy of the book, is found: the checks can fail."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill

LIES = {
    "a changed line in an excerpt": (
        "test_excerpt",
        ("02_cors/README.md", "# Always, or a cache", "# Sometimes, or a cache"),
        r"02_cors/README.md:\d+: not in cors.py(.|\n)*-.*# Sometimes",
    ),
    "code that is no excerpt": (
        "test_every_block",
        ("01_static_files/README.md", "```python uploads.py", "```python"),
        r"01_static_files/README.md:\d+: names no file",
    ),
    "a wrong status in a transcript": (
        "test_transcript and 03",
        ("03_error_codes/README.md", "HTTP/1.1 405 METHOD", "HTTP/1.1 404 METHOD"),
        r"03_error_codes/README.md:\d+: 'HTTP/1.1 404 METHOD(.|\n)*true is 'HTTP/1.1 405 METHOD",
    ),
    "a renamed test": (
        "test_every_trap",
        ("01_static_files/tests/test_uploads.py", "test_trap_date_is", "test_trap_date_was"),
        r"01_static_files/README.md:\d+: .*test_trap_date_is_sent_twice",
    ),
    "a carried-over file that differs": (
        "test_table_of_changes",
        ("03_error_codes/cors.py", '"600"', '"6000"'),
        r"03_error_codes/README.md:\d+: says that cors.py is carried over; it is changed",
    ),
    "a heading of its own": (
        "test_headings",
        ("02_cors/README.md", "## Traps", "## Pitfalls"),
        r"02_cors/README.md:\d+: says 'Pitfalls', true is 'Traps'",
    ),
    "a code that the catalogue has otherwise": (
        "test_tables_of_codes",
        ("03_error_codes/README.md", "| 1002 | unimplemented_error | 400", "| 1002 | todo | 400"),
        r"03_error_codes/README.md:\d+: true is \[1002",
    ),
    "a dead link": (
        "test_every_link",
        ("01_static_files/README.md", "(../02_cors/README.md)", "(../02_kors/README.md)"),
        r"01_static_files/README.md:\d+: there is no ../02_kors",
    ),
    "a make command that is not there": (
        "test_every_make",
        ("README.md", "`make test`", "`make tests`"),
        r"README.md:\d+: there is no make tests",
    ),
    "a version that is not the lock's": (
        "test_every_version",
        ("README.md", "Flask 3.1.3", "Flask 3.1.2"),
        r"README.md:\d+: says Flask 3.1.2; the lock has",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_lie_is_found(lie: str, clone: Path) -> None:
    check, (file, truth, lie_told), message = LIES[lie]
    text = (clone / file).read_text(encoding="utf-8")
    assert truth in text
    (clone / file).write_text(text.replace(truth, lie_told, 1), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", check]
    done = subprocess.run(
        [*command, "test_text.py"],
        cwd=clone / "checks",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert re.search(message, done.stdout), done.stdout
