"""What the pages say is true. Every failure names page and line, what it says, what is true."""

import ast
import difflib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import book
import pages
import transcripts
from book import APPS, CHAPTERS, COMBINED, ONE_TECHNIQUE, ROOT, STEPS, TECHNIQUES, title
from book_pages import PAGES, pages_of, texts
from conftest import missing, side_by_side
from diff import sources
from pages import Block, Heading, blocks, headings, place, text_of

HEADINGS = [
    "Run it",
    "The article's version",
    "What goes wrong",
    "Use it in your app",
    "When to reach for something else",
    "Exercises",
    "Next",
]
# Where blocks of code that are no excerpts are run.
EXECUTED = {
    ("python", "Use it in your app"),  # test_use.py, test_neighbours.py, test_use_steps.py
    ("js", "Use it in your app"),  # test_use_steps.py
    ("python", "Exercises"),  # test_exercises.py
    ("nginx", "When to reach for something else"),  # test_nginx.py
    ("nginx", "Behind nginx"),  # test_nginx.py
    ("apache", "Behind Apache"),  # test_nginx.py
}
LOCK = dict(re.findall(r"(?m)^([\w.-]+)(?:\[.*\])?==(\S+)", text_of(ROOT / "requirements-dev.txt")))
SHELL = ("console", "sh")
# Code lines of a chapter's app, without article.py and tests. What is more belongs elsewhere.
MOST_LINES = {"01": 112, "02": 110, "03": 110, "04": 130, "05": 210}
MOST_LINES_OF_AN_ARTICLE = 45
# Code lines that a step has and the step that it builds on hasn't; deploy/ is plumbing.
MOST_OWN_LINES = 200
MORE_LINES = {"3_task": 210}  # make_celery.py repairs what Celery does if Redis fails

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_app = pytest.mark.parametrize("app", APPS, ids=title)
each_technique = pytest.mark.parametrize("chapter", ONE_TECHNIQUE, ids=title)
each_of_two_versions = pytest.mark.parametrize("app", [*ONE_TECHNIQUE, *STEPS], ids=title)


def code(page: Path) -> Iterator[tuple[str, str]]:
    """Yield each line of the fenced blocks and each text in backticks, with its place."""
    for block in blocks(page):
        for line in block.text.splitlines():
            yield str(block), line
    for where, node in texts(page):
        for child in node.walk():
            if child.type == "code_inline":
                yield where, child.content


def fail(found: list[str]) -> None:
    if found:
        pytest.fail("\n".join(found))


# Code


def not_in_its_file(block: Block) -> list[str]:
    """Return what an excerpt has otherwise than the file that it names, if anything."""
    path = block.page.parent / block.file
    if not path.exists():
        return [f"{block}: there is no {block.file}"]
    source = text_of(path).splitlines()
    position = 0
    for part in re.split(r"^ *(?:#|//|<!--) \.\.\.(?: -->)?\n", block.text, flags=re.MULTILINE):
        end = pages.find(part, source, position)
        if end is None:
            wanted = dedent(part).strip("\n")
            size = len(wanted.splitlines())
            parts = [dedent("\n".join(source[i : i + size])) for i in range(len(source))]
            [nearest] = difflib.get_close_matches(wanted, parts, n=1, cutoff=0)
            compared = difflib.ndiff(wanted.splitlines(), nearest.splitlines())
            return [f"{block}: not in {block.file}:", *compared]
        position = end
    return []


@each_page
def test_every_block_is_an_excerpt_or_is_executed(page: Path) -> None:
    wrong = []
    for block in blocks(page):
        # One of Python may name the app that it's for (wiring.py).
        if block.file and (block.language != "python" or block.file.endswith(".py")):
            wrong += not_in_its_file(block)
        elif (block.language, block.section) not in EXECUTED and block.language not in SHELL:
            wrong.append(f"{block}: names no file and is not executed")
    fail(wrong)


@each_page
def test_shell_commands_name_what_is_there(page: Path) -> None:
    for block in blocks(page):
        folder = ROOT
        for line in block.text.splitlines() if block.language == "sh" else []:
            command = line.partition(" #")[0].split()
            if command[0] == "cd":
                folder /= command[1]
                assert folder.is_dir(), f"{block}: there is no {command[1]}"
            if command[:2] == ["npm", "run"]:
                scripts = json.loads(text_of(folder / "package.json"))["scripts"]
                assert command[2] in scripts, f"{block}: not in package.json: {line}"
            for name in re.findall(r"(?<= )[\w./]+\.(?:py|txt)\b", line):
                there = (folder / name).exists() or (page.parent / name).exists()
                assert there, f"{block}: there is no {name}"


