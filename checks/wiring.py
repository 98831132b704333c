"""Copy a technique into another app, as its README says.

What to copy, import and wire up stands in the section "Use it in your app": the files it links to,
one app, and blocks named after the kinds of apps that need them. Apps of these kinds are in
neighbours/, each beside a file that says what works in it.
"""

import re
import shutil
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import indent

from book import ROOT
from book_pages import tables
from pages import blocks, section

TITLE = "Use it in your app"
TABLE = "If your app has ..."
NEIGHBOURS = ROOT / "checks/neighbours"


@dataclass
class Recipe:
    """What the README of a chapter or a step tells the copier."""

    page: str
    text: str
    files: list[Path]  # to copy
    app: str  # its code
    rows: dict[str, str]  # by the kind of app: what the table says
    extras: dict[str, str]  # by the kind of app: the code for it


@cache
def recipe(folder: Path) -> Recipe:
    """Read the README in *folder*. LookupError: its section doesn't have exactly one app."""
    page = folder / "README.md"
    text = "\n".join(line for _, line in section(page, TITLE))
    names = dict.fromkeys(re.findall(r"\[`(\w+\.py)`\]\(\1\)", text))
    apps, rows, extras = [], {}, {}
    for block in blocks(page):
        if (block.section, block.language) == (TITLE, "python"):
            if block.file:
                extras.update(dict.fromkeys(block.file.split(", "), block.text))
            elif "\napp = Flask(__name__)\n" in block.text:
                apps.append(block.text)
    if len(apps) != 1 or not names:
        raise LookupError(f"{page}: {TITLE!r} has {len(apps)} apps and links to {[*names]}")
    for (_, head), *lines in tables(page):
        if head[0] == TABLE:
            for _, (kinds, *told) in lines:  # the name of a block can't have backticks
                rows.update(dict.fromkeys(kinds.replace("`", "").split(", "), " ".join(told)))
    files = [folder / name for name in names]
    return Recipe(f"{folder.name}/README.md", text, files, apps[0], rows, extras)


@dataclass
class Row:
    """What a table "If your app has ..." says of an app, as a test.

    *kinds* are the rows, *says* are lines for `asking.Client`, *changed* those requests of *used*
    that are answered differently than before: ``METHOD PATH STATUS -> what the new answer has``.
    *more* is code that the reader writes; *edits* are files, a text in each, and what they put
    there instead.
    """

    kinds: list[str]
    says: str = "check"
    changed: str = ""
    more: str = ""
    edits: tuple[tuple[str, str, str], ...] = ()


class Neighbour:
    """An app, as neighbours/*.toml describes it.

    *kinds* are what the tables call it, *main* is its file, *application* what a server calls,
    *mount* the prefix that it's served below, *used* the requests that work before anything is
    copied, and *views* are two more views, in its style.
    """

    def __init__(self, toml: Path) -> None:
        told = tomllib.loads(toml.read_text(encoding="utf-8"))
        self.source = toml.with_suffix("")  # a folder, or a file without its .py
        self.kinds: list[str] = told.pop("kinds")
        self.main = Path(told.pop("main", f"{toml.stem}.py"))
        self.is_package = self.main.name == "__init__.py"
        self.module = self.main.parent.name if self.is_package else self.main.stem
        self.application: str = told.pop("application", "app")
        self.mount: str = told.pop("mount", "")
        self.used: list[str] = told.pop("used").splitlines()
        self.views: str = told.pop("views", "")
        self.rows = {key: Row(**{"kinds": self.kinds} | row) for key, row in told.items()}

    def __str__(self) -> str:
        return ", ".join(self.kinds)

    def row(self, number: str, place: str) -> Row:
        """Return what is said of a chapter; without a row, its technique just works."""
        return self.rows.get(f"{number} {place}") or self.rows.get(number) or Row([])

    def copy(self, folder: Path) -> None:
        if self.source.is_dir():
            shutil.copytree(self.source, folder, dirs_exist_ok=True)
        else:
            shutil.copy(self.source.with_suffix(".py"), folder)

    def wire(self, folder: Path, recipe: Recipe, place: str, more: str = "") -> None:
        """Copy a technique into a copy of the app.

        It's wired up where the app is made if *place* is "first", and at the end if it's "last".
        *more* is what its user writes then. AssertionError: the README doesn't say which imports
        get a dot.
        """
        main = folder / self.main
        told = " ".join(recipe.rows.get(kind, "") for kind in self.kinds)
        modules = {path.stem: path.stem for path in recipe.files}
        for module in modules:
            if (main.parent / module).is_dir():  # so the copy needs another name
                other = re.search(rf"`(\w+_{module})\b", told)
                assert other, f"{recipe.page} has no other name for {module}.py"
                modules[module] = other[1]

        def adapt(code: str) -> str:
            """Import the copies from where they are."""
            for module, name in modules.items():
                way = f"from . import {name}" if self.is_package else f"import {name} as {module}"
                code = re.sub(rf"(?m)^import {module}$", way, code)
                source = f".{name}" if self.is_package else name
                code = re.sub(rf"(?m)^from {module} import", f"from {source} import", code)
            return code

        # What the README says, for this app
        adapted = [adapt(path.read_text(encoding="utf-8")) for path in recipe.files]
        for name, code in zip(modules.values(), adapted, strict=True):
            (main.parent / f"{name}.py").write_text(code, encoding="utf-8")
        theirs = r"(?m)^(from flask import Flask|app = Flask\(__name__\))\n"
        wiring = adapt(re.sub(theirs, "", recipe.app))
        extra = adapt("\n\n".join(recipe.extras.get(kind, "") for kind in self.kinds))
        ours = "\n".join([*adapted, wiring, extra])
        dots = re.findall(r"(?m)^(from \.(?: import )?(\w+))", ours)
        silent = [module for way, module in dots if way not in recipe.text]
        where = f"{recipe.page}: {TITLE!r}"
        assert not silent, f"{where} doesn't say that {silent} get a dot in a package"

        # Where it goes: a class of the README's in the place of the one that it's derived from
        source = main.read_text(encoding="utf-8")
        if made := re.search(r"\n(\w+ = )Our(\w+)\(app\)", extra):
            name, kind = made.groups()
            derived = f"\n{extra[: made.start()]}\n{name}Our{kind}("
            source = source.replace(f"\n{name}{kind}(", derived)
            extra = ""
        end = f"{extra}\n{adapt(more)}\n"
        margin = "    " if self.is_package else ""  # in a factory
        if place == "first":
            first = indent(wiring, margin)
            source = re.sub(rf"(?m)^{margin}app = .+\n", lambda made: made[0] + first, source)
        else:
            end = f"{wiring}\n{end}"
        source, returns, _ = source.partition("\n    return app\n")
        main.write_text(f"{source}\n{indent(end, margin)}{returns}", encoding="utf-8")
