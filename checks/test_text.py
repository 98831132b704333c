"""What the pages say is true. Every failure names page and line, what it says, what is true."""

import ast
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from markdown_it.tree import SyntaxTreeNode

import transcripts
from book import (
    APPS,
    CHAPTERS,
    COMBINED,
    ONE_TECHNIQUE,
    ROOT,
    STEPS,
    TECHNIQUES,
    chapter_number,
    originals,
    title,
    traps,
)
from book_pages import PAGES, pages_of
from comparing import agrees
from conftest import missing
from diff import sources
from pages import VERDICT, Block, Heading, blocks, cards, find, headings, parse, place, text_of

HEADINGS = [
    "Run it",
    "The article's version",
    "What goes wrong",
    "Use it in your app",
    "When to reach for something else",
    "Exercises",
    "Next",
]


def names_a_file(block: Block) -> bool:
    """Tell whether a block does; else it names nothing, or what an app has (wiring.py)."""
    return bool(block.file) and (block.language != "python" or block.file.endswith(".py"))


EXCERPTS = [block for page in PAGES for block in blocks(page) if names_a_file(block)]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_app = pytest.mark.parametrize("app", APPS, ids=title)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=title)
each_technique = pytest.mark.parametrize("chapter", ONE_TECHNIQUE, ids=title)
each_step = pytest.mark.parametrize("step", STEPS, ids=title)


def texts(page: Path) -> Iterator[tuple[str, SyntaxTreeNode]]:
    """Yield each paragraph, heading and cell of *page*, with its place."""
    for node in parse(text_of(page)).walk():
        if node.type == "inline" and node.map:
            yield place(page, node.map[0] + 1), node


def fail(found: list[str]) -> None:
    if found:
        pytest.fail("\n".join(found))


# Code


def nearest(part: str, source: list[str], name: str) -> str:
    """Return a diff from *part* to the lines of *source* that are most like it."""
    wanted = part.strip("\n").splitlines()
    windows = [source[i : i + len(wanted)] for i in range(max(1, len(source) - len(wanted) + 1))]
    best = max(windows, key=lambda w: difflib.SequenceMatcher(None, "\n".join(w), part).ratio())
    return "\n".join(difflib.unified_diff(wanted, best, "the page", name, lineterm=""))


@pytest.mark.parametrize("block", EXCERPTS, ids=str)
def test_excerpt_is_in_the_file_that_it_names(block: Block) -> None:
    path = block.page.parent / block.file
    assert path.exists(), f"{block}: there is no {block.file}"
    source = path.read_text(encoding="utf-8").splitlines()
    position: int | None = 0
    for part in re.split(r"^ *(?:#|//|<!--) \.\.\.(?: -->)?\n", block.text, flags=re.MULTILINE):
        position = find(part, source, position or 0)
        if position is None:
            pytest.fail(f"{block}: not in {block.file}:\n{nearest(part, source, block.file)}")


def is_cut(block: Block, source: str) -> bool:
    """Tell whether an excerpt has only some lines of a statement; a class may come in parts."""
    last = find(block.text, source.splitlines()) or 0
    first = last - len(block.text.strip("\n").splitlines()) + 1
    body = ast.parse(source).body
    body += [node for one in body if isinstance(one, ast.ClassDef) for node in one.body]
    for node in body:
        lines = range(first_line(node), (node.end_lineno or 0) + 1)
        shown = [line for line in lines if first <= line <= last]
        if shown and len(shown) < len(lines) and not isinstance(node, ast.ClassDef):
            return True
    return False


def first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


@each_technique
def test_a_function_is_shown_whole(chapter: Path) -> None:
    excerpts = [
        block
        for block in blocks(chapter / "README.md")
        if block.file.endswith(".py") and block.section != "Exercises"
    ]
    what = "begins or ends in the middle of something in"
    fail([f"{b}: {what} {b.file}" for b in excerpts if is_cut(b, text_of(chapter / b.file))])


# Where blocks of code that are no excerpts are run.
EXECUTED = {
    ("python", "Use it in your app"),  # test_use.py, test_neighbours.py, test_use_steps.py
    ("js", "Use it in your app"),  # test_use_steps.py
    ("python", "Exercises"),  # test_exercises.py
    ("nginx", "When to reach for something else"),  # test_nginx.py
    ("nginx", "Behind nginx"),  # test_nginx.py
    ("apache", "Behind Apache"),  # test_nginx.py
}


@each_page
def test_every_block_is_an_excerpt_or_is_executed(page: Path) -> None:
    fail(
        [
            f"{block}: names no file and is not executed"
            for block in blocks(page)
            if block.language not in ("console", "sh")
            and (block.language, block.section) not in EXECUTED
            and not names_a_file(block)
        ]
    )


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