def code_lines(path: Path, *without: type[ast.stmt]) -> dict[int, str]:
    """Return the lines of a module, stripped, by number.

    Left out are empty lines, comments, docstrings, and statements of the types *without*.
    """
    text = text_of(path)
    found = {number: line.strip() for number, line in enumerate(text.splitlines(), 1)}
    for node in ast.walk(ast.parse(text)):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and (is_docstring or isinstance(node, without)):
            for number in range(node.lineno, (node.end_lineno or 0) + 1):
                found[number] = ""
    return {number: line for number, line in found.items() if line and not line.startswith("#")}


def is_cut(block: Block) -> bool:
    """Tell whether an excerpt has only some lines of a statement; a class may come in parts."""
    begin = pages.line_of(block)
    if begin is None:  # it has a "..." in it
        return False
    end = begin + len(block.text.strip("\n").splitlines()) - 1
    body = ast.parse(text_of(block.page.parent / block.file)).body
    body += [node for one in body if isinstance(one, ast.ClassDef) for node in one.body]
    for node in body:
        first = min(one.lineno for one in [node, *getattr(node, "decorator_list", [])])
        last = node.end_lineno or 0
        if not isinstance(node, ast.ClassDef) and (first < begin <= last or first <= end < last):
            return True
    return False


@each_technique
def test_a_readme_shows_whole_functions_all_of_the_technique_and_the_article(chapter: Path) -> None:
    page, technique = chapter / "README.md", TECHNIQUES[chapter.name]
    excerpts = [block for block in blocks(page) if block.file.endswith(".py")]
    wrong = [
        f"{block}: begins or ends in the middle of something in {block.file}"
        for block in excerpts
        if block.section != "Exercises" and is_cut(block)
    ]
    text = "\n".join(block.text for block in excerpts if block.file == technique)
    shown = {line.strip() for line in text.splitlines()}
    for number, line in code_lines(chapter / technique, ast.Import, ast.ImportFrom).items():
        if line not in shown:
            wrong.append(f"{title(page)}: does not show {technique}:{number}: {line}")
    if not any(block.file == "article.py" for block in excerpts):
        wrong.append(f"{title(page)}: shows nothing of article.py")
    fail(wrong)


# Transcripts


@pytest.fixture(scope="module")
def untrue(request: pytest.FixtureRequest) -> Iterator[dict[Any, Future[Any]]]:
    """What the transcripts of each app say that isn't so."""
    yield from side_by_side(request, "app", transcripts.untrue, at_once=3)


@each_app
def test_transcript_is_what_the_commands_print(app: Path, untrue: dict[Path, Any]) -> None:
    shutil.which("curl") or missing("curl")
    wrong = untrue[app].result()
    advice = "make transcripts rewrites it"
    fail([f"{at}: says\n{at.text}\n    true is\n{true}\n{advice}" for at, true in wrong.items()])


@each_technique
def test_a_pair_is_the_articles_version_and_then_ours(chapter: Path) -> None:
    page = chapter / "README.md"
    sides = [side for card in pages.cards(page) for side in card.sides]
    wrong, pairs = [], 0
    for card in pages.cards(page):
        labels = [side.verdict.label for side in card.sides if side.verdict]
        wanted = [side.version.capitalize() for side in card.sides]
        if labels and labels != wanted:
            wrong.append(f"{card.sides[0].block}: the label is {wanted}, not {labels}")
        pairs += wanted == ["Article", "Ours"]
    in_cards = [side.block for side in sides]
    for block in blocks(page):
        if block.language == "console" and "curl" in block.text and block not in in_cards:
            wrong.append(f"{block}: is no card; one block has requests to one version")
    verdicts = tuple(side.verdict.text for side in sides if side.verdict)
    for where, node in texts(page):
        if node.content.startswith(("✗", "✓")) and not node.content.endswith(verdicts):
            wrong.append(f"{where}: is no verdict on the transcript below: {node.content}")
    fail(wrong)
    assert pairs >= 3, f"{title(page)}: has {pairs} pairs"


# Chapters


@each_app
def test_headings_are_those_of_every_chapter(app: Path) -> None:
    page = app / "README.md"
    names = [heading.title for heading in headings(page) if heading.level == 2]
    if app in ONE_TECHNIQUE:
        assert names == HEADINGS, f"{title(page)}: the headings are {HEADINGS}"
    # 06 and its steps have some of them, in this order, between others.
    of_all = [name for name in HEADINGS if name in names]
    assert [name for name in names if name in HEADINGS] == of_all, f"{title(page)}: {names}"
    assert (names[0], names[-1]) == ("Run it", "Next"), f"{title(page)}: {names}"
    if app in STEPS:
        first, wanted = headings(page)[0], f"06, step {app.name[0]}: "
        assert first.title.startswith(wanted), f"{first}: begins with {wanted!r}"


