"""What the READMEs say is true. Every failure names page and line, what it says, what is true."""

import difflib
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import transcripts
from book import CHAPTERS, ROOT, changes, traps
from conftest import missing
from pages import PAGES, Block, blocks, declared, headings, section, sections, table, tokens

EXCERPTS = ("python", "html", "js", "ini", "nginx")
HEADINGS = [
    "Run it",
    "The problem",
    "The technique",
    "Try it",
    "Traps",
    "Then and now",
    "Use it in your app",
    "When to reach for something else",
    "What changed in this chapter",
    "Next",
]
BLOCKS = [block for page in PAGES for block in blocks(page)]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)


def lines(page: Path) -> Iterator[tuple[str, str]]:
    """Yield each line of *page* with its place, as in ``README.md:7``."""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        yield f"{page.relative_to(ROOT)}:{number}", line


# Blocks


def find(part: str, source: list[str], start: int) -> int | None:
    """Return the line behind *part* in *source*, from *start* on; indentation may differ."""
    wanted = textwrap.dedent(part).strip("\n")
    length = wanted.count("\n") + 1
    for index in range(start, len(source) - length + 1):
        if textwrap.dedent("\n".join(source[index : index + length])) == wanted:
            return index + length
    return None


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


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_an_excerpt_or_is_executed(block: Block) -> None:
    if block.language in EXCERPTS:
        executed = (block.language, block.section) in {
            ("python", "Use it in your app"),  # test_use.py
            ("nginx", "When to reach for something else"),  # test_nginx.py
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
            r"(?:\w+=\S+ )?(?:make \S+(?: \w+=\S+)?|cd (?P<cd>\S+)|npm install"
            r"|npm run (?P<script>\S+)|pytest|python redis_server\.py"
            r"|celery -A make_celery:celery worker --concurrency 2|gunicorn \"app:create_app\(\)\""
            r"|pip install -r (?P<file>\S+) pytest|python -m venv \.venv|\. \.venv/bin/activate"
            r"|flask run --port 81\d\d)(?: +#.*)?$",
            line,
        )
        assert known, f"{block}: no command of this book: {line}"
        folder = folder / (known["cd"] or "")
        assert (folder / (known["file"] or "")).exists(), f"{block}: not there: {line}"
        if known["script"]:
            scripts = json.loads((folder / "package.json").read_text(encoding="utf-8"))["scripts"]
            assert known["script"] in scripts, f"{block}: not in package.json: {line}"


@each_chapter
def test_transcript_is_what_the_commands_print(chapter: Path) -> None:
    shutil.which("curl") or missing("curl")
    wrong = []
    for block, true in transcripts.rerun(chapter):
        says = block.text.splitlines()
        for offset, (said, is_true) in enumerate(zip(says, true.splitlines(), strict=False), 1):
            if said != is_true:
                wrong.append(f"{block.page.relative_to(ROOT)}:{block.line + offset}: {said!r}")
                wrong.append(f"    true is {is_true!r}")
                break
        else:
            if block.text != true:
                wrong.append(f"{block}: says\n{block.text}\n    true is\n{true}")
    if wrong:
        pytest.fail("\n".join([*wrong, "make transcripts rewrites them"]))


# Chapters


@each_chapter
def test_headings_are_those_of_every_chapter(chapter: Path) -> None:
    page = chapter / "README.md"
    found = sections(page)
    for (line, heading), true in zip(found, HEADINGS, strict=False):
        place = f"{page.relative_to(ROOT)}:{line}"
        assert heading == true, f"{place}: says {heading!r}, true is {true!r}"
    assert len(found) == len(HEADINGS), f"{page.relative_to(ROOT)}: {HEADINGS} are the headings"


@each_chapter
def test_a_chapter_names_no_port_but_its_own(chapter: Path) -> None:
    for place, line in lines(chapter / "README.md"):
        for port in re.findall(r":(81\d\d)\b", line):
            assert port == f"81{chapter.name[:2]}", f"{place}: says port {port}"


@each_chapter
def test_table_of_changes_is_the_difference_of_the_folders(chapter: Path) -> None:
    said = declared(chapter)
    true = {name: kind for kind, names in changes(chapter).items() for name in names}
    for name, kind in true.items():
        row = name if name in said else f"{name.split('/')[0]}/"  # a row may stand for a folder
        assert row in said, f"{chapter.name}/README.md: says nothing of {name}, which is {kind}"
        says, place = said[row]
        hint = "; make carry copies it forward" if says == "carried over" else ""
        assert says == kind, f"{place}: says that {name} is {says}; it is {kind}{hint}"
    for row, (_, place) in said.items():
        assert any(name.startswith(row) for name in true), f"{place}: there is no {row}"


