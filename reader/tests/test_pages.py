"""What a page says."""

from pathlib import Path

import pytest

import pages
from contents import Book


@pytest.fixture
def page(book: Book) -> Path:
    return book.chapters[0].readme


def test_two_verdicts_in_a_row_on_two_ports_are_one_card(page: Path) -> None:
    single, pair, *_ = pages.cards(page)
    assert [side.version for side in single.sides] == ["ours"]
    assert [side.version for side in pair.sides] == ["article", "ours"]
    assert [side.port for side in pair.sides] == [8201, 8101]
    assert pair.heading == "1. What is missing?" and pair.section == "What goes wrong"


def test_a_verdict_is_above_its_transcript(page: Path) -> None:
    article, ours = [side.verdict for side in pages.cards(page)[1].sides]
    assert article == pages.Verdict(False, "Article", "a page of HTML, which a client can't parse.")
    assert ours == pages.Verdict(True, "Ours", "JSON, with `msg`.")


def test_a_transcript_is_commands_and_what_they_print(page: Path) -> None:
    posted, read = pages.cards(page)[5].sides[1].exchanges
    assert posted.command == "curl -d 'text=hello' http://127.0.0.1:8101/notes"
    assert posted.printed == '{"text":"hello","url":"/n/1"}\n'
    assert read.printed == '{"host":"127.0.0.1:8101","n":"one"}\n'


def test_a_command_may_go_on_in_the_next_line(page: Path) -> None:
    command = pages.cards(page)[3].sides[0].exchanges[0].command
    assert command.count("\\\n") == 1
    assert command.endswith("/n/1")


def test_a_port_of_an_origin_is_not_the_requests(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    command = "curl -H 'Origin: http://127.0.0.1:8201' http://127.0.0.1:8101/"
    page.write_text(f"```console\n$ {command}\n```\n")
    assert [side.port for side in pages.cards(page)[0].sides] == [8101]


@pytest.mark.parametrize("command", ["flask errors", "pytest", "curl http://example.org/"])
def test_other_commands_are_no_card(tmp_path: Path, command: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"✓ **Ours:** so it is.\n\n```console\n$ {command}\nfine\n```\n")
    assert pages.cards(page) == []
    assert len(pages.pieces(page)) == 2  # the verdict is still there to read


def test_two_verdicts_on_one_port_are_two_cards(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    block = "✓ **Ours:** right.\n\n```console\n$ curl http://127.0.0.1:8101/\n```\n\n"
    page.write_text(block * 2)
    assert [len(card.sides) for card in pages.cards(page)] == [1, 1]


def test_exercises_take_lines_out_or_ask_for_code(page: Path) -> None:
    takes_out, asks = pages.exercises(page)
    assert takes_out.out and takes_out.out.file == "numbers_.py"
    assert takes_out.instead and takes_out.instead.text == "pass\n".rjust(9)
    assert "`test_trap_missing_is_html` fails" in takes_out.answer
    assert asks.out is None and "three" in asks.answer


def test_an_excerpt_has_the_lines_of_its_file(page: Path) -> None:
    [find, *_] = [block for block in pages.blocks(page) if block.file]
    line = pages.line_of(find)
    assert line
    source = (page.parent / find.file).read_text().splitlines()
    assert source[line - 1] == "def find(number: int) -> str:" == find.text.splitlines()[0]


def test_anchors_are_a_git_hosts(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# `DELETE`, or: *not*?\n\n## It's 4.1\n\n## It's 4.1\n")
    assert [one.anchor for one in pages.headings(page)] == ["delete-or-not", "its-41", "its-41-1"]


def test_a_page_is_read_anew_when_it_has_changed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n")
    assert pages.title(page) == "One"
    page.write_text("# Another\n")
    assert pages.title(page) == "Another"
