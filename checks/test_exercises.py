"""Do the exercises of the READMEs, and compare what happens with their answers."""

import os
import re
import shutil
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest

import transcripts
from book import NOT_OURS, ONE_TECHNIQUE, STEPS
from comparing import agrees
from exercises import CODE_TEST, run_tests
from pages import Block, Exercise, cards, exercises, find

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


def failing_tests(folder: Path, *files: str) -> set[str]:
    """Return "file::name" of the tests that fail in *folder*, without their parameters."""
    names, said = run_tests(folder, *files)
    assert f"{CODE_TEST}::pytest" not in names, f"pytest cannot run the tests:\n{said}"
    return set(names)


def changed_steps(chapter: Path, folder: Path) -> set[str]:
    """Return the steps of *chapter* with a request that the app in *folder* answers otherwise."""
    asked = [
        (side.block, f"step {card.heading.partition('.')[0]}")
        for card in cards(chapter / "README.md")
        if card.section == "What goes wrong" and (side := card.side("ours"))
    ]
    try:
        with transcripts.served(folder, chapter) as rerun:
            return {step for block, step in asked if not agrees(block.text, rerun(block))}
    except ChildProcessError:  # it doesn't start any more
        return {step for _, step in asked}


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


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: str(exercise.heading))
def test_the_answer_is_what_happens(exercise: Exercise, tmp_path: Path) -> None:
    place, app = exercise.heading, exercise.heading.page.parent
    folder = tmp_path / app.name
    shutil.copytree(app, folder, ignore=shutil.ignore_patterns(*NOT_OURS))
    assert exercise.answer, f"{place}: has no answer"
    asks_for_code = exercise.out is None
    if asks_for_code:
        assert failing_tests(folder, CODE_TEST), f"{place}: its test passes already"
    do(exercise, folder)

    if not asks_for_code and app not in STEPS:
        changed = changed_steps(app, folder)
        assert named_steps(exercise.answer) == changed, f"{place}: the steps that change"
    files = [f"tests/{path.name}" for path in folder.glob("tests/test_*.py")]
    failing = failing_tests(folder, *files, *([CODE_TEST] if asks_for_code else []))
    ready = {name for name in failing if name.startswith(CODE_TEST)}
    assert not ready, f"{place}: with the answer, these fail still: {ready}"
    names = {name.rpartition("::")[2] for name in failing}
    assert named_tests(exercise.answer) == names, f"{place}: the tests that fail"