@each_app
def test_a_readme_is_neither_long_nor_thin(app: Path) -> None:
    page = app / "README.md"
    least = 900 if app in ONE_TECHNIQUE else 300
    most = 800 if app in STEPS else 1700 if app == COMBINED else 1400
    words = 0
    for _, node in texts(page):
        if node.parent and node.parent.type != "heading":
            words += len(node.content.split())
    assert least <= words <= most, f"{title(page)}: has {words} words"


@each_app
def test_an_app_names_no_port_but_its_own(app: Path) -> None:
    own = [book.chapter_number(app), "00"]  # the last one is the reader's
    wrong = []
    for page in pages_of(app):
        for number, line in enumerate(text_of(page).splitlines(), 1):
            for port in re.findall(r":(8[12]\d\d)\b", line):
                if port[2:] not in own:
                    wrong.append(f"{place(page, number)}: says port {port}")
    fail(wrong)


@each_app
def test_a_shared_file_is_the_original(app: Path) -> None:
    for name, original in book.originals(app).items():
        same = (app / name).read_bytes() == original.read_bytes()
        assert same, f"{title(app)}/{name} is not {title(original)}; make carry copies it"


@each_technique
def test_a_chapter_is_small_and_mostly_its_technique(chapter: Path) -> None:
    counts = {path.name: len(code_lines(path)) for path in chapter.glob("*.py")}
    del counts["conftest.py"]
    article = counts.pop("article.py")
    assert article <= MOST_LINES_OF_AN_ARTICLE, f"{chapter.name}/article.py: {article} lines"
    names = {TECHNIQUES[chapter.name], "exceptions.py"}  # which is a part of 05's technique
    technique = sum(count for name, count in counts.items() if name in names)
    total = sum(counts.values())
    assert total / 2 < technique and total <= MOST_LINES[chapter.name[:2]], (
        f"{chapter.name}: {counts}"
    )


@pytest.mark.parametrize("step", STEPS, ids=title)
def test_a_step_adds_little(step: Path) -> None:
    counts, there = {}, sources(step)
    for path in sorted(step.glob("*.py")):
        old = code_lines(there[path.name]).values() if path.name in there else ()
        compared = difflib.ndiff([*old], [*code_lines(path).values()])
        counts[path.name] = sum(line.startswith("+ ") for line in compared)
    counts.pop("conftest.py", 0)
    most = MORE_LINES.get(step.name, MOST_OWN_LINES)
    assert sum(counts.values()) <= most, f"{title(step)}: {counts}"


# The chapters do so in test_exercises.py, and so does a step that has an exercise in its long form.
@pytest.mark.drill
@pytest.mark.parametrize("app", [COMBINED, *STEPS], ids=title)
def test_an_app_alone_in_a_folder_has_what_its_tests_need(app: Path, tmp_path: Path) -> None:
    alone = tmp_path / app.name
    shutil.copytree(app, alone, ignore=shutil.ignore_patterns(*book.NOT_OURS, "steps"))
    # Those of a step that need processes only have to be found, and so do most of the chapter's;
    # what they do, make test sees.
    quick = ["tests/test_context.py", "tests/test_contacts.py"]  # these import all of the chapter
    arguments = quick if app == COMBINED else ["--collect-only"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout


# Traps


def named_tests(heading: Heading) -> set[str]:
    """Return the names of the tests that the text links to; each is in the file of its link."""
    found = re.findall(r"\[`(test_\w+)`\]\((\S+\.py)\)", heading.text())
    for name, file in found:
        path = heading.page.parent / file
        assert path.exists(), f"{heading}: there is no {file}"
        assert f"def {name}(" in text_of(path), f"{heading}: no {name} in {file}"
    return {name for name, _ in found}


def told(page: Path, level: int, section: str = "") -> list[Heading]:
    """Return the headings of a level on a page, in a section if one is named."""
    found = [one for one in headings(page) if one.level == level] if page.exists() else []
    return [one for one in found if section in ("", one.section)]


def stories(chapter: Path) -> list[Heading]:
    """Return the headings that tell one trap each, outside the README."""
    return [*told(chapter / "traps.md", 2), *told(chapter / "operations.md", 3, "Traps")]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=title)