@pytest.mark.drill
@each_chapter
def test_chapter_alone_in_a_folder_passes_its_tests(chapter: Path, tmp_path: Path) -> None:
    alone = tmp_path / chapter.name
    shutil.copytree(chapter, alone, ignore=shutil.ignore_patterns("node_modules", "instance"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout


@each_page
def test_tables_of_codes_equal_the_catalogue(page: Path) -> None:
    rows = table(page, "The technique")
    codes = [(number, cells) for number, cells in rows if re.fullmatch(r"\d+", cells[0])]
    if codes:
        show = """if True:
            import json, errors
            entries = errors.catalogue() if hasattr(errors, "catalogue") else []
            rows = [list(entry.values()) for entry in entries] or errors.CATALOGUE
            print(json.dumps(rows))"""
        true = json.loads(subprocess.check_output([sys.executable, "-c", show], cwd=page.parent))
        assert len(codes) == len(true), f"{page.relative_to(ROOT)}:{codes[0][0]}: not all codes"
        for (number, cells), entry in zip(codes, true, strict=True):
            place = f"{page.relative_to(ROOT)}:{number}"
            assert cells == [str(field) for field in entry], f"{place}: true is {entry}"


# Traps


@each_chapter
def test_every_trap_is_a_short_story_and_names_its_test(chapter: Path) -> None:
    page = chapter / "README.md"
    stories: list[list[str]] = []
    for number, line in section(page, "Traps"):
        if line.startswith("### "):
            stories.append([f"{page.relative_to(ROOT)}:{number}: {line}"])
        elif line and stories:
            stories[-1].append(line)
    assert stories, f"{page.relative_to(ROOT)}: no traps"
    pinned = set()
    for place, *story in stories:
        prose = re.sub(r"```.*?```", "", "\n".join(story), flags=re.DOTALL)
        names = dict(re.findall(r"\[`(test_trap\w+)`\]\((\S+)\)", prose))
        assert len(prose.strip().splitlines()) <= 15, f"{place}: more than fifteen lines"
        above = [story[i - 1] for i, line in enumerate(story) if re.match(r"```\w", line)]
        assert above, f"{place}: shows no code"
        assert set(above) <= {"Wrong:", "Seen:", "Right:"}, f"{place}: does not say what code it is"
        assert {"Wrong:", "Seen:"} & set(above), f"{place}: does not show what goes wrong"
        assert names, f"{place}: names no test"
        for name, file in names.items():
            source = (chapter / file).read_text(encoding="utf-8")
            assert f"def {name}(" in source, f"{place}: there is no {name} in {file}"
        pinned |= set(names)
    tests = {name for name, path in traps().items() if path.parts[0] == chapter.name}
    assert tests <= pinned, f"{page.relative_to(ROOT)}: no story for {tests - pinned}"


# References


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@each_page
def test_every_link_inside_the_repository_resolves(page: Path) -> None:
    for token in tokens(page):
        for child in token.children or []:
            target = str(child.attrGet("href") or "")
            if child.type == "link_open" and "://" not in target:
                name, _, anchor = target.partition("#")
                place = f"{page.relative_to(ROOT)}:{token.map[0] + 1 if token.map else '?'}"
                path = page.parent / name if name else page
                assert path.exists(), f"{place}: there is no {target}"
                slugs = [slug(text) for _, _, text in headings(path)] if anchor else [""]
                assert anchor in slugs, f"{place}: {name} has no heading {anchor}"


@each_page
def test_every_make_command_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    chapters = [chapter.name[:2] for chapter in CHAPTERS]
    for place, line in lines(page):
        for goal, number in re.findall(r"(?:^|`|&& |' )make ([a-z]+)(?:-(\d\d|NN))?\b", line):
            rule = rf"^{goal}-%:" if number else rf"^{goal}:"
            assert re.search(rule, makefile, re.MULTILINE), f"{place}: there is no make {goal}"
            assert number in ("", "NN", *chapters), f"{place}: there is no chapter {number}"


@each_page
def test_every_version_named_is_the_locks(page: Path) -> None:
    text = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    lock = dict(re.findall(r"^(\S+)==(\S+)", text, re.MULTILINE))
    history = {number for number, _ in section(page, "Then and now")}
    for token in tokens(page):
        # "since Werkzeug 1.2.3" tells of the past; a bare "Werkzeug 1.2.3" is what is used here.
        number = token.map[0] + 1 if token.map else 0
        if token.type != "inline" or number in history:
            continue
        named = r"(?i)((?:for|in|since)\s)?\b([A-Za-z][\w-]*)(?:\s|==)(\d+\.[\d.]*\d)"
        for past, name, version in re.findall(named, token.content):
            true = lock.get(name.lower(), version)
            place = f"{page.relative_to(ROOT)}:{number}"
            same = past or f"{true}.".startswith(f"{version}.")
            assert same, f"{place}: says {name} {version}; the lock has {true}"
