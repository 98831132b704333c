"""Do the exercises of the READMEs, and compare what happens with their answers."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from book import NOT_OURS, STEPS
from pages import ONE_TECHNIQUE, Part, find, parts

pytestmark = pytest.mark.drill

EXERCISES = [
    part
    for app in [*ONE_TECHNIQUE, *STEPS]
    for part in parts(app / "README.md", "h3")
    if part.section == "Exercises"
]
BUTTONS = Path(__file__).with_name("buttons.py")
ENV = {name: value for name, value in os.environ.items() if not name.startswith("FLASK_")}


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True, timeout=300)


@cache
def shown_by_buttons(folder: Path) -> dict[str, Any]:
    """Return what each button of the app in *folder* shows; nothing if the app doesn't start."""
    done = python(folder, str(BUTTONS))
    return dict(json.loads(done.stdout)) if done.returncode == 0 else {}


def failing_tests(folder: Path) -> set[str]:
    """Return the names of the test functions that fail in *folder*, without their parameters."""
    done = python(folder, "-m", "pytest", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider")
    assert done.returncode in (0, 1), f"pytest cannot run the tests:\n{done.stdout}{done.stderr}"
    return set(re.findall(r"^(?:FAILED|ERROR) .*?::(test_\w+)", done.stdout, re.MULTILINE))


def do(exercise: Part, folder: Path) -> None:
    """Take the lines of the first block out, or put those of the second one in their place."""
    end = exercise.line + exercise.lines.index("<details><summary>Answer</summary>")
    out, *rest = [block for block in exercise.blocks() if block.line <= end]
    assert out.file, f"{out}: names no file"
    assert len(rest) <= 1 and not any(block.file for block in rest), f"{exercise}: too many blocks"
    path = folder / out.file
    source = path.read_text(encoding="utf-8").splitlines()
    stop = find(out.text, source, 0)
    assert stop, f"{out}: not in {out.file}"
    start = stop - len(out.text.strip("\n").splitlines())
    assert not find(out.text, source, start + 1), f"{out}: more than once in {out.file}"

    indentation = re.match(" *", source[start])
    assert indentation
    instead = textwrap.dedent(rest[0].text).splitlines() if rest else []
    source[start:stop] = [f"{indentation[0]}{line}" if line else "" for line in instead]
    path.write_text("\n".join([*source, ""]), encoding="utf-8")


def answer_to(exercise: Part) -> str:
    text = "\n".join(exercise.lines)
    found = re.findall("<details><summary>Answer</summary>\n(.*?)</details>", text, re.DOTALL)
    assert len(found) == 1, f"{exercise}: has no answer"
    return " ".join(found[0].split())


@pytest.mark.parametrize("chapter", ONE_TECHNIQUE, ids=lambda chapter: chapter.name)
def test_a_chapter_has_two_or_three_exercises(chapter: Path) -> None:
    own = [part for part in EXERCISES if part.page.parent == chapter]
    assert 2 <= len(own) <= 3, f"{chapter.name}/README.md: has {len(own)} exercises"


@pytest.mark.parametrize("exercise", EXERCISES, ids=str)
def test_the_answer_is_what_happens(exercise: Part, tmp_path: Path) -> None:
    answer = answer_to(exercise)
    app = exercise.page.parent
    folder = tmp_path / app.name
    shutil.copytree(app, folder, ignore=shutil.ignore_patterns(*NOT_OURS))
    do(exercise, folder)

    if app not in STEPS:  # the buttons of a step aren't experiments
        before, after = shown_by_buttons(app), shown_by_buttons(folder)
        assert before, f"{app.name}: the page has no buttons"
        changed = {title for title in before if before[title] != after.get(title)}
        named = set(re.findall('"([^"]+)"', answer)) & set(before)
        assert named == changed, f"{exercise}: the buttons that change"

    failing = failing_tests(folder)
    named = set(re.findall(r"`(test_\w+)`", answer))
    assert named == failing, f"{exercise}: the tests that fail"