def code_lines(path: Path) -> dict[int, str]:
    """Return the lines of a module, stripped, without empty ones, docstrings and comments."""
    text = text_of(path)
    found = {number: line.strip() for number, line in enumerate(text.splitlines(), 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            for number in range(node.lineno, (node.end_lineno or 0) + 1):
                found[number] = ""
    return {number: line for number, line in found.items() if line and not line.startswith("#")}


@each_technique
def test_every_line_of_the_technique_is_shown(chapter: Path) -> None:
    page, file = chapter / "README.md", TECHNIQUES[chapter.name]
    shown = {line.strip() for b in blocks(page) if b.file == file for line in b.text.splitlines()}
    imports = {
        number
        for node in ast.walk(ast.parse(text_of(chapter / file)))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    fail(
        [
            f"{page.parent.name}/README.md: does not show {file}:{number}: {line}"
            for number, line in code_lines(chapter / file).items()
            if line not in shown and number not in imports
        ]
    )


@each_technique
def test_the_articles_code_is_shown(chapter: Path) -> None:
    shown = [b for b in blocks(chapter / "README.md") if b.file == "article.py"]
    assert shown, f"{chapter.name}/README.md: shows nothing of article.py"


# Transcripts


def untrue(app: Path) -> list[str]:
    """Run the transcripts of an app, and return what they say that isn't so.

    A reader may begin anywhere, and run one again: those of a chapter are run in both orders.
    """
    found = transcripts.consoles(app)
    if not found:
        return []
    wrong = {}
    with transcripts.served(app, {transcripts.version_of(block) for block in found}) as rerun:
        for block in [*reversed(found), *found] if app in ONE_TECHNIQUE else found:
            true = rerun(block)
            if not agrees(block.text, true):
                wrong[str(block)] = f"{block}: says\n{block.text}\n    true is\n{true}"
    return [*wrong.values(), *(["make transcripts rewrites them"] if wrong else [])]


@pytest.fixture(scope="module")
def found_untrue(request: pytest.FixtureRequest) -> Iterator[dict[Path, Future[list[str]]]]:
    """What is untrue in each app. Those with servers wait more than they work: three at a time."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    apps = [item.callspec.params["app"] for item in items if "found_untrue" in item.fixturenames]
    with ThreadPoolExecutor(3) as pool:
        yield {app: pool.submit(untrue, app) for app in reversed(apps) if isinstance(app, Path)}


@each_app
def test_transcript_is_what_the_commands_print(
    app: Path, found_untrue: dict[Path, Future[list[str]]]
) -> None:
    shutil.which("curl") or missing("curl")
    fail(found_untrue[app].result())


@each_technique
def test_a_pair_is_the_articles_version_and_then_ours(chapter: Path) -> None:
    page = chapter / "README.md"
    found = cards(page)
    pairs = 0
    wrong = []
    for card in found:
        labels = [side.verdict.label for side in card.sides if side.verdict]
        wanted = [{"ours": "Ours", "article": "Article"}[side.version] for side in card.sides]
        if labels and labels != wanted:
            wrong.append(f"{card.sides[0].block}: the label is {wanted}, not {labels}")
        pairs += wanted == ["Article", "Ours"]
    with_card = {side.block.line for card in found for side in card.sides}
    wrong += [
        f"{block}: is no card; one block has requests to one version"
        for block in blocks(page)
        if block.language == "console" and "curl" in block.text and block.line not in with_card
    ]
    said = [side.verdict.text for card in found for side in card.sides if side.verdict]
    for where, node in texts(page):
        verdict = VERDICT.fullmatch(node.content)
        if node.content.startswith(("✗", "✓")) and not (verdict and verdict[3] in said):
            wrong.append(f"{where}: is no verdict on the transcript below: {node.content}")
    fail(wrong)
    assert pairs >= 3, f"{page.parent.name}/README.md: has {pairs} pairs"


# Chapters


@each_app
def test_headings_are_those_of_every_chapter(app: Path) -> None:
    page = app / "README.md"
    found = [heading for heading in headings(page) if heading.level == 2]
    names = [heading.title for heading in found]
    if app in ONE_TECHNIQUE:
        assert names == HEADINGS, f"{app.name}/README.md: the headings are {HEADINGS}"
    # 06 and its steps have some of them, in this order, between others.
    of_all = [name for name in HEADINGS if name in names]
    assert [name for name in names if name in HEADINGS] == of_all, f"{app.name}/README.md: {names}"
    assert (names[0], names[-1]) == ("Run it", "Next"), f"{app.name}/README.md: {names}"


@each_step
def test_the_title_of_a_step_has_its_number(step: Path) -> None:
    wanted = f"06, step {step.name[0]}: "
    first = headings(step / "README.md")[0]
    assert first.title.startswith(wanted), f"{first}: begins with {wanted!r}"


@each_app
def test_a_readme_is_neither_long_nor_thin(app: Path) -> None:
    least, most = 300, 1400
    if app in ONE_TECHNIQUE:
        least = 900
    if app == COMBINED:
        most = 1700
    if app in STEPS:
        most = 800
    words = 0
    for _, node in texts(app / "README.md"):
        if node.parent and node.parent.type != "heading":
            kept = [one for one in node.walk() if one.type in ("text", "code_inline", "softbreak")]
            words += len("".join(one.content or " " for one in kept).split())
    assert least <= words <= most, f"{app.name}/README.md: has {words} words"


@each_app
def test_an_app_names_no_port_but_its_own(app: Path) -> None:
    fail(
        [
            f"{place(page, number)}: says port {port}"
            for page in pages_of(app)
            for number, line in enumerate(text_of(page).splitlines(), 1)
            for port in re.findall(r":(8[12]\d\d)\b", line)
            if port[2:] != chapter_number(app) and port != "8100"  # the reader's
        ]
    )


@each_app
def test_a_shared_file_is_the_original(app: Path) -> None:
    for name, original in originals(app).items():
        same = (app / name).read_bytes() == original.read_bytes()
        where = original.relative_to(ROOT)
        assert same, f"{title(app)}/{name} is not {where}; make carry copies it"


# Code lines of a chapter's app, without article.py and tests. What is more belongs elsewhere.
MOST_LINES = {"01": 110, "02": 110, "03": 110, "04": 130, "05": 210}
MOST_LINES_OF_AN_ARTICLE = 45


@each_technique
def test_a_chapter_is_small_and_mostly_its_technique(chapter: Path) -> None:
    counts = {path.name: len(code_lines(path)) for path in chapter.glob("*.py")}
    article = counts.pop("article.py")
    assert article <= MOST_LINES_OF_AN_ARTICLE, f"{chapter.name}/article.py: {article} lines"
    del counts["conftest.py"]
    names = {TECHNIQUES[chapter.name], "exceptions.py"}  # which is a part of 05's technique
    technique = sum(count for name, count in counts.items() if name in names)
    total = sum(counts.values())
    assert total <= MOST_LINES[chapter.name[:2]], f"{chapter.name}: {counts}"
    assert technique > total / 2, f"{chapter.name}: {counts}"


# Code lines that a step has and the step that it builds on hasn't; deploy/ is plumbing.
MOST_OWN_LINES = 200
MOST_OF_STEP_3 = 210  # make_celery.py repairs what Celery does if Redis fails; a task needs it all


@each_step
def test_a_step_adds_little(step: Path) -> None:
    counts, there = {}, sources(step)
    for path in sorted(step.glob("*.py")):
        old = code_lines(there[path.name]).values() if path.name in there else ()
        compared = difflib.ndiff([*old], [*code_lines(path).values()])
        counts[path.name] = sum(line.startswith("+ ") for line in compared)
    counts.pop("conftest.py", 0)
    most = MOST_OF_STEP_3 if step.name == "3_task" else MOST_OWN_LINES
    assert sum(counts.values()) <= most, f"{title(step)}: {counts}"


@pytest.mark.drill
@each_app
def test_an_app_alone_in_a_folder_passes_its_tests(app: Path, tmp_path: Path) -> None:
    alone = tmp_path / app.name
    shutil.copytree(app, alone, ignore=shutil.ignore_patterns("node_modules", "instance", "steps"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    if app == COMBINED:  # these import all of it, and the others take more than a minute
        command += ["tests/test_context.py", "tests/test_contacts.py"]
    if app in STEPS and os.environ.get("FULL") != "1":  # what they do, make test sees
        command.append("--collect-only")
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


def stories(chapter: Path) -> list[Heading]:
    """Return the headings that tell one trap each, outside the README."""
    found = [heading for heading in headings(chapter / "traps.md") if heading.level == 2]
    if (chapter / "operations.md").exists():
        of_servers = headings(chapter / "operations.md")
        found += [one for one in of_servers if (one.level, one.section) == (3, "Traps")]
    return found


def repairs(app: Path) -> list[Heading]:
    """Return the headings of the README that tell what goes wrong and repair it."""
    found = headings(app / "README.md")
    return [one for one in found if (one.level, one.section) == (3, "What goes wrong")]


@each_chapter
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


@each_technique
def test_what_goes_wrong_is_told_in_steps(chapter: Path) -> None:
    found = repairs(chapter)
    assert 3 <= len(found) <= 5, f"{chapter.name}/README.md: has {len(found)} steps"
    for number, step in enumerate(found, 1):
        assert step.title.startswith(f"{number}. "), f"{step}: is number {number}"
        assert any(block.file for block in step.blocks()), f"{step}: shows no excerpt"
        assert named_tests(step), f"{step}: names no test"


@each_step
def test_a_step_tells_what_goes_wrong_and_names_a_test(step: Path) -> None:
    told = [one for one in headings(step / "README.md") if one.title == "What goes wrong"]
    assert told, f"{title(step)}/README.md: does not tell what goes wrong"
    assert named_tests(told[0]), f"{told[0]}: names no test"


@pytest.mark.parametrize("folder", [*(chapter.name for chapter in CHAPTERS), "checks"])
def test_every_trap_is_told(folder: str) -> None:
    of_steps = [page for step in STEPS for page in pages_of(step)]
    where = {"checks": PAGES, COMBINED.name: [*pages_of(COMBINED), *of_steps]}
    told: set[str] = set()
    for page in where.get(folder, pages_of(ROOT / folder)):
        told |= {name for one in headings(page) if one.level == 2 for name in named_tests(one)}
    lost = {name for name, path in traps().items() if path.parts[0] == folder} - told
    assert not lost, f"{folder}: no page tells of {lost}"


def plain(title: str) -> str:
    """Return a heading as a comment names it: in lower case, without number and markup."""
    return re.sub(r"^\d+\. |[`\\]", "", title).lower()


@pytest.mark.parametrize("app", [*ONE_TECHNIQUE, *STEPS], ids=title)
def test_every_mark_of_a_trap_leads_to_its_story(app: Path) -> None:
    told_in = [*repairs(app), *stories(COMBINED if app in STEPS else app)]
    if app in STEPS:  # where there is one trap, it may be the whole section
        told_in += headings(app / "README.md")
    titles = [plain(heading.title) for heading in told_in]
    lost = []
    for path in (app / "article.py", app / "frontend/article.js"):
        text = text_of(path) if path.exists() else ""
        for number, line in enumerate(text.splitlines(), 1):
            for mark in re.findall(r"(?:#|//) Trap: (.+)", line):
                # The mark may be shorter than the heading, or longer.
                told = [t for t in titles if t.startswith(plain(mark)) or plain(mark).startswith(t)]
                if not told:
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


def code(page: Path) -> Iterator[tuple[str, str]]:
    """Yield each line of the fenced blocks and each text in backticks, with its place."""
    for block in blocks(page):
        for line in block.text.splitlines():
            yield str(block), line
    for where, node in texts(page):
        for child in node.walk():
            if child.type == "code_inline":
                yield where, child.content


@each_page
def test_every_make_command_exists(page: Path) -> None:
    makefile = text_of(ROOT / "Makefile")
    known = {"": [""], "NN": [""]} | {chapter.name[:2]: [""] for chapter in CHAPTERS}
    known["06"] = ["", *(str(number) for number in range(1, len(STEPS) + 2))]
    for where, line in code(page):
        command = r"(?:^|&& |' )make ([a-z]+)(?:-(\d\d|NN))?\b(?:.* STEP=(\w+))?"
        for goal, chapter, step in re.findall(command, line):
            rule = rf"^{goal}-%:" if chapter else rf"^{goal}:"
            assert re.search(rule, makefile, re.MULTILINE), f"{where}: there is no make {goal}"
            assert chapter in known, f"{where}: there is no chapter {chapter}"
            assert step in known[chapter], f"{where}: there is no step {step}"


@each_page
def test_every_version_named_is_the_locks(page: Path) -> None:
    lock = dict(
        re.findall(
            r"^([\w.-]+)(?:\[.*\])?==(\S+)", text_of(ROOT / "requirements-dev.txt"), re.MULTILINE
        )
    )
    # "since Werkzeug 1.2.3" tells of the past; a bare "Werkzeug 1.2.3" is what is used here.
    named = r"(?i)((?:for|from|in|since|until)\s)?\b([A-Za-z][\w-]*)(?:\s|==)(\d+\.[\d.]*\d)"
    for where, node in texts(page):
        for past, name, version in re.findall(named, node.content):
            true = lock.get(name.lower(), version)
            same = past or f"{true}.".startswith(f"{version}.")
            assert same, f"{where}: says {name} {version}; the lock has {true}"
