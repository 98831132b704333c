"""Check what a reader did for an exercise: their edit, what it changes, which tests fail."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import cards
import pages
from contents import Chapter
from pages import Card, Exercise
from rendering import questions, short
from running import NotRunning, Runner

TESTS = 300  # seconds that a chapter's tests may take
CODE_TEST = "tests/exercise.py"


@dataclass(frozen=True)
class Change:
    """A transcript, what the reader predicted, and whether ours still answers as it says."""

    card: Card
    name: str
    predicted: bool
    changed: bool
    now: str  # what ours prints now, if that has changed

    @property
    def right(self) -> bool:
        return self.predicted == self.changed


@dataclass(frozen=True)
class Checked:
    """What came out. *problem* says why nothing was checked; then the rest is empty."""

    diff: str = ""
    problem: str = ""
    changes: list[Change] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)  # tests of the chapter, without parameters
    passed: bool | None = None  # the test of an exercise that asks for code
    said: str = ""  # what that test says, or what keeps pytest from running
    restore: str = ""  # the command that brings the files back


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints, or nothing where there is no git, or no repository."""
    if not shutil.which("git"):
        return ""
    command = ["git", "-c", "core.quotepath=off", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True)  # noqa: S603
    return done.stdout.decode("utf-8", errors="replace") if done.returncode == 0 else ""


def run_tests(folder: Path, *arguments: str) -> tuple[list[str], str]:
    """Run tests of a chapter, and return "file::name" of each that fails, and what pytest said."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("FLASK_")}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-rfE", "--tb=short"]
    done = subprocess.run(  # noqa: S603
        [*command, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=TESTS,
    )
    # Without the parameters of a test.
    names = re.findall(r"^(?:FAILED|ERROR) (\S+?::test_\w+)", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1):
        names.append(f"{CODE_TEST}::pytest")  # it can't run them, and says why
    return list(dict.fromkeys(names)), done.stdout + done.stderr


def syntax_error(folder: Path) -> str:
    """Return file, line and text of the first syntax error in a chapter's modules."""
    for path in sorted(folder.glob("*.py")):
        try:
            compile(path.read_text(encoding="utf-8"), path.name, "exec")
        except SyntaxError as error:
            return (
                f"{path.name}, line {error.lineno}: {error.msg}\n    {(error.text or '').strip()}"
            )
    return ""


def changes(chapter: Chapter, predicted: set[int], runner: Runner) -> list[Change]:
    """Send every request that an exercise may change. NotRunning: ours doesn't answer."""
    found = []
    for card, side in questions(chapter.readme):
        outcome = cards.outcome(side, chapter, runner, None)
        if outcome.problem:
            raise NotRunning(outcome.problem)
        ticked = card.number in predicted
        found.append(Change(card, short(side), ticked, outcome.disagrees, outcome.printed))
    return found


def check(chapter: Chapter, exercise: Exercise, predicted: set[int], runner: Runner) -> Checked:
    """Return what the reader's edit does. *predicted* are the numbers of the ticked cards."""
    diff = git(chapter.folder, "diff", "HEAD", "--", "*.py")
    names = git(chapter.folder, "diff", "HEAD", "--name-only", "--relative", "--", "*.py")
    files = " ".join(f"{chapter.folder.name}/{name}" for name in names.splitlines())
    restore = f"git restore {files}" if files else ""
    if problem := syntax_error(chapter.folder):
        return Checked(diff, f"Python can't read it. {problem}", restore=restore)
    if not exercise.out:
        return with_tests(chapter, diff, restore)

    path = chapter.folder / exercise.out.file
    source = path.read_text(encoding="utf-8").splitlines()
    if pages.find(exercise.out.text, source) and not diff:
        return Checked(problem=f"{path.name} is as it was. Edit it, save it, then check again.")
    try:
        found = changes(chapter, predicted, runner)
    except NotRunning as error:
        return Checked(diff, f"Ours doesn't run any more. {error}", restore=restore)
    return with_tests(chapter, diff, restore, found)


def with_tests(
    chapter: Chapter, diff: str, restore: str, found: list[Change] | None = None
) -> Checked:
    """Run the chapter's tests; without changes to tell (*found*), the exercise's own test first."""
    files = [f"tests/{path.name}" for path in sorted(chapter.folder.glob("tests/test_*.py"))]
    failed, said = run_tests(chapter.folder, *([] if found is not None else [CODE_TEST]), *files)
    own = [name for name in failed if name.startswith(CODE_TEST)]
    others = [name.rpartition("::")[2] for name in failed if name not in own]
    passed = None if found is not None else not own
    return Checked(diff, "", found or [], others, passed, said[:4000] if own else "", restore)
