"""A lie of each kind, told in a copy of the book, is found: the checks can fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.drill

CUT = "```python errors.py\n"
BOTH = "curl http://127.0.0.1:8103/j/boom http://127.0.0.1:8203/j/boom"
SIXTH = "06_login_context"
LIES = {
    "a changed line in an excerpt": (
        "test_excerpt",
        ("02_cors/README.md", "return kept + permission", "return permission + kept"),
        r"02_cors/README.md:\d+: not in cors.py(.|\n)*-.*permission \+ kept",
    ),
    "code that is no excerpt": (
        "test_every_block",
        ("01_static_files/README.md", "```python uploads.py", "```python"),
        r"01_static_files/README.md:\d+: names no file",
    ),
    "a function without its first line": (
        "test_a_function_is_shown",
        ("03_error_codes/README.md", "```python errors.py\ndef is_api_request() -> bool:\n", CUT),
        r"03_error_codes/README.md:\d+: begins or ends in the middle of something in errors.py",
    ),
    "a wrong status in a transcript": (
        "test_transcript and 03",
        ("03_error_codes/README.md", "HTTP/1.1 405 METHOD", "HTTP/1.1 404 METHOD"),
        r"03_error_codes/README.md:\d+: says(.|\n)*404 METHOD(.|\n)*true is(.|\n)*405 METHOD",
    ),
    "another label": (
        "test_a_pair",
        ("03_error_codes/README.md", "✓ **Ours:** 1003", "✓ **This chapter:** 1003"),
        r"03_error_codes/README.md:\d+: the label of this block is Ours",
    ),
    "a verdict without a transcript": (
        "test_a_pair",
        ("03_error_codes/README.md", "✓ **Ours:** 1003", "✓ **Ours:** it works.\n\n1003"),
        r"03_error_codes/README.md:\d+: no console block comes after it",
    ),
    "a block that asks both versions": (
        "test_a_pair",
        ("03_error_codes/README.md", "curl http://127.0.0.1:8103/j/boom", BOTH),
        r"03_error_codes/README.md:\d+: one block asks one version",
    ),
    "a renamed test": (
        "test_every_trap",
        ("03_error_codes/tests/test_traps.py", "test_trap_str_of_the", "test_trap_repr_of_the"),
        r"03_error_codes/traps.md:\d+: .*: no test_trap_str_of_the_error_is_a_tuple in tests",
    ),
    "a trap that no page tells": (
        "test_every_trap",
        ("05_catch_all/tests/test_traps.py", "\n\n\ndef ", "\n\n\ndef test_trap_x(): ...\ndef "),
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
        ("03_error_codes/README.md", "response.status_code = status", "response.status = status"),
        r"03_error_codes/README.md: does not show(.|\n)*errors.py:\d+: response.status_code",
    ),
    "an article that is not shown": (
        "test_the_articles_code",
        ("05_catch_all/README.md", "```python article.py", "```python app.py"),
        r"05_catch_all/README.md: shows nothing of article.py",
    ),
    "a chapter that grows": (
        "test_a_chapter_is_small",
        ("03_error_codes/app.py", "USERS = {", 50 * "x = 1\n" + "USERS = {"),
        r"03_error_codes: .*'app.py': \d\d",
    ),
    "too many words": (
        "test_a_readme",
        ("01_static_files/README.md", "## Next\n\n", f"## Next\n\n{600 * 'word '}"),
        r"01_static_files/README.md: has \d+ words",
    ),
    "an exercise that changes other steps": (
        "test_the_answer and 03_error_codes",
        ("03_error_codes/README.md", "Those of steps 1 and 2", "Those of steps 1 and 3"),
        r"03_error_codes/README.md:\d+: .*: the steps that change",
    ),
    "an answer that names another test": (
        "test_the_answer and 03_error_codes",
        ("03_error_codes/README.md", "`test_headers_of_an_http_error_are_kept`", "`test_headers`"),
        r"03_error_codes/README.md:\d+: .*: the tests that fail",
    ),
    "an answer that doesn't make its test pass": (
        "test_the_answer and 03_error_codes",
        ("03_error_codes/README.md", "    429: too_many_requests,\n", ""),
        r"03_error_codes/README.md:\d+: .*: with the answer, these fail still",
    ),
    "a heading of its own": (
        "test_headings",
        ("02_cors/README.md", "## What goes wrong", "## Pitfalls"),
        r"02_cors/README.md:\d+: Pitfalls: the heading here is 'What goes wrong'",
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
    "a copy that isn't the original any more": (
        "test_a_shared_file",
        ("05_catch_all/exceptions.py", "error_code = 999", "error_code = 998"),
        r"05_catch_all/exceptions.py is not 04_http_exception_subclass/exceptions.py",
    ),
    "a file that a step shares and has otherwise": (
        "test_a_shared_file",
        (f"{SIXTH}/steps/2_shared_login/context.py", "from flask", "# changed\nfrom flask"),
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
        ("README.md", "make run-06 STEP=1", "make run-06 STEP=99"),
        r"README.md:\d+: there is no step 99",
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


def file_of(check: str) -> str:
    """Return the file with the tests that *check* selects."""
    others = {"test_the_answer": "test_exercises.py", "in_a_package": "test_use.py"}
    return next((file for name, file in others.items() if name in check), "test_text.py")


FULL = os.environ.get("FULL") == "1"  # the long form; the short one tells every third lie


@pytest.mark.parametrize("lie", LIES if FULL else list(LIES)[::3])
def test_lie_is_found(lie: str, clone: Path) -> None:
    check, (file, truth, lie_told), message = LIES[lie]
    text = (clone / file).read_text(encoding="utf-8")
    assert truth in text
    (clone / file).write_text(text.replace(truth, lie_told, 1), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", check]
    done = subprocess.run(
        [*command, file_of(check)],
        cwd=clone / "checks",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert re.search(message, done.stdout), done.stdout
