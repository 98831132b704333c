"""What "Use it in your app" says works: in an empty folder, and in a package that has more in it.

The files that the section names are copied, and its code becomes the app. Where the section has the
code of two apps, each gets the files that are named just above it. In the package there is a
blueprint and Flask-Login beside it, and imports of copied files get the dots that the page names.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from book import CHAPTERS
from book_pages import tables
from conftest import missing
from pages import Block, blocks, section
from wiring import untold, with_dots

TITLE = "Use it in your app"
# What each app has to do, by its place: the chapter, and which of the section's apps it is.
PROBES = {
    "01.1": """
        from io import BytesIO
        url = client.post("/uploads", data={"file": (BytesIO(b"copied"), "a.html")}).location
        assert url.endswith(".bin") and client.get(url).data == b"copied", url
    """,
    "02.1": """
        def allowed(origin):
            answer = client.get("/hello", headers={"Origin": origin})
            return answer.headers.get("Access-Control-Allow-Origin")
        assert allowed("https://desk.example") == "https://desk.example"
        assert allowed("https://evil.example") is None
    """,
    "03.1": """
        assert client.get("/api/orders/7").json == {"number": 7}
        assert client.get("/api/orders/101").json == {"r": 1003, "msg": "not_found"}
        assert client.get("/api/nope").json == {"r": 1003, "msg": "not_found"}
    """,
    "04.1": """
        said = {"error_code": 0, "msg": "success", "request": "POST /orders/7", "number": 7}
        assert client.post("/orders/7").json == said
        answer = client.post("/orders/101")
        assert (answer.status_code, answer.json["error_code"]) == (409, 2001)
        assert answer.headers["Retry-After"] == "86400"
    """,
    "05.1": """
        assert client.get("/api/orders/5").json == {"number": 5, "share": 20}
        assert client.get("/api/orders/0").json["error_code"] == 999
        assert client.get("/api/nope").json["error_code"] == 1003
        assert client.get("/nope").mimetype == "text/html"
    """,
}
# What the app of the package has besides the technique; both have to work beside each other.
BESIDE = """
from flask_login import LoginManager, login_required
from .shop import shop

app.secret_key = "for Flask-Login"
LoginManager(app).user_loader(lambda user_id: None)
app.register_blueprint(shop)
app.add_url_rule("/members", view_func=login_required(lambda: "members"))
return app
"""
SHOP = """
from flask import Blueprint

shop = Blueprint("shop", __name__, url_prefix="/shop")
shop.add_url_rule("/", view_func=lambda: "open")
"""
BESIDE_PROBE = """
        assert client.get("/shop/").text == "open"
        assert client.get("/members").status_code == 401
"""


@dataclass
class Recipe:
    """An app of the section: its place, the section's text, the files to copy, its code."""

    place: str
    chapter: Path
    text: str
    named: list[str]
    block: Block

    def __str__(self) -> str:
        return self.place


def recipes(chapter: Path) -> list[Recipe]:
    page = chapter / "README.md"
    lines = section(page, TITLE)
    text = "\n".join(line for _, line in lines)
    code = [b for b in blocks(page) if (b.section, b.language) == (TITLE, "python")]
    code = [b for b in code if not b.file]  # the others are excerpts, or for an app with more
    found = []
    for number, block in enumerate(code, 1):
        above = text
        if len(code) > 1:
            start = code[number - 2].line if number > 1 else 0
            above = "\n".join(line for n, line in lines if start < n < block.line)
        named = re.findall(r"\]\((\w+\.py)\)", above)
        found.append(Recipe(f"{chapter.name[:2]}.{number}", chapter, text, named, block))
    return found


RECIPES = [recipe for chapter in CHAPTERS for recipe in recipes(chapter)]
each_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=str)


def test_every_app_of_the_pages_is_tried() -> None:
    assert [recipe.place for recipe in RECIPES] == list(PROBES)


def probe(script: str, folder: Path, block: Block) -> None:
    command = [sys.executable, "-c", script.replace("\n        ", "\n")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{block}: copied into another app, it fails:\n{done.stderr}"


def copy_into(folder: Path, recipe: Recipe) -> None:
    """Make an app of what the section says."""
    assert recipe.named, f"{recipe.block}: {TITLE!r} names no file to copy"
    for name in recipe.named:
        shutil.copy(recipe.chapter / name, folder)
    code = recipe.block.text
    (folder / "app.py").write_text(code, encoding="utf-8")


@each_recipe
def test_the_technique_works_in_another_app(recipe: Recipe, tmp_path: Path) -> None:
    copy_into(tmp_path, recipe)
    script = "from app import app\nclient = app.test_client()\n"
    probe(script + PROBES[recipe.place], tmp_path, recipe.block)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_every_setting_is_one_of_the_copied_files(chapter: Path) -> None:
    copied = {name for recipe in recipes(chapter) for name in recipe.named}
    source = "\n".join((chapter / name).read_text(encoding="utf-8") for name in copied)
    for (_, head), *rows in tables(chapter / "README.md"):
        for number, cells in rows if head[0] == "setting" else []:
            setting = cells[0].strip("`")
            assert setting in source, f"{chapter.name}/README.md:{number}: {setting} is in no file"


@each_recipe
def test_the_technique_works_in_a_package(recipe: Recipe, tmp_path: Path) -> None:
    imports, wiring = recipe.block.text.split("\napp = ")
    factory = f"def create_app():\napp = {wiring}{BESIDE}".replace("\n", "\n    ")
    sources = {"__init__.py": f"{imports}\n{factory}", "shop.py": SHOP}
    for name in recipe.named:
        sources[name] = (recipe.chapter / name).read_text(encoding="utf-8")
    modules = [name.removesuffix(".py") for name in recipe.named]

    package = tmp_path / "desk"
    package.mkdir()
    for name, source in sources.items():
        code = with_dots(source, modules)
        missed = untold(code, recipe.text)
        assert not missed, f"{recipe.block}: does not say that {missed} get a dot in a package"
        (package / name).write_text(code, encoding="utf-8")
    script = "from desk import create_app\napp = create_app()\nclient = app.test_client()\n"
    probe(script + PROBES[recipe.place] + BESIDE_PROBE, tmp_path, recipe.block)


@pytest.mark.drill
@each_recipe
def test_pyright_finds_nothing_in_the_copied_files(
    recipe: Recipe, tmp_path: Path, node_modules: Path
) -> None:
    node = shutil.which("node") or missing("node")
    copy_into(tmp_path, recipe)
    pyright = node_modules / "pyright/index.js"
    command = [node, str(pyright), "--level", "error", "--pythonpath", sys.executable, "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{recipe.block}: pyright says\n{done.stdout}{done.stderr}"
