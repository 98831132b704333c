"""What "Use it in your app" says works: in an empty folder, and in a package that has more in it.

The files that the section names are copied, and its code becomes the app. In the package there is a
blueprint and Flask-Login beside it, and imports of copied files get the dots that the page names.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from book import CHAPTERS, ROOT
from conftest import missing
from pages import NEW_FORM, Block, blocks, section

TITLE = "Use it in your app"
PROBES = {
    "01": """
        from io import BytesIO
        url = client.post("/uploads", data={"file": (BytesIO(b"copied"), "a.html")}).location
        assert url.endswith(".bin") and client.get(url).data == b"copied", url
    """,
    "02": """
        def allowed(origin):
            answer = client.get("/hello", headers={"Origin": origin})
            return answer.headers.get("Access-Control-Allow-Origin")
        assert allowed("https://desk.example") == "https://desk.example"
        assert allowed("https://evil.example") is None
    """,
    "03": """
        assert client.get("/api/orders/7").json == {"r": 0, "number": 7}
        assert client.get("/api/orders/101").json == {"r": 1003, "msg": "not_found"}
        assert client.get("/api/nope").json == {"r": 1003, "msg": "not_found"}
    """,
    "04": """
        said = {"error_code": 0, "msg": "success", "request": "POST /orders/7", "number": 7}
        assert client.post("/orders/7").json == said
        answer = client.post("/orders/101")
        assert (answer.status_code, answer.json["error_code"]) == (409, 2001)
        assert answer.headers["Retry-After"] == "86400"
    """,
    "05": """
        assert client.get("/api/orders/5").json == {"number": 5, "share": 20}
        assert client.get("/api/orders/0").json["error_code"] == 999
        assert client.get("/api/nope").json["error_code"] == 1003
        assert client.get("/nope").mimetype == "text/html"
    """,
    "06": """
        lin = app.test_client()
        assert client.get("/me").status_code == 401
        assert client.post("/login/7f3a").text == "Ada Lovelace"
        assert lin.post("/login/c41d").text == "林徽因"
        assert client.get("/me").text == "Ada Lovelace"
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
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
each_new = pytest.mark.parametrize("chapter", NEW_FORM, ids=lambda chapter: chapter.name)


def instructions(chapter: Path) -> tuple[str, list[str], Block]:
    """Return the section's text, the files that it says to copy, and its code."""
    page = chapter / "README.md"
    text = "\n".join(line for _, line in section(page, TITLE))
    named = re.findall(r"\]\((\w+\.py)\)", text)
    code = [b for b in blocks(page) if b.section == TITLE and b.language == "python"]
    [block] = [b for b in code if not b.file]  # the others are excerpts
    assert named, f"{page.relative_to(ROOT)}: {TITLE!r} names no file to copy"
    return text, named, block


def probe(script: str, folder: Path, block: Block) -> None:
    command = [sys.executable, "-c", script.replace("\n        ", "\n")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{block}: copied into another app, it fails:\n{done.stderr}"


def copy_into(folder: Path, chapter: Path) -> Block:
    """Make an app of what the section says, and return the section's code."""
    _, named, block = instructions(chapter)
    for name in named:
        shutil.copy(chapter / name, folder)
    (folder / "app.py").write_text(block.text, encoding="utf-8")
    return block


@each_chapter
def test_the_technique_works_in_another_app(chapter: Path, tmp_path: Path) -> None:
    block = copy_into(tmp_path, chapter)
    script = "from app import app\nclient = app.test_client()\n"
    probe(script + PROBES[chapter.name[:2]], tmp_path, block)


def with_dots(code: str, copied: list[str]) -> str:
    """Make the imports of the copied files relative, as in a package."""
    names = "|".join(name.removesuffix(".py") for name in copied)
    code = re.sub(rf"(?m)^import ({names})$", r"from . import \1", code)
    return re.sub(rf"(?m)^from ({names}) import", r"from .\1 import", code)


def untold(code: str, text: str) -> list[str]:
    """Return the modules that *code* imports with a dot, as far as *text* doesn't say so."""
    text = " ".join(text.split())  # the page breaks its lines wherever they are full
    told = ", ".join(re.findall(r"from \. import ([\w, ]+)", text)).split(", ")
    found = [name for name in re.findall(r"(?m)^from \. import (\w+)$", code) if name not in told]
    for name in re.findall(r"(?m)^from \.(\w+) import", code):
        if f"from .{name} import" not in text:
            found.append(name)
    return found


@each_new
def test_the_technique_works_in_a_package(chapter: Path, tmp_path: Path) -> None:
    text, named, block = instructions(chapter)
    imports, wiring = block.text.split("\napp = ")
    factory = f"def create_app():\napp = {wiring}{BESIDE}".replace("\n", "\n    ")
    sources = {"__init__.py": f"{imports}\n{factory}", "shop.py": SHOP}
    for name in named:
        sources[name] = (chapter / name).read_text(encoding="utf-8")

    package = tmp_path / "desk"
    package.mkdir()
    for name, source in sources.items():
        code = with_dots(source, named)
        modules = untold(code, text)
        assert not modules, f"{block}: does not say that {modules} get a dot in a package"
        (package / name).write_text(code, encoding="utf-8")
    script = "from desk import create_app\napp = create_app()\nclient = app.test_client()\n"
    probe(script + PROBES[chapter.name[:2]] + BESIDE_PROBE, tmp_path, block)


@pytest.mark.drill
@each_new
def test_pyright_finds_nothing_in_the_copied_files(
    chapter: Path, tmp_path: Path, node_modules: Path
) -> None:
    node = shutil.which("node") or missing("node")
    block = copy_into(tmp_path, chapter)
    pyright = node_modules / "pyright/index.js"
    command = [node, str(pyright), "--level", "error", "--pythonpath", sys.executable, "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{block}: copied, pyright says\n{done.stdout}{done.stderr}"
