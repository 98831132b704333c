"""Do the exercises of the READMEs, and compare what happens with their answers."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import pytest

import transcripts
from book import NOT_OURS, ONE_TECHNIQUE, STEPS
from pages import Block, Part, find, parts

pytestmark = pytest.mark.drill

FULL = os.environ.get("FULL") == "1"  # the long form: those of the steps, whose tests are slow
EXERCISES = [
    part
    for app in [*ONE_TECHNIQUE, *(STEPS if FULL else STEPS[:1])]
    for part in parts(app / "README.md", "h3")
    if part.section == "Exercises"
]
HIDDEN = "<details><summary>Answer</summary>"
READY = Path("tests/exercise.py")  # the failing test of an exercise that asks for code
ENV = {name: value for name, value in os.environ.items() if not name.startswith("FLASK_")}


def failing_tests(folder: Path, *files: str) -> set[str]:
    """Return the names of the test functions that fail in *folder*, without their parameters."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *files], cwd=folder, env=ENV, capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, 1), f"pytest cannot run the tests:\n{done.stdout}{done.stderr}"
    return set(re.findall(r"^(?:FAILED|ERROR) .*?::(test_\w+)", done.stdout, re.MULTILINE))


def step_of(block: Block) -> str | None:
    """Return ``step 2`` for a block of the second thing that goes wrong, None for any other."""
    for part in parts(block.page, "h3"):
        if part.section == "What goes wrong" and part.holds(block.line):
            return f"step {part.title.partition('.')[0]}"
    return None


@cache
def changed_steps(chapter: Path, folder: Path) -> set[str]:
    """Return the steps of *chapter* with a request that the app in *folder* answers otherwise."""
    asked = [
        (block, step)
        for block in transcripts.consoles(chapter)
        if transcripts.version_of(block) == "81" and (step := step_of(block))
    ]
    try:
        with transcripts.served(folder, {"81"}, chapter) as rerun:
            return {
                step for block, step in asked if not transcripts.agrees(block.text, rerun(block))
            }
    except ChildProcessError:  # it doesn't start any more
        return {step for _, step in asked}


def replace(out: Block, instead: str, folder: Path) -> None:
    """Put *instead* in the place of the lines of *out*, in the file that it names."""
    path = folder / out.file
    source = path.read_text(encoding="utf-8").splitlines()
    stop = find(out.text, source, 0)
    assert stop, f"{out}: not in {out.file}"
    start = stop - len(out.text.strip("\n").splitlines())
    assert not find(out.text, source, start + 1), f"{out}: more than once in {out.file}"
    indentation = re.match(" *", source[start])
    assert indentation
    lines = textwrap.dedent(instead).splitlines()
    source[start:stop] = [f"{indentation[0]}{line}" if line else "" for line in lines]
    path.write_text("\n".join([*source, ""]), encoding="utf-8")


def do(exercise: Part, folder: Path) -> None:
    """Make the changes of an exercise.

    A block that names a file has the lines that go, and the block without a name behind it has
    what stands there instead. Both are above the answer, or in it if the reader writes the code.
    """
    end = exercise.line + exercise.lines.index(HIDDEN)
    python = [block for block in exercise.blocks() if block.language == "python"]
    blocks = [block for block in python if block.line <= end] or python
    assert blocks and blocks[0].file, f"{exercise}: names no file"
    for number, block in enumerate(blocks):
        following = blocks[number + 1 : number + 2]
        instead = following[0].text if following and not following[0].file else ""
        if block.file:
            replace(block, instead, folder)


def answer_to(exercise: Part) -> str:
    text = "\n".join(exercise.lines)
    found = re.findall(f"{re.escape(HIDDEN)}\n(.*?)</details>", text, re.DOTALL)
    assert len(found) == 1, f"{exercise}: has no answer"
    return " ".join(re.sub(r"^```.*?^```$", "", found[0], flags=re.DOTALL | re.MULTILINE).split())


def named_steps(answer: str) -> set[str]:
    """Return the steps that an answer names, as in "step 1" and "steps 2, 3 and 4"."""
    found = re.findall(r"[Ss]teps? (\d(?:(?:, | and |, and )\d)*)", answer)
    return {f"step {number}" for numbers in found for number in re.findall(r"\d", numbers)}


def asks_for_code(exercise: Part) -> bool:
    return any("pytest tests/exercise.py" in line for line in exercise.lines)


@pytest.mark.parametrize("chapter", ONE_TECHNIQUE, ids=lambda chapter: chapter.name)
def test_a_chapter_has_two_exercises_and_one_that_asks_for_code(chapter: Path) -> None:
    own = [part for part in EXERCISES if part.page.parent == chapter]
    assert len(own) == 3, f"{chapter.name}/README.md: has {len(own)} exercises"
    assert [asks_for_code(part) for part in own].count(True) == 1, f"{chapter.name}/README.md"


@pytest.mark.parametrize("exercise", EXERCISES, ids=str)
def test_the_answer_is_what_happens(exercise: Part, tmp_path: Path) -> None:
    answer = answer_to(exercise)
    app = exercise.page.parent
    folder = tmp_path / app.name
    shutil.copytree(app, folder, ignore=shutil.ignore_patterns(*NOT_OURS))
    if asks_for_code(exercise):
        assert failing_tests(folder, str(READY)), f"{exercise}: its test passes already"
    do(exercise, folder)

    if asks_for_code(exercise):
        failing = failing_tests(folder, str(READY))
        assert not failing, f"{exercise}: with the answer, these fail still: {failing}"
    elif app not in STEPS:
        changed = changed_steps(app, folder)
        assert named_steps(answer) == changed, f"{exercise}: the steps that change"
    named = set(re.findall(r"`(test_\w+)`", answer))
    assert named == failing_tests(folder), f"{exercise}: the tests that fail"
