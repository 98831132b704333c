"""What the pages say is true. Every failure names page and line, what it says, what is true."""

import ast
import difflib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import transcripts
from book import (
    APPS,
    CHAPTERS,
    COMBINED,
    ONE_TECHNIQUE,
    ROOT,
    STEP_NAMES,
    STEPS,
    TECHNIQUES,
    chapter_number,
    originals,
    title,
    traps,
)
from conftest import missing
from pages import (
    PAGES,
    Block,
    Part,
    blocks,
    find,
    headings,
    pages,
    parts,
    tokens,
)
from words import inline, prose

EXCERPTS = ("python", "html", "js", "ini", "nginx", "text")
HEADINGS = [
    "Run it",
    "The article's version",
    "What goes wrong",
    "Use it in your app",
    "When to reach for something else",
    "Exercises",
    "Next",
]
COMBINED_HEADINGS = [
    "Run it",
    "The steps",
    "A login by QR code",
    "What the guard refuses",
    "Try it",
    "Use it in your app",
    "When to reach for something else",
    "Next",
]
STEP_HEADINGS = [
    "Run it",
    "The article's version",
    "The obvious way",
    "What goes wrong",
    "Use it in your app",
    "Exercises",
    "Next",
]
BLOCKS = [block for page in PAGES for block in blocks(page)]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_app = pytest.mark.parametrize("app", APPS, ids=title)
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=title)
each_technique = pytest.mark.parametrize("chapter", ONE_TECHNIQUE, ids=title)
each_step = pytest.mark.parametrize("step", STEPS, ids=title)


def lines(page: Path) -> Iterator[tuple[str, str]]:
    """Yield each line of *page* with its place, as in ``README.md:7``."""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        yield f"{page.relative_to(ROOT)}:{number}", line


# Blocks


def nearest(part: str, source: list[str], name: str) -> str:
    """Return a diff from *part* to the lines of *source* that are most like it."""
    wanted = part.strip("\n").splitlines()
    windows = [source[i : i + len(wanted)] for i in range(max(1, len(source) - len(wanted) + 1))]
    best = max(windows, key=lambda w: difflib.SequenceMatcher(None, "\n".join(w), part).ratio())
    return "\n".join(difflib.unified_diff(wanted, best, "the page", name, lineterm=""))


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.file], ids=str)
def test_excerpt_is_in_the_file_that_it_names(block: Block) -> None:
    path = block.page.parent / block.file
    assert path.exists(), f"{block}: there is no {block.file}"
    source = path.read_text(encoding="utf-8").splitlines()
    position: int | None = 0
    for part in re.split(r"^ *(?:#|//|<!--) \.\.\.(?: -->)?\n", block.text, flags=re.MULTILINE):
        position = find(part, source, position or 0)
        if position is None:
            pytest.fail(f"{block}: not in {block.file}:\n{nearest(part, source, block.file)}")


def whole_lines(source: str) -> set[tuple[int, int]]:
    """Return first and last line of each statement that isn't inside a function."""
    found = set()
    waiting: list[ast.Module | ast.ClassDef] = [ast.parse(source)]
    while waiting:
        for node in waiting.pop().body:
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            found.add((first, node.end_lineno or first))
            if isinstance(node, ast.ClassDef):
                waiting.append(node)
    return found


def is_whole(block: Block, source: str) -> bool:
    """Tell whether an excerpt begins and ends with whole statements, and cuts no function."""
    stop = find(block.text, source.splitlines(), 0)
    if stop is None:
        return True  # that it isn't there at all, another test says
    start = stop - len(block.text.strip("\n").splitlines()) + 1
    lines = source.splitlines()
    while not lines[start - 1].strip() or lines[start - 1].lstrip().startswith("#"):
        start += 1  # comments belong to what comes after them
    statements = whole_lines(source)
    return start in {first for first, _ in statements} and stop in {last for _, last in statements}


@pytest.mark.parametrize("chapter", ONE_TECHNIQUE, ids=title)
def test_a_function_is_shown_whole(chapter: Path) -> None:
    page = chapter / "README.md"
    cut = []
    for block in blocks(page):
        if block.file.endswith(".py") and block.section != "Exercises":
            source = (chapter / block.file).read_text(encoding="utf-8")
            if not is_whole(block, source):
                cut.append(f"{block}: begins or ends in the middle of something in {block.file}")
    if cut:
        pytest.fail("\n".join(cut))


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_an_excerpt_or_is_executed(block: Block) -> None:
    if block.language in EXCERPTS:
        executed = (block.language, block.section) in {
            ("python", "Use it in your app"),  # test_use.py, test_neighbours.py
            ("python", "Exercises"),  # test_exercises.py
            ("nginx", "When to reach for something else"),  # test_nginx.py
            ("nginx", "Behind nginx"),  # test_nginx.py
        }
        assert block.file or executed, f"{block}: names no file and is not executed"
    else:
        known = ("console", "sh", "mermaid")
        assert block.language in known, f"{block}: a block in {block.language!r}"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "sh"], ids=str)
