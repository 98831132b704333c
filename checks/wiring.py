"""Copy a chapter's technique into another app, as its README says.

The apps are in neighbours/, each beside a file that says what works in it. What to copy, import and
wire up stands in the README's section "Use it in your app": the files it links to, one app, and
blocks named after the neighbour that needs them. What such a block defines replaces what the
neighbour has by that name; the rest is added.
"""

import ast
import re
import shutil
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from book import ROOT
from book_pages import tables
from pages import blocks, section

TITLE = "Use it in your app"
TABLE = "If your app has ..."
NEIGHBOURS = ROOT / "checks/neighbours"


@dataclass
class Row:
    """A row of a table "If your app has ..." as a test.

    *says* are lines for `asking.py`, *changed* those requests of *used* that are answered
    differently than before: ``METHOD PATH STATUS -> what the new answer has``. *more* is code that
    the reader writes; *edit* is a copied file, a text in it, and what they put there instead, if
    anything.
    """

    says: str = "check"
    changed: str = ""
    more: str = ""
    edit: tuple[str, ...] = ()


class Neighbour:
    """An app, as neighbours/*.toml describes it.

    *name* is what the tables call it, *path* a file or folder, *module* what is imported, *mount*
    the prefix that it's served below, *used* the requests that work before anything is copied, and
    *views* are two more views, in its style.
    """

    def __init__(self, toml: Path) -> None:
        told = tomllib.loads(toml.read_text(encoding="utf-8"))
        self.name: str = told.pop("name")
        self.path = NEIGHBOURS / told.pop("path", f"{toml.stem}.py")
        self.module: str = told.pop("module", toml.stem)
        self.mount: str = told.pop("mount", "")
        self.used: list[str] = told.pop("used").splitlines()
        self.views: str = told.pop("views", "")
        self.rows = {key: Row(**row) for key, row in told.items()}

    def __str__(self) -> str:
        return self.name

    @property
    def is_package(self) -> bool:
        folder: Path = self.path / self.module
        return folder.is_dir()

    def row(self, number: str, place: str) -> Row:
        """Return what is said of a chapter; without a row, its technique just works."""
        return self.rows.get(f"{number} {place}") or self.rows.get(number) or Row()


@dataclass
class Recipe:
    """What a chapter's README tells the copier."""

    chapter: Path
    text: str
    modules: list[str]  # the files to copy, without their .py
    app: str  # its code
    rows: dict[str, str]  # by the neighbour's name: what the table says
    extras: dict[str, str]  # by the neighbour's name: the code for it

    def __str__(self) -> str:
        return self.chapter.name


def table(page: Path) -> dict[str, str]:
    """Return the table "If your app has ...": by the name in its first cell, the other cells.

    A cell may have several names, with commas between them. They lose their backticks, which the
    fence of a block can't have.
    """
    for (_, head), *rows in tables(page):
        if head[0] == TABLE:
            named = [(cells[0].replace("`", ""), " ".join(cells[1:])) for _, cells in rows]
            return {name: text for names, text in named for name in names.split(", ")}
    return {}


@cache
def recipe(chapter: Path) -> Recipe:
    """Read the README of *chapter*. LookupError: its section doesn't have exactly one app."""
    page = chapter / "README.md"
    text = "\n".join(line for _, line in section(page, TITLE))
    modules = list(dict.fromkeys(re.findall(r"\[`(\w+)\.py`\]\(\1\.py\)", text)))
    apps, extras = [], {}
    for block in blocks(page):
        if (block.section, block.language) == (TITLE, "python"):
            if block.file:
                extras.update(dict.fromkeys(block.file.split(", "), block.text))
            elif "\napp = Flask(__name__)\n" in block.text:
                apps.append(block.text)
    if len(apps) != 1 or not modules:
        raise LookupError(f"{page}: {TITLE!r} has {len(apps)} apps and links to {modules}")
    return Recipe(chapter, text, modules, apps[0], table(page), extras)


