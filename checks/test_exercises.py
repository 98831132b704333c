"""Do the exercises of the READMEs, and compare what happens with their answers."""

import os
import re
import shutil
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest

from book import NOT_OURS, ONE_TECHNIQUE, STEPS
from contents import Chapter
from exercises import Checked, check, with_tests
from pages import Block, Exercise, exercises, find
from reading import ports_of
from running import Runner

pytestmark = pytest.mark.drill

FULL = os.environ.get("FULL") == "1"
# Their tests start processes, so they are for the long form.
SLOW = ("2_shared_login", "3_task", "4_events", "7_messages")
EXERCISES = [
    exercise
    for app in [*ONE_TECHNIQUE, *STEPS]
    if FULL or app.name not in SLOW
    for exercise in exercises(app / "README.md")
]


def replace(out: Block, instead: str, folder: Path) -> None:
    """Put *instead* in the place of the lines of *out*, in the file that it names."""
    path = folder / out.file
    source = path.read_text(encoding="utf-8").splitlines()
    stop = find(out.text, source)
    assert stop, f"{out}: not in {out.file}"
    start = stop - len(out.text.strip("\n").splitlines())
    assert not find(out.text, source, start + 1), f"{out}: more than once in {out.file}"
    indentation = source[start][: len(source[start]) - len(source[start].lstrip())]
    lines = textwrap.indent(textwrap.dedent(instead), indentation).splitlines()
    path.write_text("\n".join([*source[:start], *lines, *source[stop:], ""]), encoding="utf-8")


def do(exercise: Exercise, folder: Path) -> None:
    """Make the changes of an exercise; those in its answer, if the reader writes the code.

    A block that names a file has the lines that go, and the block without a name behind it has
    what stands there instead.
    """
    blocks = [block for block in exercise.heading.blocks() if block.language == "python"]
    if exercise.out:
        blocks = [block for block in (exercise.out, exercise.instead) if block]
    assert blocks and blocks[0].file, f"{exercise.heading}: names no file"
    for block, after in pairwise([*blocks, None]):
        if block and block.file:
            replace(block, after.text if after and not after.file else "", folder)


def named_steps(answer: str) -> set[str]:
    """Return the steps that an answer names, as in "step 1" and "steps 2, 3 and 4"."""
    found = re.findall(r"[Ss]teps? (\d(?:(?:, | and |, and )\d)*)", answer)
    return {f"step {number}" for numbers in found for number in re.findall(r"\d", numbers)}


def named_tests(answer: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", answer))


@pytest.mark.parametrize("chapter", ONE_TECHNIQUE, ids=lambda chapter: chapter.name)
def test_a_chapter_has_two_exercises_and_one_that_asks_for_code(chapter: Path) -> None:
    asks_for_code = [one.out is None for one in exercises(chapter / "README.md")]
    assert sorted(asks_for_code) == [False, False, True], f"{chapter.name}/README.md"


def checked(exercise: Exercise, folder: Path) -> Checked:
    """Return what the reader says of an exercise that was done in *folder*."""
    app = exercise.heading.page.parent
    chapter = Chapter(folder, ports_of(app))
    if app in STEPS:  # the reader doesn't run them, so it can't tell what changes
        return with_tests(chapter, "", "", [] if exercise.out else None)
    runner = Runner([chapter])
    try:
        return check(chapter, exercise, set(), runner)
    finally:
        runner.stop()


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: str(exercise.heading))
def test_the_answer_is_what_happens(exercise: Exercise, tmp_path: Path) -> None:
    place, app = exercise.heading, exercise.heading.page.parent
    folder = tmp_path / app.name
    shutil.copytree(app, folder, ignore=shutil.ignore_patterns(*NOT_OURS))
    assert exercise.answer, f"{place}: has no answer"
    if not exercise.out:
        assert checked(exercise, folder).passed is False, f"{place}: its test passes already"
    do(exercise, folder)
    found = checked(exercise, folder)
    problem = found.problem or found.said
    assert not problem, f"{place}: with the answer, these fail still: {problem}"
    if exercise.out and app not in STEPS:
        changed = {
            f"step {one.card.heading.partition('.')[0]}" for one in found.changes if one.changed
        }
        assert named_steps(exercise.answer) == changed, f"{place}: the steps that change"
    assert named_tests(exercise.answer) == set(found.failing), f"{place}: the tests that fail"