def test_shell_commands_name_what_is_there(block: Block) -> None:
    folder = ROOT
    for line in block.text.splitlines():
        known = re.match(
            r"(?:\w+=\S+ )*(?:make \S+(?: \w+=\S+)*|cd (?P<cd>\S+)|npm install"
            r"|npm run (?P<script>\S+)|pytest|python deploy/redis_server\.py"
            r"|celery -A deploy\.worker worker --concurrency 2"
            r"|gunicorn (?:--config deploy/gunicorn\.conf\.py )?(?:--bind 127\.0\.0\.1:81\d\d )?"
            r"(?:--workers \d )?\"app:create_app\(\)\""
            r"|pip install -r (?P<file>\S+) pytest|python -m venv \.venv|\. \.venv/bin/activate"
            r"|pip install (?:[\w\[\]-]+|'[\w\[\]<>=.,-]+'| )+|pytest tests/exercise\.py"
            r"|flask(?: --app article)? run(?: --without-threads)?(?: --port 8[12]\d\d)?)"
            r"(?: +#.*)?$",
            line,
        )
        assert known, f"{block}: no command of this book: {line}"
        folder = folder / (known["cd"] or "")
        assert (folder / (known["file"] or "")).exists(), f"{block}: not there: {line}"
        if known["script"]:
            scripts = json.loads((folder / "package.json").read_text(encoding="utf-8"))["scripts"]
            assert known["script"] in scripts, f"{block}: not in package.json: {line}"


@each_app
def test_transcript_is_what_the_commands_print(app: Path) -> None:
    shutil.which("curl") or missing("curl")
    twice = 2 if app in ONE_TECHNIQUE else 1  # whoever reads one may run it again
    wrong = {}
    for block, true in transcripts.rerun_all(app, times=twice):
        if not transcripts.agrees(block.text, true):
            wrong[str(block)] = f"{block}: says\n{block.text}\n    true is\n{true}"
    if wrong:
        pytest.fail("\n".join([*wrong.values(), "make transcripts rewrites them"]))


@pytest.mark.drill
@each_technique
def test_transcript_needs_no_other_before_it(chapter: Path) -> None:
    shutil.which("curl") or missing("curl")
    found = transcripts.consoles(chapter)
    with transcripts.served(chapter, {"81", "82"}) as rerun:
        for block in reversed(found):  # what comes before it on the page comes after it here
            true = rerun(block)
            assert transcripts.agrees(block.text, true), f"{block}: on a fresh app it is\n{true}"


VERDICT = re.compile(r"(✗|✓) \*\*([^*]+):\*\* \S")


def verdicts(page: Path) -> Iterator[tuple[int, str, Block | None]]:
    """Yield line and sign of each verdict of *page*, and the block that comes right after it."""
    lines = page.read_text(encoding="utf-8").splitlines()
    by_line = {block.line: block for block in blocks(page)}
    for number, line in enumerate(lines, 1):
        if line.startswith(("✗", "✓")):
            end = number
            while end < len(lines) and lines[end].strip():  # the paragraph may have more lines
                end += 1
            yield number, line, by_line.get(end + 2)


@each_technique
def test_a_pair_is_the_articles_version_and_then_ours(chapter: Path) -> None:
    page = chapter / "README.md"
    names = {"82": "Article", "81": "Ours"}
    before: tuple[str, int] = ("", 0)
    pairs = 0
    for number, line, block in verdicts(page):
        place = f"{page.relative_to(ROOT)}:{number}"
        match = VERDICT.match(line)
        assert match, f"{place}: a verdict reads ✗ **Article:** and why, or ✓ **Ours:** and why"
        assert block and block.language == "console", f"{place}: no console block comes after it"
        ports = set(re.findall(r":(8[12])(?!00)\d\d\b", block.text))  # 8100 is the reader
        assert len(ports) == 1, f"{block}: one block asks one version"
        name = names[ports.pop()]
        assert match[2] == name, f"{place}: the label of this block is {name}"
        if name == "Ours" and before[0] == "Article" and before[1] == number - 1:
            pairs += 1
        is_next = block.line + block.text.count("\n") + 3
        before = (name, is_next - 1)
    assert pairs >= 3, f"{page.relative_to(ROOT)}: has {pairs} pairs"


