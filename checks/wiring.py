"""Copy a chapter's technique into another app, as its README says, and send requests to the result.

The apps are in neighbours/. What to copy, import and wire up stands in the README's section "Use it
in your app": the files it links to, one app, and blocks named after the neighbour that needs them.
What such a block defines replaces what the neighbour has by that name; the rest is added.
"""

import ast
import importlib
import multiprocessing
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from flask import json
from werkzeug.datastructures import Headers
from werkzeug.test import Client as TestClient
from werkzeug.test import EnvironBuilder

from book import ROOT
from book_pages import tables
from pages import blocks, section

TITLE = "Use it in your app"
TABLE = "If your app has ..."
# Each process that serves an app is forked from one that has imported these.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    """pytest wiring apiflask asgiref.sync flask_cors flask_login flask_restful flask_restx
    flask_smorest flask_wtf sentry_sdk sentry_sdk.integrations.flask""".split()
)


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


@dataclass(frozen=True)
class Neighbour:
    """An app: its name in the tables, its path in neighbours/, the module to import."""

    name: str
    path: str  # a file, or a folder
    module: str
    mount: str = ""  # the prefix that it's served below

    def __str__(self) -> str:
        return self.name

    @property
    def is_package(self) -> bool:
        return (ROOT / "checks/neighbours" / self.path / self.module).is_dir()


# Reading the README


def plain(name: str) -> str:
    """Return a neighbour's name without the backticks, which the fence of a block can't have."""
    return name.replace("`", "").strip()


def table(page: Path) -> dict[str, str]:
    """Return the table "If your app has ...": by the name in its first cell, the other cells.

    A cell may have several names, with commas between them.
    """
    for (_, head), *rows in tables(page):
        if head[0] == TABLE:
            return {
                plain(name): " ".join(cells[1:])
                for _, cells in rows
                for name in cells[0].split(", ")
            }
    return {}


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
        for decorator in map(ast.unparse, node.decorator_list):
            if "errorhandler(" in decorator:
                return decorator
        return node.name
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = ast.unparse(node.value.func)
        if called.endswith((".init_app", ".add_url_rule")):
            return f"{called}({ast.unparse(node.value.args[0])}"
    return ""


def merged(old: ast.stmt, new: ast.stmt, text: str) -> str:
    """Return what a reader makes of a statement of theirs, *old*, where the README has *new*.

    Of two calls, the new one gets the arguments of the old one as well: ``api = Api(app, "/v1")``
    and ``api = OurApi(app)`` make ``api = OurApi(app, "/v1")``. Of two functions, the old one
    begins with the ``if`` of the new one. Otherwise that is *text*, the code of the new one.
    """
    if isinstance(old, ast.Assign) and isinstance(new, ast.Assign):
        was, now = old.value, new.value
        if isinstance(was, ast.Call) and isinstance(now, ast.Call):
            named = [keyword.arg for keyword in now.keywords]
            now.keywords += [keyword for keyword in was.keywords if keyword.arg not in named]
            now.args = was.args
            return ast.unparse(new)
    if isinstance(old, ast.FunctionDef) and isinstance(new, ast.FunctionDef):
        first = new.body[0]
        if isinstance(first, ast.If):
            theirs, ours = old.args.args[0].arg, new.args.args[0].arg
            [branch] = ast.parse(re.sub(rf"\b{ours}\b", theirs, ast.unparse(first))).body
            old.body.insert(0, branch)
            return ast.unparse(old)
    return text


def replace(source: str, extra: list[str]) -> tuple[str, list[str]]:
    """Put each statement of *extra* in the place of the one of *source* that it's about.

    What comes before it in *extra* goes with it. Return the new source and what has no place.
    """
    waiting: list[str] = []
    for text in extra:
        [new] = ast.parse(text).body
        waiting.append(text)
        for old, old_text in statements(source):
            if subject(new) and subject(new) == subject(old):
                waiting[-1] = merged(old, new, text)
                source = source.replace(old_text, "\n\n\n".join(waiting), 1)
                waiting = []
                break
    return source, waiting


def insert(source: str, imports: list[str], first: list[str], last: list[str]) -> str:
    """Return *source* with *first* just after its app is made, and *last* at the end.

    That is the end of the factory if it has one, before it returns the app.
    """
    tree = ast.parse(source)
    body = tree.body
    for node in tree.body:
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
    found = [
        name for name in re.findall(r"(?m)^from \. import (\w+)$", code) if name not in together
    ]
    for name in re.findall(r"(?m)^from \.(\w+) import", code):
        if f"from .{name} import" not in text:
            found.append(name)
    return found


def renamed(code: str, names: dict[str, str]) -> str:
    """Import the copies of modules by their new *names*."""
    for module, name in names.items():
        code = re.sub(rf"(?m)^import {module}$", f"import {name} as {module}", code)
        code = re.sub(rf"(?m)^from {module} import", f"from {name} import", code)
    return code


# Building and serving


class Copy:
    """*neighbour* with a technique in it, in *folder*."""

    def __init__(self, folder: Path, neighbour: Neighbour, recipe: Recipe | None = None) -> None:
        self.folder = folder
        self.neighbour = neighbour
        self.recipe = recipe
        path = ROOT / "checks/neighbours" / neighbour.path
        if path.is_dir():
            shutil.copytree(path, folder, dirs_exist_ok=True)
        else:
            shutil.copy(path, folder)
        inner = neighbour.module if neighbour.is_package else f"{neighbour.module}.py"
        self.main = folder / inner / "__init__.py" if neighbour.is_package else folder / inner

    def adapt(self, code: str, is_theirs: bool = False) -> str:
        """Import the copied modules in *code* by the names that they have here.

        AssertionError: the README doesn't say so, and the code isn't *theirs*, the neighbour's.
        """
        assert self.recipe
        code = renamed(code, self.new_names())
        if self.neighbour.is_package:
            code = with_dots(code, self.recipe.modules)
            silent = [] if is_theirs else untold(code, self.recipe.text)
            where = f"{self.recipe}/README.md: {TITLE!r}"
            assert not silent, f"{where} doesn't say that {silent} get a dot in a package"
        return code

    def new_names(self) -> dict[str, str]:
        """Return what the table calls the copy of each module whose name is taken."""
        assert self.recipe
        found = {}
        row = self.recipe.rows.get(str(self.neighbour), "")
        for module in self.recipe.modules:
            offered = re.findall(rf"`(\w+_{module}|{module}_\w+)(?:\.py)?`", row)
            if offered and (self.main.parent / module).is_dir():
                found[module] = offered[0]
        return found

    def wire(self, place: str, more: str = "") -> None:
        """Copy the technique; *place* is "first" or "last", *more* is what its user writes then."""
        assert self.recipe
        names = self.new_names()
        for module in self.recipe.modules:
            code = (self.recipe.chapter / f"{module}.py").read_text(encoding="utf-8")
            name = names.get(module, module)
            (self.main.parent / f"{name}.py").write_text(self.adapt(code), encoding="utf-8")

        imports, wiring = split(self.adapt(self.recipe.app))
        wiring = [text for text in wiring if not text.endswith("app = Flask(__name__)")]
        source = self.main.read_text(encoding="utf-8")
        rest: list[str] = []
        block = self.recipe.extras.get(str(self.neighbour))
        if block:
            extra_imports, extra = split(self.adapt(block))
            imports += extra_imports
            source, extra = replace(source, extra)
            # By another name, the block's call of init_app is instead of the app's.
            for module in re.findall(r"(?m)^from (\w+) import init_app as", block):
                wiring = [text for text in wiring if f"{module}.init_app(" not in text]
            code, rest = replace("\n\n\n".join(wiring), extra)
            wiring = [code]

        more_imports, more_code = split(self.adapt(more, is_theirs=True))
        imports += more_imports
        source, more_code = replace(source, more_code)
        code, more_code = replace("\n\n\n".join(wiring), more_code)
        wiring = [code]
        rest += more_code
        settings = [text for text in rest if text.startswith("app.config")]
        wiring = [*settings, *wiring]
        rest = [text for text in rest if text not in settings]
        first = wiring if place == "first" else []
        last = rest if place == "first" else wiring + rest
        self.main.write_text(insert(source, imports, first, last), encoding="utf-8")

    def edit(self, edits: dict[str, tuple[str, str]]) -> None:
        """In copied files, by name: put a text in the place of another."""
        for name, (old, new) in edits.items():
            path = self.main.parent / name
            code = path.read_text(encoding="utf-8")
            assert code.count(old) == 1, f"{name} doesn't have {old!r} once"
            path.write_text(code.replace(old, new), encoding="utf-8")

    def command(self, server: str, port: int) -> list[str]:
        """Return the command that serves the app with gunicorn or waitress."""
        name = "app"
        if "application = " in self.main.read_text(encoding="utf-8"):
            name = "application"
        is_factory = self.neighbour.is_package
        address = f"127.0.0.1:{port}"
        if server == "gunicorn":
            name = "create_app()" if is_factory else name
            options = ["--bind", address, "--no-control-socket"]
        else:
            name = "create_app" if is_factory else name
            options = ["--listen", address, *(["--call"] if is_factory else [])]
        return [sys.executable, "-m", server, *options, f"{self.neighbour.module}:{name}"]

    @contextmanager
    def served(self) -> Iterator["Forked"]:
        """Serve the app in a process of its own until the end of the block."""
        ours, theirs = FORKS.Pipe()
        arguments = (str(self.folder), self.neighbour.module, theirs)
        process = FORKS.Process(target=serve, args=arguments)
        process.start()
        theirs.close()
        try:
            yield Forked(self, ours)
        finally:
            ours.close()  # the process ends when it finds nobody at the other end
            process.join(timeout=30)
            process.kill()


@dataclass
class Answer:
    """A response: its status, headers and body."""

    status: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status}\n{self.headers}{self.body.decode(errors='replace')}"


class Client:
    """Sends requests to a copy that is served; with cookies, if it's in a process of its own."""

    def __init__(self, copy: Copy) -> None:
        self.name = copy.neighbour.name
        self.mount = copy.neighbour.mount
        self.folder = copy.folder

    def open(self, method: str, path: str, **arguments: Any) -> Answer:
        """Send a request; the arguments are those of Werkzeug's client."""
        raise NotImplementedError

    def get(self, path: str, **arguments: Any) -> Answer:
        return self.open("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> Answer:
        return self.open("POST", path, **arguments)


class Forked(Client):
    """A client of an app in a process that was forked for it. AssertionError: the app raises."""

    def __init__(self, copy: Copy, connection: Connection) -> None:
        super().__init__(copy)
        self.connection = connection

    def open(self, method: str, path: str, **arguments: Any) -> Answer:
        status, headers, body = self.ask("open", {"method": method, "path": path, **arguments})
        return Answer(status, Headers(headers), body)

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the neighbour's module; ``app`` is the app."""
        return self.ask("value", {"expression": expression})

    def ask(self, action: str, arguments: dict[str, Any]) -> Any:
        try:
            self.connection.send((action, arguments))
            problem, answer = self.connection.recv()
        except (EOFError, ConnectionError):
            problem = "the app doesn't start"
        if problem:
            raise AssertionError(f"{problem}\n{self.log()}")
        return answer

    def log(self) -> str:
        """Return what the app has written to its log so far."""
        return (self.folder / "log.txt").read_text(encoding="utf-8")


class Real(Client):
    """A client of an app behind a real server."""

    def __init__(self, copy: Copy, port: int) -> None:
        super().__init__(copy)
        self.port = port

    def open(self, method: str, path: str, **arguments: Any) -> Answer:
        request = EnvironBuilder(path, method=method, **arguments).get_request()
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, request.get_data(), dict(request.headers))
            response = connection.getresponse()
            return Answer(response.status, Headers(response.getheaders()), response.read())


def serve(folder: str, module: str, connection: Connection) -> None:
    """Import an app and answer what comes through *connection*; runs in a process of its own."""
    log = os.open(f"{folder}/log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stderr.fileno())
    os.chdir(folder)
    sys.path.insert(0, folder)
    neighbour = importlib.import_module(module)
    app = neighbour.create_app() if hasattr(neighbour, "create_app") else neighbour.app
    scope = {"app": app, **vars(neighbour)}
    client = TestClient(getattr(neighbour, "application", app))

    while True:
        try:
            action, arguments = connection.recv()
        except EOFError:
            return
        problem, answer = "", None
        try:
            if action == "value":
                answer = eval(arguments["expression"], scope)
            else:
                response = client.open(**arguments)
                headers = list(response.headers)
                answer = (response.status_code, headers, response.get_data())
                response.close()
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        connection.send((problem, answer))
