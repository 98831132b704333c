"""Every card of the reader in three browser engines: what it shows, and what a page may read."""

import html
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import pages
from browsers import Engine, faults, started
from reading import CHAPTERS, reader
from report import FULL
from servers import until

pytestmark = pytest.mark.drill

LONG = pytest.mark.skipif(not FULL, reason="Firefox and WebKit are for FULL=1; Chromium ran")
# What a card shows after its run, or null while it runs.
SHOWN = """((card) => {
    if (!card.querySelector(".outcome") || card.querySelector(".run").disabled) return null;
    const all = (selector) => [...card.querySelectorAll(selector)];
    const read = all("[data-read]");
    return {
        text: card.querySelector(".results").innerText,
        outcomes: all(".outcome").map((outcome) => outcome.innerText),
        fetches: all("[data-arrived]").map((cell, number) => ({
            stranger: cell.parentElement.dataset.origin.includes("localhost"),
            version: cell.dataset.arrived,
            arrived: cell.textContent.split("\\n"),
            read: read[number].querySelector("strong")?.textContent,
        })),
    };
})(document.querySelector("#card-%d"))"""


@pytest.fixture(params=["chromium", *(pytest.param(n, marks=LONG) for n in ("firefox", "webkit"))])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with started(request, tmp_path) as engine:
        yield engine


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    with reader(tmp_path / "uploads") as origin:
        yield origin


def words(text: str) -> str:
    return " ".join(text.split())


def plain(markdown: str) -> str:
    """Return what is seen of a line of Markdown."""
    return words(html.unescape(re.sub("<.*?>", "", pages.MARKDOWN.renderInline(markdown))))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_every_card_runs_and_shows_its_verdicts(engine: Engine, origin: str, chapter: Path) -> None:
    name = f"{chapter.name}/README.md"
    engine.goto(f"{origin}/{name}")
    cards = pages.cards(chapter / "README.md")
    assert cards and engine.evaluate("document.querySelectorAll('.card').length") == len(cards)
    fetches = []
    for card in cards:
        engine.click(f"#card-{card.number} .run")
        shown = until(partial(engine.evaluate, SHOWN % card.number))
        fetches += shown["fetches"]
        text = shown["text"]
        assert "Not what the book says" not in text and "It doesn't answer" not in text, text
        for side, outcome in zip(card.sides, shown["outcomes"], strict=True):
            if side.verdict:
                mark = "✓" if side.verdict.good else "✗"
                assert f"{mark} {plain(side.verdict.text)}" in words(outcome)
            else:
                assert "As in the book." in outcome
    assert bool(fetches) == chapter.name.endswith("_cors")
    if fetches:
        check_what_a_page_may_read(fetches)
    progress = f"document.querySelector(\"[data-progress='{name}']\").textContent"
    assert engine.evaluate(progress) == f"{len(cards)} of {len(cards)} run"
    assert faults(engine) == []


def check_what_a_page_may_read(fetches: list[Any]) -> None:
    """See that what is shown of a page's requests comes from real ones."""
    asks = {"article": set[str](), "ours": set[str]()}
    for one in fetches:
        methods = [line.partition(" ")[0] for line in one["arrived"]]
        asks[one["version"]].add(" ".join(methods[:2]))
        # The article lets in a stranger's page instead of ours; each request arrives nevertheless.
        may_read = one["stranger"] == (one["version"] == "article")
        assert "nothing" not in methods
        assert (one["read"] != "nothing") == may_read, one
    assert {one["stranger"] for one in fetches} == {True, False}
    # Before ours lets a page send a PATCH or a PUT, the browser asks; the article always says no.
    assert {"GET", "OPTIONS PATCH", "OPTIONS PUT"} <= asks["ours"]
    assert asks["article"] == {"GET", "OPTIONS"}