# Chapters


@pytest.mark.parametrize("app", [*ONE_TECHNIQUE, COMBINED], ids=title)
def test_headings_are_those_of_every_chapter(app: Path) -> None:
    found = parts(app / "README.md", "h2")
    wanted = COMBINED_HEADINGS if app == COMBINED else HEADINGS
    for part, heading in zip(found, wanted, strict=False):
        assert part.title == heading, f"{part}: the heading here is {heading!r}"
    assert len(found) == len(wanted), f"{title(app)}/README.md: {wanted} are the headings"


@each_step
def test_headings_of_a_step_are_some_of_a_chapters(step: Path) -> None:
    rest = list(STEP_HEADINGS)
    for part in parts(step / "README.md", "h2"):
        assert part.title in rest, f"{part}: {rest} are the headings that may be here"
        rest = rest[rest.index(part.title) + 1 :]
    [first, *_] = headings(step / "README.md")
    number = step.name.partition("_")[0]
    wanted = f"06, step {number}: .+"
    assert re.fullmatch(wanted, first[2]), f"{title(step)}/README.md: its title is {first[2]!r}"


@pytest.mark.parametrize("app", APPS, ids=title)
def test_a_readme_is_neither_long_nor_thin(app: Path) -> None:
    least, most = 900, 1400
    if app == COMBINED:
        most = 1700
    if app in STEPS:
        least, most = 300, 700
    count = len(prose(app / "README.md").split())
    assert least <= count <= most, f"{title(app)}/README.md: has {count} words"


def code_lines(path: Path, with_imports: bool = False) -> dict[int, str]:
    """Return the lines of a module, stripped, without docstrings and comments, and imports."""
    text = path.read_text(encoding="utf-8")
    found = {number: line.strip() for number, line in enumerate(text.splitlines(), 1)}
    for node in ast.walk(ast.parse(text)):
        left_out: ast.AST | None = None
        if isinstance(node, ast.Import | ast.ImportFrom):
            left_out = None if with_imports else node
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            left_out = node.body[0] if ast.get_docstring(node) else None
        if isinstance(left_out, ast.stmt):
            for number in range(left_out.lineno, (left_out.end_lineno or 0) + 1):
                found[number] = ""
    return {number: line for number, line in found.items() if line and not line.startswith("#")}


@each_technique
def test_every_line_of_the_technique_is_shown(chapter: Path) -> None:
    page, file = chapter / "README.md", TECHNIQUES[chapter.name]
    shown = [b.text.splitlines() for b in blocks(page) if (b.language, b.file) == ("python", file)]
    known = {line.strip() for block in shown for line in block}
    hidden = [
        f"{file}:{number}: {line}"
        for number, line in code_lines(chapter / file).items()
        if line not in known
    ]
    if hidden:
        pytest.fail("\n".join([f"{page.relative_to(ROOT)}: does not show", *hidden]))


@each_technique
def test_the_articles_code_is_shown(chapter: Path) -> None:
    shown = [b for b in blocks(chapter / "README.md") if b.file == "article.py"]
    assert shown, f"{chapter.name}/README.md: shows nothing of article.py"


@each_app
def test_an_app_names_no_port_but_its_own(app: Path) -> None:
    for page in pages(app):
        for place, line in lines(page):
            for port in re.findall(r":(8[12]\d\d)\b", line):
                own = port[2:] == chapter_number(app)
                assert own or port == "8100", f"{place}: says port {port}"


@each_app
def test_a_shared_file_is_the_original(app: Path) -> None:
    for name, original in originals(app).items():
        same = (app / name).read_bytes() == original.read_bytes()
        where = original.relative_to(ROOT)
        assert same, f"{title(app)}/{name} is not {where}; make carry copies it"


# Code lines of a chapter's app, without article.py and tests. What is more belongs elsewhere.
MOST_LINES = {"01": 110, "02": 110, "03": 110, "04": 130, "05": 210}
MOST_LINES_OF_AN_ARTICLE = 45


def code_count(path: Path) -> int:
    """Return the lines of a module without blank ones, comments and docstrings."""
    return len(code_lines(path, with_imports=True))


@each_technique
def test_a_chapter_is_small_and_mostly_its_technique(chapter: Path) -> None:
    of_the_book = ("article.py", "conftest.py")
    counts = {p.name: code_count(p) for p in chapter.glob("*.py") if p.name not in of_the_book}
    technique = counts[TECHNIQUES[chapter.name]] + counts.get("exceptions.py", 0)
    if TECHNIQUES[chapter.name] == "exceptions.py":
        technique = counts["exceptions.py"]
    total = sum(counts.values())
    assert total <= MOST_LINES[chapter.name[:2]], f"{chapter.name}: {counts}"
    assert technique > total / 2, f"{chapter.name}: {counts}"
    article = code_count(chapter / "article.py")
    assert article <= MOST_LINES_OF_AN_ARTICLE, f"{chapter.name}/article.py: {article} lines"


