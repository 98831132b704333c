"""A lie of each kind, told in a copy of the book, is found: the checks can fail."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill

FOURTH = "04_http_exception_subclass"
SIXTH = "06_login_context"
LIES = {
    "a changed line in an excerpt": (
        "test_excerpt",
        ("02_cors/README.md", 'Allow-Origin"] = origin', 'Allow-Origin"] = allowed'),
        r"02_cors/README.md:\d+: not in cors.py(.|\n)*-.*= allowed",
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
        ("01_static_files/tests/test_traps.py", "test_trap_date_is", "test_trap_date_was"),
        r"01_static_files/traps.md:\d+: .*: no test_trap_date_is_sent_twice in tests/test_traps.py",
    ),
    "a trap that no page tells": (
        "test_every_trap",
        (
            "05_catch_all/tests/test_traps.py",
            "def debugger_opens(",
            "def test_trap_x(): ...\ndef y(",
        ),
        r"05_catch_all: no page tells of {'test_trap_x'}",
    ),
    "a mark of a trap that leads nowhere": (
        "test_every_mark",
        ("03_error_codes/article.py", "# Trap: two handlers, two", "# Trap: two handlers, three"),
        r"03_error_codes/article.py:\d+: no heading for 'two handlers, three",
    ),
    "a step with another number": (
        "test_what_goes_wrong",
        ("02_cors/README.md", "### 2. ", "### 7. "),
        r"02_cors/README.md:\d+: 7. .*: is number 2",
    ),
    "a line of the technique that is not shown": (
        "test_every_line",
        ("01_static_files/README.md", "digest = hashlib.file_digest", "digest = file_digest"),
        r"01_static_files/README.md: does not show(.|\n)*uploads.py:\d+: digest = hashlib",
    ),
    "an article that is not shown": (
        "test_the_articles_code",
        ("05_catch_all/README.md", "```python article.py", "```python app.py"),
        r"05_catch_all/README.md: of article.py, it shows \[.*\] lines",
    ),
    "too many words": (
        "test_a_readme",
        ("01_static_files/README.md", "## Next\n\n", f"## Next\n\n{600 * 'word '}"),
        r"01_static_files/README.md: has \d+ words",
    ),
    "an exercise that changes no button": (
        "test_the_answer and 02_cors",
        ("02_cors/README.md", '"GET, POST, PUT, DELETE",', '"GET, POST, PUT, DELETE, PATCH",'),
        r"02_cors/README.md:\d+: .*: the buttons that change",
    ),
    "an answer that names another test": (
        "test_the_answer and 03_error_codes",
        ("03_error_codes/README.md", "`test_headers_of_an_http_error_are_kept`", "`test_headers`"),
        r"03_error_codes/README.md:\d+: .*: the tests that fail",
    ),
    "a changed file that the table leaves out": (
        "test_table_of_changes",
        ("03_error_codes/cors.py", '"600"', '"6000"'),
        r"03_error_codes/README.md: says nothing of cors.py, which is changed",
    ),
    "a file that is something else than the table says": (
        "test_table_of_changes",
        ("03_error_codes/README.md", "| `errors.py` | new", "| `errors.py` | changed"),
        r"03_error_codes/README.md:\d+: says that errors.py is changed; it is new",
    ),
    "a heading of its own": (
        "test_headings",
        ("02_cors/README.md", "## What goes wrong", "## Pitfalls"),
        r"02_cors/README.md:\d+: Pitfalls: the heading here is 'What goes wrong'",
    ),
    "a code that the catalogue has otherwise": (
        "test_tables_of_codes",
        (f"{FOURTH}/README.md", "| 1002 | unimplemented_error | 400", "| 1002 | todo | 400"),
        rf"{FOURTH}/README.md:\d+: true is \[1002",
    ),
    "a package that lacks a dot": (
        "in_a_package and 04",
        (
            "04_http_exception_subclass/README.md",
            "`from .exceptions import",
            "`from exceptions import",
        ),
        r"04_http_exception_subclass/README.md:\d+: does not say that \['exceptions'\] get a dot",
    ),
    "a second app of the section whose import lacks a dot": (
        "in_a_package and 06",
        (f"{SIXTH}/README.md", "from .exceptions import ...", "from exceptions import ..."),
        rf"{SIXTH}/README.md:\d+: does not say that \['exceptions'\] get a dot",
    ),
    "a file that a step shares and has otherwise": (
        "test_what_a_step",
        (f"{SIXTH}/steps/2_shared_login/context.py", "KEY = ", "KEY: str = "),
        rf"{SIXTH}/steps/2_shared_login/context.py is not {SIXTH}/context.py",
    ),
    "a heading that no step has": (
        "test_headings_of_a_step",
        (f"{SIXTH}/steps/1_current_bot/README.md", "## What goes wrong", "## Pitfalls"),
        rf"{SIXTH}/steps/1_current_bot/README.md:\d+: Pitfalls: .* are the headings",
    ),
    "a trap of a step that no page tells": (
        "test_every_trap",
        (
            f"{SIXTH}/steps/1_current_bot/tests/test_current_bot.py",
            "\n\n\ndef ",
            "\n\n\ndef test_trap_x(): ...\n\n\ndef ",
        ),
        rf"{SIXTH}: no page tells of {{'test_trap_x'}}",
    ),
    "a step that is not there": (
        "test_every_make",
        (f"{SIXTH}/README.md", "make diff-06 STEP=2", "make diff-06 STEP=7"),
        rf"{SIXTH}/README.md:\d+: there is no step 7",
    ),
    "a clause without a subject": (
        "test_no_clause",
        ("01_static_files/README.md", "## Next\n\n", "## Next\n\nWho reads on gets more.\n\n"),
        r"01_static_files/README.md: has a bare who: \['Who reads on gets more.'\]",
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
        [*command, "test_text.py", "test_exercises.py", "test_use.py"],
        cwd=clone / "checks",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert re.search(message, done.stdout), done.stdout