def test_every_trap_is_a_short_story_and_names_its_test(chapter: Path) -> None:
    assert stories(chapter), f"{chapter.name}: tells no traps"
    for story in stories(chapter):
        text = re.sub(r"^```.*?^```$", "```", story.text(), flags=re.DOTALL | re.MULTILINE)
        length = len([line for line in text.splitlines() if line.strip("`")])
        assert length <= 15, f"{story}: more than fifteen lines"
        above = set(re.findall(r"(.*)\n+```", text))
        known = {"Wrong:", "Seen:", "Right:", "Run:"}
        assert above and above <= known, f"{story}: does not say what code it is: {above}"
        assert {"Wrong:", "Seen:"} & above, f"{story}: does not show what goes wrong"
        assert named_tests(story), f"{story}: names no test"


@each_of_two_versions
def test_what_goes_wrong_is_told_and_names_tests(app: Path) -> None:
    page = app / "README.md"
    whole = told(page, 2, "What goes wrong")
    assert whole, f"{title(page)}: does not tell what goes wrong"
    assert named_tests(whole[0]), f"{whole[0]}: names no test"
    if app in ONE_TECHNIQUE:
        found = told(page, 3, "What goes wrong")
        assert 3 <= len(found) <= 5, f"{title(page)}: has {len(found)} steps"
        for number, step in enumerate(found, 1):
            assert step.title.startswith(f"{number}. "), f"{step}: is number {number}"
            assert any(block.file for block in step.blocks()), f"{step}: shows no excerpt"
            assert named_tests(step), f"{step}: names no test"


@pytest.mark.parametrize("folder", [*CHAPTERS, ROOT / "checks"], ids=title)
def test_every_trap_is_told(folder: Path) -> None:
    where = [page for page in PAGES if folder not in CHAPTERS or page.is_relative_to(folder)]
    linked = {name for page in where for name in named_tests(headings(page)[0])}
    own = {name for name, path in book.traps().items() if path.parts[0] == folder.name}
    assert own <= linked, f"{folder.name}: no page tells of {own - linked}"


def plain(title: str) -> str:
    """Return a heading as a comment names it: in lower case, without number and markup."""
    return re.sub(r"^\d+\. |[`\\]", "", title).lower()


@each_of_two_versions
def test_every_mark_of_a_trap_leads_to_its_story(app: Path) -> None:
    found = [*stories(COMBINED if app in STEPS else app), *told(app / "README.md", 3)]
    titles = [plain(heading.title) for heading in found]
    lost = []
    for path in (app / "article.py", app / "frontend/article.js"):
        text = text_of(path) if path.exists() else ""
        for number, line in enumerate(text.splitlines(), 1):
            for mark in re.findall(r"(?:#|//) Trap: (.+)", line):
                if not any(title.startswith(plain(mark)) for title in titles):
                    lost.append(f"{place(path, number)}: no heading for {mark!r}")
    fail(lost)


# References


@each_page
def test_every_link_inside_the_repository_resolves(page: Path) -> None:
    for where, node in texts(page):
        for child in node.walk():
            target = str(child.attrs.get("href") or child.attrs.get("src") or "")
            if child.type in ("link", "image") and "://" not in target:
                name, _, anchor = target.partition("#")
                path = page.parent / name if name else page
                assert path.exists(), f"{where}: there is no {target}"
                anchors = [one.anchor for one in headings(path)] if anchor else [""]
                assert anchor in anchors, f"{where}: {name} has no heading {anchor}"


@each_page
def test_every_make_command_exists(page: Path) -> None:
    for where, line in code(page):
        command = r"(?:^|&& |' )make ([a-z]+(?:-\d\d|-NN)?)\b(?:.* (STEP=\w+))?"
        for goal, step in re.findall(command, line):
            dry = ["make", "-n", goal.replace("NN", "01"), *step.split()]
            done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, f"{where}: make {goal} {step}: {done.stderr}"


@each_page
def test_every_version_named_is_the_locks(page: Path) -> None:
    # "since Werkzeug 1.2.3" tells of the past; a bare "Werkzeug 1.2.3" is what is used here.
    named = r"(?i)((?:for|from|in|since|until)\s)?\b([A-Za-z][\w-]*)(?:\s|==)(\d+\.[\d.]*\d)"
    for where, node in texts(page):
        for past, name, version in re.findall(named, node.content):
            true = LOCK.get(name.lower(), version)
            same = past or f"{true}.".startswith(f"{version}.")
            assert same, f"{where}: says {name} {version}; the lock has {true}"
