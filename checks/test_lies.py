"""Lies of each kind, all told in one copy of the book, are found: the checks can fail."""

import re
import shutil
import subprocess
import sys

import pytest

from book import NOT_OURS, ROOT

pytestmark = pytest.mark.drill

# What is run in the copy. The chapters that aren't lied about in that way are left out.
WHERE = [
    "test_text.py",
    "test_figures.py",
    "test_exercises.py",
    "test_use.py",
    "test_neighbours.py",
]
SELECTED = """
    test_text and not drill and not transcript_is or transcript_is and 03_error or test_figures or
    test_exercises and 03_error or setting or every_row or 04-a or 03-Flask-RESTful or
    05-Flask-Login or says_where
"""
CUT = "```python errors.py\n"
BOTH = "curl http://127.0.0.1:8103/j/boom http://127.0.0.1:8203/j/boom"
SIXTH = "06_login_context"
FIRST = f"{SIXTH}/steps/1_current_bot"
# By kind: a file, what it says, what is said instead; what the checks have to say of it.
LIES = {
    "a changed line in an excerpt": (
        ("02_cors/README.md", "return kept + permission", "return permission + kept"),
        r"02_cors/README.md:\d+: not in cors.py(.|\n)*-.*permission \+ kept",
    ),
    "code that is no excerpt": (
        ("01_static_files/README.md", "```python uploads.py", "```python"),
        r"01_static_files/README.md:\d+: names no file",
    ),
    "a function without its first line": (
        ("03_error_codes/README.md", "```python errors.py\ndef is_api_request() -> bool:\n", CUT),
        r"03_error_codes/README.md:\d+: begins or ends in the middle of something in errors.py",
    ),
    "a command about a file that is not there": (
        ("02_cors/README.md", "pytest tests/exercise.py", "pytest tests/exercises.py"),
        r"02_cors/README.md:\d+: there is no tests/exercises.py",
    ),
    "a wrong status in a transcript": (
        ("03_error_codes/README.md", "HTTP/1.1 405 METHOD", "HTTP/1.1 404 METHOD"),
        r"03_error_codes/README.md:\d+: says(.|\n)*404 METHOD(.|\n)*true is(.|\n)*405 METHOD",
    ),
    "another label": (
        ("01_static_files/README.md", "✓ **Ours:**", "✓ **This chapter:**"),
        r"01_static_files/README.md:\d+: the label is .*'Ours'\], not .*'This chapter'",
    ),
    "a verdict without a transcript": (
        ("03_error_codes/README.md", "✓ **Ours:** 1003", "✓ **Ours:** it works.\n\n1003"),
        r"03_error_codes/README.md:\d+: is no verdict on the transcript below: .*it works",
    ),
    "a block that asks both versions": (
        ("03_error_codes/README.md", "curl http://127.0.0.1:8103/j/boom", BOTH),
        r"03_error_codes/README.md:\d+: is no card; one block has requests to one version",
    ),
    "another chapter's port": (
        ("02_cors/README.md", "http://127.0.0.1:8102/", "http://127.0.0.1:8101/"),
        r"02_cors/README.md:\d+: says port 8101",
    ),
    "a renamed test": (
        ("03_error_codes/tests/test_traps.py", "test_trap_str_of_the", "test_trap_repr_of_the"),
        r"03_error_codes/traps.md:\d+: .*: no test_trap_str_of_the_error_is_a_tuple in tests",
    ),
    "a trap that no page tells": (
        ("05_catch_all/tests/test_traps.py", "\n\n\ndef ", "\n\n\ndef test_trap_x(): ...\ndef "),
        r"05_catch_all: no page tells of {'test_trap_x'}",
    ),
    "a trap of a step that no page tells": (
        (f"{FIRST}/tests/test_current_bot.py", "\n\n\ndef ", "\n\n\ndef test_trap_y(): ...\ndef "),
        rf"{SIXTH}: no page tells of {{.*'test_trap_y'",
    ),
    "a story that does not end": (
        ("01_static_files/traps.md", "\n\nWrong:", 16 * "\nand" + "\n\nWrong:"),
        r"01_static_files/traps.md:\d+: .*: more than fifteen lines",
    ),
    "a story without what goes wrong": (
        ("02_cors/traps.md", "\n\nWrong:", "\n\nCode:"),
        r"02_cors/traps.md:\d+: .*: does not say what code it is",
    ),
    "a story that names no test": (
        ("04_http_exception_subclass/traps.md", "[`test_trap_", "[`a_trap_"),
        r"04_http_exception_subclass/traps.md:\d+: .*: names no test",
    ),
    "a mark of a trap that leads nowhere": (
        ("03_error_codes/article.py", "# Trap: two handlers, two", "# Trap: two handlers, three"),
        r"03_error_codes/article.py:\d+: no heading for 'two handlers, three",
    ),
    "a step with another number": (
        ("02_cors/README.md", "### 2. ", "### 7. "),
        r"02_cors/README.md:\d+: 7. .*: is number 2",
    ),
    "a line of the technique that is not shown": (
        ("03_error_codes/README.md", "response.status_code = status", "response.status = status"),
        r"03_error_codes/README.md: does not show errors.py:\d+: response.status_code",
    ),
    "an article that is not shown": (
        ("05_catch_all/README.md", "```python article.py", "```python app.py"),
        r"05_catch_all/README.md: shows nothing of article.py",
    ),
    "a chapter that grows": (
        ("03_error_codes/app.py", "USERS = {", 50 * "x = 1\n" + "USERS = {"),
        r"03_error_codes: .*'app.py': \d\d",
    ),
    "too many words": (
        ("01_static_files/README.md", "## Next\n\n", f"## Next\n\n{600 * 'word '}"),
        r"01_static_files/README.md: has \d+ words",
    ),
    "a figure that nobody measured": (
        ("01_static_files/README.md", "## Next\n\n", "## Next\n\nIt takes 0.34 of the time.\n\n"),
        r"README.md: where does '0.34 of' come from",
    ),
    "an exercise that changes other steps": (
        ("03_error_codes/README.md", "Those of steps 1 and 2", "Those of steps 1 and 3"),
        r"03_error_codes/README.md:\d+: .*: the steps that change",
    ),
    "an answer that names another test": (
        ("03_error_codes/README.md", "`test_headers_of_an_http_error_are_kept`", "`test_headers`"),
        r"03_error_codes/README.md:\d+: .*: the tests that fail",
    ),
    "an answer that doesn't make its test pass": (
        ("03_error_codes/README.md", "    429: too_many_requests,\n", ""),
        r"03_error_codes/README.md:\d+: .*: with the answer, these fail still",
    ),
    "a setting that no file has": (
        ("01_static_files/README.md", "| `UPLOAD_LIMIT` |", "| `UPLOAD_LIMITS` |"),
        r"01_static_files/README.md:\d+: UPLOAD_LIMITS is in no file",
    ),
    "a heading of its own": (
        ("04_http_exception_subclass/README.md", "## What goes wrong", "## Pitfalls"),
        r"04_http_exception_subclass/README.md: the headings are ",
    ),
    "headings in another order": (
        (f"{FIRST}/README.md", "## Next", "## Run it"),
        r"1_current_bot/README.md: \['Run it', .*'Run it'\]",
    ),
    "a step with another title": (
        (f"{FIRST}/README.md", "# 06, step 1: ", "# 06, step 2: "),
        r"1_current_bot/README.md:1: .*: begins with '06, step 1: '",
    ),
    "a package that lacks a dot": (
        (
            "04_http_exception_subclass/README.md",
            "`from .exceptions import",
            "`from exceptions import",
        ),
        r"04_http_exception_subclass/README.md: .* doesn't say that \['exceptions'\] get a dot",
    ),
    "code for an app of another kind that doesn't help it": (
        ("03_error_codes/README.md", "raise e  # Flask asks our handler then", "pass"),
        r"GET /api/raises: \['404', .*\] isn't so: 500",
    ),
    "a difference that no row tells": (
        ("checks/neighbours/login.toml", "GET /account 302 -> /login\n", ""),
        r"AssertionError: GET /account: 302",
    ),
    "a row that is gone": (
        ("02_cors/README.md", "| CSRFProtect |", "| Flask-WTF |"),
        r"02_cors/README.md has no rows for \['CSRFProtect'\]",
    ),
    "a row that nobody tries": (
        (
            "01_static_files/README.md",
            "| CSRFProtect |",
            "| CSRFProtect, a JSON provider of its own |",
        ),
        r"01_static_files: no toml has a test of the rows \['a JSON provider of its own'\]",
    ),
    "a module from another chapter": (
        ("02_cors/cors.py", 'at a time", chapter 02', 'at a time", chapter 01'),
        r"02_cors/cors.py: it's from chapter 02",
    ),
    "a copy that isn't the original any more": (
        ("05_catch_all/exceptions.py", "error_code = 999", "error_code = 998"),
        r"05_catch_all/exceptions.py is not 04_http_exception_subclass/exceptions.py",
    ),
    "a file that a step shares and has otherwise": (
        (f"{SIXTH}/steps/2_shared_login/context.py", "from flask", "# changed\nfrom flask"),
        rf"{SIXTH}/steps/2_shared_login/context.py is not {SIXTH}/context.py",
    ),
    "a step that is not there": (
        (f"{FIRST}/README.md", "make run-06 STEP=1", "make run-06 STEP=99"),
        r"README.md:\d+: there is no step 99",
    ),
    "a dead link": (
        ("01_static_files/README.md", "(../02_cors/README.md)", "(../02_kors/README.md)"),
        r"01_static_files/README.md:\d+: there is no ../02_kors",
    ),
    "a link to a heading that is not there": (
        ("README.md", "(#", "(#not-"),
        r"README.md:\d+:  has no heading not-",
    ),
    "a make command that is not there": (
        ("README.md", "`make test`", "`make tests`"),
        r"README.md:\d+: there is no make tests",
    ),
    "a version that is not the lock's": (
        ("README.md", "Flask 3.1.3", "Flask 3.1.2"),
        r"README.md:\d+: says Flask 3.1.2; the lock has",
    ),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the checks say of a copy of the book with all the lies."""
    copy = tmp_path_factory.mktemp("lies") / "a b 中文"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", *NOT_OURS))
    for (file, truth, lie), _ in LIES.values():
        text = (copy / file).read_text(encoding="utf-8")
        assert truth in text, f"{file} doesn't say {truth!r}"
        (copy / file).write_text(text.replace(truth, lie, 1), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    done = subprocess.run(
        [*command, *WHERE, "-k", " ".join(SELECTED.split())],
        cwd=copy / "checks",
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1, done.stdout
    return done.stdout


@pytest.mark.parametrize("lie", LIES)
def test_lie_is_found(lie: str, said: str) -> None:
    message = LIES[lie][1]
    assert re.search(message, said), said