@pytest.mark.drill
@each_app
def test_an_app_alone_in_a_folder_passes_its_tests(app: Path, tmp_path: Path) -> None:
    alone = tmp_path / app.name
    shutil.copytree(app, alone, ignore=shutil.ignore_patterns("node_modules", "instance", "steps"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    if app == COMBINED:  # these import all of it, and the others take more than a minute
        command += ["tests/test_context.py", "tests/test_contacts.py"]
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout


# Traps


def without_code(part: Part) -> str:
    return re.sub(r"```.*?```", "", "\n".join(part.lines), flags=re.DOTALL)


def line_above(part: Part, block: Block) -> str:
    """Return the last line above *block* that isn't empty."""
    return "\n".join(part.lines[: block.line - part.line - 1]).strip().rpartition("\n")[2]


def named_tests(part: Part) -> set[str]:
    """Return the names of the tests that the text links to; each is in the file of its link."""
    found = re.findall(r"\[`(test_\w+)`\]\((\S+\.py)\)", without_code(part))
    for name, file in found:
        path = part.page.parent / file
        assert path.exists(), f"{part}: there is no {file}"
        assert f"def {name}(" in path.read_text(encoding="utf-8"), f"{part}: no {name} in {file}"
    return {name for name, _ in found}


def stories(chapter: Path) -> list[Part]:
    """Return the parts that tell one trap each, outside the README."""
    assert (chapter / "traps.md").exists(), f"{chapter.name}: there is no traps.md"
    found = parts(chapter / "traps.md", "h2")
    if (chapter / "operations.md").exists():
        of_servers = parts(chapter / "operations.md", "h3")
        found += [part for part in of_servers if part.section == "Traps"]
    return found


def repairs(app: Path) -> list[Part]:
    """Return the parts of the README that tell what goes wrong and repair it."""
    found = parts(app / "README.md", "h3")
    return [part for part in found if part.section == "What goes wrong"]


@each_chapter
def test_every_trap_is_a_short_story_and_names_its_test(chapter: Path) -> None:
    assert stories(chapter), f"{chapter.name}: tells no traps"
    for part in stories(chapter):
        length = len([line for line in without_code(part).splitlines() if line])
        above = {line_above(part, block) for block in part.blocks()}
        assert length <= 15, f"{part}: more than fifteen lines"
        assert above, f"{part}: shows no code"
        assert above <= {"Wrong:", "Seen:", "Right:", "Run:"}, (
            f"{part}: does not say what code it is"
        )
        assert {"Wrong:", "Seen:"} & above, f"{part}: does not show what goes wrong"
        assert named_tests(part), f"{part}: names no test"


@each_technique
def test_what_goes_wrong_is_told_in_steps(chapter: Path) -> None:
    found = repairs(chapter)
    assert 3 <= len(found) <= 5, f"{chapter.name}/README.md: has {len(found)} steps"
    for number, part in enumerate(found, 1):
        assert part.title.startswith(f"{number}. "), f"{part}: is number {number}"
        assert [block for block in part.blocks() if block.file], f"{part}: shows no excerpt"
        assert named_tests(part), f"{part}: names no test"


def untold(folder: str, where: list[Path]) -> set[str]:
    """Return the traps that the tests in *folder* pin and that none of the pages names."""
    told: set[str] = set()
    for page in where:
        told = told.union(*(named_tests(part) for part in parts(page, "h2")))
    return {name for name, path in traps().items() if path.parts[0] == folder} - told


@each_chapter
def test_every_trap_of_a_chapter_is_told_there(chapter: Path) -> None:
    where = pages(chapter)
    if chapter == COMBINED:
        where += [page for step in STEPS for page in pages(step)]
    lost = untold(chapter.name, where)
    assert not lost, f"{chapter.name}: no page tells of {lost}"


def test_every_trap_of_the_checks_is_told() -> None:
    lost = untold("checks", PAGES)
    assert not lost, f"no page tells of {lost}"


def plain(title: str) -> str:
    """Return a heading as a comment names it: in lower case, without number and markup."""
    return re.sub(r"^\d+\. |[`\\]", "", title).lower()


@each_step
def test_a_step_tells_what_goes_wrong_and_names_a_test(step: Path) -> None:
    told = [part for part in parts(step / "README.md", "h2") if part.title == "What goes wrong"]
    assert told, f"{title(step)}/README.md: does not tell what goes wrong"
    assert named_tests(told[0]), f"{told[0]}: names no test"


@pytest.mark.parametrize("app", [*ONE_TECHNIQUE, *STEPS], ids=title)
def test_every_mark_of_a_trap_leads_to_its_story(app: Path) -> None:
    told_in = [*repairs(app), *stories(COMBINED if app in STEPS else app)]
    if app in STEPS:  # where there is one trap, it may be the whole section
        told_in += parts(app / "README.md", "h2")
    titles = [plain(part.title) for part in told_in]
    lost = []
    for path in (app / "article.py", app / "frontend/article.js"):
        for place, line in lines(path) if path.exists() else []:
            for mark in re.findall(r"(?:#|//) Trap: (.+)", line):
                # The mark may be shorter than the heading, or longer.
                told = [t for t in titles if t.startswith(plain(mark)) or plain(mark).startswith(t)]
                if not told:
                    lost.append(f"{place}: no heading for {mark!r}")
    if lost:
        pytest.fail("\n".join(lost))


# English


def sentences(page: Path) -> Iterator[str]:
    for paragraph in inline(page, code="name"):
        yield from re.split(r"(?<=[.!?:])\s+", paragraph.replace("\n", " "))


@each_page
def test_no_clause_begins_with_a_bare_who(page: Path) -> None:
    """As in "Who has no login gets 401": it needs a noun, such as "a request without a login"."""
    bare = r"^Who (?!.*\?)|\b(?:because|but|by|for|if|of|since|so|that|then|to) who\b"
    found = [sentence for sentence in sentences(page) if re.search(bare, sentence)]
    assert not found, f"{page.relative_to(ROOT)}: has a bare who: {found}"


# References


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@each_page
def test_every_link_inside_the_repository_resolves(page: Path) -> None:
    for token in tokens(page):
        for child in token.children or []:
            target = str(child.attrGet("href") or child.attrGet("src") or "")
            if child.type in ("link_open", "image") and "://" not in target:
                name, _, anchor = target.partition("#")
                place = f"{page.relative_to(ROOT)}:{token.map[0] + 1 if token.map else '?'}"
                path = page.parent / name if name else page
                assert path.exists(), f"{place}: there is no {target}"
                slugs = [slug(text) for _, _, text in headings(path)] if anchor else [""]
                assert anchor in slugs, f"{place}: {name} has no heading {anchor}"


def code(page: Path) -> Iterator[tuple[str, str]]:
    """Yield each line of the fenced blocks and each text in backticks, with its place."""
    for block in blocks(page):
        for line in block.text.splitlines():
            yield str(block), line
    for token in tokens(page):
        for child in token.children or []:
            if child.type == "code_inline" and token.map:
                yield f"{page.relative_to(ROOT)}:{token.map[0] + 1}", child.content


@each_page
def test_every_make_command_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    chapters = [chapter.name[:2] for chapter in CHAPTERS]
    for place, line in code(page):
        command = r"(?:^|&& |' )make ([a-z]+)(?:-(\d\d|NN))?\b(?:.* STEP=(\w+))?"
        for goal, chapter, step in re.findall(command, line):
            rule = rf"^{goal}-%:" if chapter else rf"^{goal}:"
            assert re.search(rule, makefile, re.MULTILINE), f"{place}: there is no make {goal}"
            assert chapter in ("", "NN", *chapters), f"{place}: there is no chapter {chapter}"
            if step:
                known = [str(n) for n in range(1, len(STEP_NAMES) + 2)]
                assert chapter == "06", f"{place}: chapter {chapter} has no steps"
                assert step in known, f"{place}: there is no step {step}"


@each_page
def test_every_version_named_is_the_locks(page: Path) -> None:
    text = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    lock = dict(re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", text, re.MULTILINE))
    for token in tokens(page):
        # "since Werkzeug 1.2.3" tells of the past; a bare "Werkzeug 1.2.3" is what is used here.
        if token.type != "inline":
            continue
        named = r"(?i)((?:for|from|in|since|until)\s)?\b([A-Za-z][\w-]*)(?:\s|==)(\d+\.[\d.]*\d)"
        for past, name, version in re.findall(named, token.content):
            true = lock.get(name.lower(), version)
            place = f"{page.relative_to(ROOT)}:{token.map[0] + 1 if token.map else '?'}"
            same = past or f"{true}.".startswith(f"{version}.")
            assert same, f"{place}: says {name} {version}; the lock has {true}"
