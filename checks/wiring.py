"""Copy a chapter's technique into another app, as its README says, and send requests to the result.

The apps are in neighbours/. What is copied, imported and wired up stands in the README's section "Use
it in your app": files it links to, one app, and blocks named after the neighbour that needs them.
"""

import ast
import multiprocessing
import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it.token import Token

from book import ROOT
from pages import Block, blocks, section, section_at, tokens

TITLE = "Use it in your app"
TABLE = "If your app has ..."
NEIGHBOURS = ROOT / "checks/neighbours"
# Imported once, before the processes that serve an app are forked.
LIBRARIES = """pytest wiring apiflask asgiref.sync flask_cors flask_login flask_restful flask_restx
    flask_smorest flask_wtf sentry_sdk""".split()
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(LIBRARIES)


@dataclass
class Recipe:
    """What a chapter's README tells the copier."""

    chapter: Path
    text: str
    copied: list[str]
    app: Block
    rows: dict[str, str]  # by the neighbour's name, what the table says of it
    extras: dict[str, Block]  # by the neighbour's name, the code for it

    def __str__(self) -> str:
        return self.chapter.name


def plain(name: str) -> str:
    """Return the name of a neighbour as the fence of a block can have it, without backticks."""
    return name.replace("`", "").strip()


def told(page: Path) -> dict[str, str]:
    """Return the rows of the table "If your app has ...": the first cell, and the others."""
    found: dict[str, str] = {}
    row: list[str] = []
    is_ours = False
    previous: Token | None = None
    for token in tokens(page):
        if token.type == "tr_open":
            row = []
        elif token.type == "inline" and previous and previous.type in ("th_open", "td_open"):
            row.append(token.content)
        elif token.type == "tr_close" and previous and previous.type == "th_close":
            is_ours = row[0] == TABLE
        elif token.type == "tr_close" and is_ours:
            for name in row[0].split(", "):
                found[plain(name)] = " ".join(row[1:])
        previous = token
    return found


def recipe(chapter: Path) -> Recipe:
    """Read the README of *chapter*; LookupError if its section has not exactly one app."""
    page = chapter / "README.md"
    text = "\n".join(line for _, line in section(page, TITLE))
    copied = re.findall(r"\[`(\w+\.py)`\]\(\1\)", text)
    code = [block for block in blocks(page) if section_at(page, block.line) == TITLE]
    code = [block for block in code if block.language == "python"]
    apps = [block for block in code if "\napp = Flask(__name__)\n" in block.text]
    if len(apps) != 1:
        raise LookupError(f"{page}: {TITLE!r} has {len(apps)} apps, not one")
    extras = {block.file: block for block in code if block.file}
    return Recipe(chapter, text, list(dict.fromkeys(copied)), apps[0], told(page), extras)


def statements(code: str) -> list[tuple[ast.stmt, str]]:
    """Return the top-level statements of *code*, each with the comments above it."""
    lines = code.splitlines()
    found = []
    start = 0
    for node in ast.parse(code).body:
        end = node.end_lineno or node.lineno
        found.append((node, "\n".join(lines[start:end]).strip("\n")))
        start = end
    return found


def split(code: str) -> tuple[list[str], list[str]]:
    """Return the imports of *code* and its other statements, without the one that makes the app."""
    imports, others = [], []
    for node, text in statements(code):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imports.append(text)
        elif names(node) != ["app"]:
            others.append(text)
    return imports, others