# Changing code


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
    """Return the imports of *code*, and its other statements."""
    imports: list[str] = []
    others: list[str] = []
    for node, text in statements(code):
        is_import = isinstance(node, (ast.Import, ast.ImportFrom))
        (imports if is_import else others).append(text)
    return imports, others


def subject(node: ast.stmt) -> str:
    """Return what a statement is about, by which one replaces another; nothing if it's alone."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        handled = [ast.unparse(one) for one in node.decorator_list]
        return next((one for one in handled if "errorhandler(" in one), node.name)
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = ast.unparse(node.value.func)
        if called.endswith((".init_app", ".add_url_rule")):
            return f"{called}({ast.unparse(node.value.args[0])}"
    return ""


def with_arguments(old: ast.stmt, new: ast.stmt) -> str:
    """Return ``x = New(...)`` with the arguments of ``x = Old(...)``; nothing for anything else."""
    match old, new:
        case ast.Assign(value=ast.Call() as was), ast.Assign(value=ast.Call() as now):
            named = [keyword.arg for keyword in now.keywords]
            now.args = was.args
            now.keywords += [keyword for keyword in was.keywords if keyword.arg not in named]
            return ast.unparse(new)
    return ""


def replace(source: str, extra: list[str]) -> tuple[str, list[str]]:
    """Put each statement of *extra* in the place of the one of *source* that it's about.

    What comes before it in *extra* goes with it. A call keeps the arguments that it had: ``api =
    Api(app, "/v1")`` becomes ``api = OurApi(app, "/v1")``. Return the new source and what has no
    place.
    """
    waiting: list[str] = []
    for text in extra:
        [new] = ast.parse(text).body
        waiting.append(text)
        for old, old_text in statements(source):
            if subject(new) and subject(new) == subject(old):
                waiting[-1] = with_arguments(old, new) or text
                source = source.replace(old_text, "\n\n\n".join(waiting), 1)
                waiting = []
                break
    return source, waiting


def insert(source: str, imports: list[str], first: list[str], last: list[str]) -> str:
    """Return *source* with *first* just after its app is made, and *last* at the end.

    That is the end of the factory if it has one, before it returns the app.
    """
    body = ast.parse(source).body
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == "create_app":
            body = node.body
    lines = source.splitlines()
    indent = " " * body[0].col_offset

    def put(line: int, code: list[str]) -> None:
        added = "\n\n\n".join(code).splitlines()
        lines[line:line] = [(indent + text).rstrip() for text in ["", *added, ""]]

    put(body[-1].lineno - 1 if isinstance(body[-1], ast.Return) else len(lines), last)
    [made] = [node for node in body if subject(node) == "app"]
    put(made.end_lineno or made.lineno, first)
    lines[1:1] = imports  # below the docstring, which is one line in each of them
    return "\n".join(lines) + "\n"


def with_dots(code: str, modules: list[str]) -> str:
    """Make the imports of *modules* relative, as in a package."""
    one = "|".join(modules)
    code = re.sub(rf"(?m)^import ({one})$", r"from . import \1", code)
    return re.sub(rf"(?m)^from ({one}) import", r"from .\1 import", code)


def untold(code: str, text: str) -> list[str]:
    """Return the modules that *code* imports with a dot, as far as *text* doesn't say so."""
    text = " ".join(text.split())  # the page breaks its lines wherever they are full
    together = ", ".join(re.findall(r"from \. import ([\w, ]+)", text)).split(", ")
    alone = re.findall(r"(?m)^from \. import (\w+)$", code)
    of_it = re.findall(r"(?m)^from \.(\w+) import", code)
    missing = [name for name in alone if name not in together]
    return missing + [name for name in of_it if f"from .{name} import" not in text]


