"""What "Use it in your app" says works in an empty folder, where nothing else of the chapter is.

The files that the section names are copied, and its code becomes the app. In a package, and in apps
that have more, test_neighbours.py tries it; the steps of 06 are in test_use_steps.py.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from book import ONE_TECHNIQUE, title
from book_pages import tables
from conftest import missing
from wiring import TITLE, recipe

each_chapter = pytest.mark.parametrize("chapter", ONE_TECHNIQUE, ids=lambda chapter: chapter.name)


def copy_into(folder: Path, app: Path) -> None:
    """Make an app of what the section says."""
    for path in recipe(app).files:
        shutil.copy(path, folder)
    (folder / "app.py").write_text(recipe(app).app, encoding="utf-8")


def try_out(folder: Path, page: Path, script: str) -> None:
    """Do in *folder*, in a process of its own, what an app of *page* has to."""
    script = f"from app import app\nclient = app.test_client()\n{script}"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{title(page)}/README.md: {TITLE!r} fails:\n{done.stderr}"


@each_chapter
def test_the_app_to_copy_starts_in_an_empty_folder(chapter: Path, tmp_path: Path) -> None:
    copy_into(tmp_path, chapter)
    try_out(tmp_path, chapter, "assert app.url_map")


@each_chapter
def test_every_setting_is_one_of_the_copied_files(chapter: Path) -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in recipe(chapter).files)
    for (_, head), *rows in tables(chapter / "README.md"):
        for line, cells in rows if head[0] == "setting" else []:
            setting = cells[0].replace("`", "")
            assert setting in source, f"{chapter.name}/README.md:{line}: {setting} is in no file"


@pytest.mark.drill
@each_chapter
def test_pyright_finds_nothing_in_the_copied_files(
    chapter: Path, tmp_path: Path, node_modules: Path
) -> None:
    node = shutil.which("node") or missing("node")
    copy_into(tmp_path, chapter)
    pyright = node_modules / "pyright/index.js"
    command = [node, str(pyright), "--level", "error", "--pythonpath", sys.executable, "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{chapter.name}: pyright says\n{done.stdout}{done.stderr}"
