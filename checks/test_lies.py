"""Lies of each kind, all told in one copy of the book, are found: the checks can fail."""

import re
import subprocess
import sys
import tomllib

import pytest

from book import ROOT
from conftest import copy_of_the_book

pytestmark = pytest.mark.drill

# What is run in the copy. The chapters that aren't lied about in that way are left out.
WHERE = "test_text.py test_figures.py test_exercises.py test_use.py test_neighbours.py".split()
SELECTED = """
    test_text and not drill and not transcript_is or transcript_is and 03_error or test_figures or
    test_exercises and 03_error or setting or every_row or 04-a or 03-Flask-RESTful or
    05-Flask-Login or says_where
"""
LIES = tomllib.loads((ROOT / "checks/lies.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the checks say of a copy of the book with all the lies."""
    copy = copy_of_the_book(tmp_path_factory.mktemp("lies"))
    for entry in LIES.values():
        path = copy / entry["file"]
        text = path.read_text(encoding="utf-8")
        assert entry["truth"] in text, f"{entry['file']} doesn't say {entry['truth']!r}"
        lie = entry["lie"] * entry.get("times", 1)
        path.write_text(text.replace(entry["truth"], lie, 1), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    done = subprocess.run(
        [*command, *WHERE, "-k", " ".join(SELECTED.split())],
        cwd=copy / "checks",
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1, done.stdout
    return done.stdout


@pytest.mark.parametrize("lie", LIES)
def test_lie_is_found(lie: str, said: str) -> None:
    assert re.search(LIES[lie]["message"], said), said