def renamed(code: str, names: dict[str, str]) -> str:
    """Import the copies of modules by their new *names*."""
    for module, name in names.items():
        code = re.sub(rf"(?m)^import {module}$", f"import {name} as {module}", code)
        code = re.sub(rf"(?m)^from {module} import", f"from {name} import", code)
    return code


# Building


class Copy:
    """*neighbour* with a technique in it, in *folder*."""

    def __init__(self, folder: Path, neighbour: Neighbour) -> None:
        self.folder = folder
        self.neighbour = neighbour
        if neighbour.path.is_dir():
            shutil.copytree(neighbour.path, folder, dirs_exist_ok=True)
        else:
            shutil.copy(neighbour.path, folder)
        inner = f"{neighbour.module}/__init__.py" if neighbour.is_package else ""
        self.main = folder / (inner or f"{neighbour.module}.py")

    def wire(self, recipe: Recipe, place: str, more: str = "") -> None:
        """Copy the technique; *place* is "first" or "last", *more* is what its user writes then.

        AssertionError: the README doesn't say which imports get a dot.
        """
        # What the table calls the copy of a module whose name is taken.
        names = {}
        for module in recipe.modules:
            told = recipe.rows.get(self.neighbour.name, "")
            offered = re.findall(rf"`(\w+_{module}|{module}_\w+)(?:\.py)?`", told)
            if offered and (self.main.parent / module).is_dir():
                names[module] = offered[0]

        def adapt(code: str, is_theirs: bool = False) -> str:
            code = renamed(code, names)
            if self.neighbour.is_package:
                code = with_dots(code, recipe.modules)
                silent = [] if is_theirs else untold(code, recipe.text)
                where = f"{recipe}/README.md: {TITLE!r}"
                assert not silent, f"{where} doesn't say that {silent} get a dot in a package"
            return code

        for module in recipe.modules:
            code = adapt((recipe.chapter / f"{module}.py").read_text(encoding="utf-8"))
            copy = self.main.parent / f"{names.get(module, module)}.py"
            copy.write_text(code, encoding="utf-8")

        source = self.main.read_text(encoding="utf-8")
        imports, wiring = split(adapt(recipe.app))
        wiring = [text for text in wiring if not text.endswith("app = Flask(__name__)")]
        block = recipe.extras.get(self.neighbour.name, "")
        # By another name, the block's call of init_app is instead of the app's.
        for module in re.findall(r"(?m)^from (\w+) import init_app as", block):
            wiring = [text for text in wiring if f"{module}.init_app(" not in text]
        rest = []
        for code in (adapt(block), adapt(more, is_theirs=True)):
            its_imports, others = split(code)
            imports += its_imports
            source, others = replace(source, others)
            wired, others = replace("\n\n\n".join(wiring), others)
            wiring = [wired]
            rest += others
        settings = [text for text in rest if text.startswith("app.config")]
        rest = [text for text in rest if text not in settings]
        wiring = [*settings, *wiring]
        first, last = (wiring, rest) if place == "first" else ([], wiring + rest)
        self.main.write_text(insert(source, imports, first, last), encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """In a copied file, put a text in the place of another."""
        path = self.main.parent / name
        code = path.read_text(encoding="utf-8")
        assert code.count(old) == 1, f"{name} doesn't have {old!r} once"
        path.write_text(code.replace(old, new), encoding="utf-8")

    def command(self, server: str, port: int) -> list[str]:
        """Return the command that serves the app with gunicorn or waitress."""
        is_mounted = "\napplication = " in self.main.read_text(encoding="utf-8")
        name = "application" if is_mounted else "app"
        options = {"gunicorn": ["--no-control-socket", "--bind"], "waitress": ["--listen"]}[server]
        options.append(f"127.0.0.1:{port}")
        if self.neighbour.is_package:
            name = {"gunicorn": "create_app()", "waitress": "create_app"}[server]
            options += {"gunicorn": [], "waitress": ["--call"]}[server]
        return [sys.executable, "-m", server, *options, f"{self.neighbour.module}:{name}"]