def names(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def body_with_app(tree: ast.Module) -> list[ast.stmt]:
    """Return the statements among which the app is made: the module's, or those of its factory."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "create_app":
            return node.body
    return tree.body


def wired(source: str, imports: list[str], wiring: list[str], place: str) -> str:
    """Return the app *source* with *imports* at its top and *wiring* at its *place*.

    "first" is just after the app is made, "last" is the end of the module or of the factory.
    """
    lines = source.splitlines()
    tree = ast.parse(source)
    body = body_with_app(tree)
    made = [node for node in body if names(node) == ["app"]]
    if place == "first":
        line = made[0].end_lineno or 0
    elif isinstance(body[-1], ast.Return):
        line = body[-1].lineno - 1
    else:
        line = len(lines)
    indent = " " * body[0].col_offset

    added = "\n\n\n".join(wiring).splitlines()
    lines[line:line] = [(indent + text).rstrip() for text in ["", *added, ""]]
    top = tree.body[0].end_lineno or 0  # below the docstring
    lines[top:top] = imports
    return "\n".join(lines) + "\n"


def replaced(source: str, extra: list[str]) -> tuple[str, list[str]]:
    """Put what *extra* defines anew in the place of what *source* has by that name.

    What a definition needs goes with it. Return the source and the statements that have no place.
    """
    waiting: list[str] = []
    for text in extra:
        waiting.append(text)
        [node] = ast.parse(text).body
        for old, old_text in statements(source):
            if names(node) and names(node) == names(old):
                source = source.replace(old_text, "\n\n".join(waiting), 1)
                waiting = []
                break
    return source, waiting


def with_dots(code: str, modules: list[str]) -> str:
    """Make the imports of *modules* relative, as in a package."""
    one = "|".join(modules)
    code = re.sub(rf"(?m)^import ({one})$", r"from . import \1", code)
    return re.sub(rf"(?m)^from ({one}) import", r"from .\1 import", code)


def without_a_word(code: str, text: str) -> list[str]:
    """Return the modules that *code* imports with a dot, as far as *text* doesn't say so."""
    text = " ".join(text.split())
    together = ", ".join(re.findall(r"from \. import ([\w, ]+)", text)).split(", ")
    found = [
        name for name in re.findall(r"(?m)^from \. import (\w+)", code) if name not in together
    ]
    for name in re.findall(r"(?m)^from \.(\w+) import", code):
        if f"from .{name} import" not in text:
            found.append(name)
    return found


def renamed(code: str, module: str, new: str) -> str:
    """Import the copy of *module* by its *new* name."""
    code = re.sub(rf"(?m)^import {module}$", f"import {new} as {module}", code)
    return re.sub(rf"(?m)^from {module} import", f"from {new} import", code)


def new_name(recipe: Recipe, module: str) -> str | None:
    """Return what the table says to call the copy of *module* where that name is taken."""
    row = recipe.rows.get("its own errors or exceptions", "")
    offered = re.findall(rf"`(\w*{module}\w*)\.py`", row)
    others = [name for name in offered if name != module]
    return others[0] if others else None


@dataclass
class Neighbour:
    """An app of neighbours/: its name in the tables, its folder or file, the module that it is."""

    name: str
    module: str
    folder: str = ""  # within neighbours/, if it's more than one file
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return plain(self.name)


def adapt(code: str, recipe: Recipe, neighbour: Neighbour, taken: list[str]) -> str:
    """Import the copied modules in *code* by the names that they have in *neighbour*."""
    modules = [name.removesuffix(".py") for name in recipe.copied]
    for module in taken:
        new = new_name(recipe, module)
        if new:
            code = renamed(code, module, new)
    if neighbour.folder == "package":
        code = with_dots(code, modules)
        silent = without_a_word(code, recipe.text)
        assert not silent, f"{recipe.app}: does not say that {silent} get a dot in a package"
    return code


def build(
    folder: Path, neighbour: Neighbour, recipe: Recipe, place: str = "last", more: str = ""
) -> None:
    """Make *neighbour* with the technique in *folder*; *more* is what its author then writes."""
    copy(folder, neighbour)
    main = folder / f"{neighbour.module}.py"
    if neighbour.folder == "package":
        main = folder / neighbour.module / "__init__.py"
    home = main.parent
    there = {path.name.removesuffix(".py") for path in home.iterdir()}
    taken = [name for name in map(lambda n: n.removesuffix(".py"), recipe.copied) if name in there]

    for name in recipe.copied:
        module = name.removesuffix(".py")
        target = new_name(recipe, module) if module in taken else None
        code = (recipe.chapter / name).read_text(encoding="utf-8")
        code = adapt(code, recipe, neighbour, taken)
        (home / f"{target or module}.py").write_text(code, encoding="utf-8")

    source = main.read_text(encoding="utf-8")
    imports, wiring = split(adapt(recipe.app.text, recipe, neighbour, taken))
    extra = recipe.extras.get(str(neighbour))
    if extra:
        more_imports, statements = split_extra(adapt(extra.text, recipe, neighbour, taken))
        source, waiting = replaced(source, statements)
        imports += more_imports
        wiring += waiting
    if more:
        more_imports, statements = split_extra(adapt(more, recipe, neighbour, taken))
        imports += more_imports
    ...
