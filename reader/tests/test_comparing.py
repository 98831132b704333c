"""What agrees with the book, and what differs between two answers."""

import json
from typing import Any

import pytest

import comparing
from comparing import Line
from running import Answer


def answer(body: Any, *headers: tuple[str, str], status: int = 200, log: str = "") -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer(status, "OK", list(headers), text.encode(), log)


def rows(left: Answer, right: Answer, expected: str = "") -> dict[str, comparing.Row]:
    found = comparing.compare([left, right], [expected], lambda text: text.replace(":82", ":81"))
    return {row.name: row for row in [*found.rows, *found.more]}


def marked(lines: list[Line] | None) -> list[str]:
    return [line.text.strip() for line in lines or [] if line.marked]


@pytest.mark.parametrize(
    ("expected", "printed", "agree"),
    [
        ("one\ntwo\n", "one\ntwo\n", True),
        ("one\ntwo\n", "one\nthree\n", False),
        ("one\n", "one\ntwo\n", False),
        ("one\n...\nfour\n", "one\ntwo\nthree\nfour\n", True),
        ("one\n...\ntwo\n", "one\ntwo\n", True),
        ("...\nfour\n...\n", "one\nfour\nfive\n", True),
        ("one\n...\nfour\n", "one\ntwo\n", False),
        ("", "", True),
        ("", "one\n", False),
        ("no end", "no end", True),
        ("Date: <date>\n", "Date: Mon, 30 Nov 2026 10:00:00 GMT\n", True),
        ("Server: <server>\n", "Server: Werkzeug/3.1.9 Python/3.13.0\n", True),
        ('ETag: "<etag>"\n', 'Etag: "1-2-3"\n', False),
        ('Etag: "<etag>"\n', 'Etag: "1-2-3"\n', True),
        ("X-Request-ID: <id>\n", f"X-Request-ID: {'0a' * 16}\n", True),
        ("X-Request-ID: <id>\n", "X-Request-ID: evil\n", False),
        ('{"request_id": "<id>"}\n', f'{{"request_id": "{"0a" * 16}"}}\n', True),
        ("id: <id>\n", "id: 1795-0\n", True),
        ("Allow: GET, HEAD, OPTIONS\n", "Allow: OPTIONS, GET, HEAD\n", True),
        ("Allow: GET, HEAD\n", "Allow: GET\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_a_transcript_agrees_with_what_is_printed(expected: str, printed: str, agree: bool) -> None:
    assert comparing.agrees(expected, printed) is agree


def test_json_differs_by_member_in_any_order() -> None:
    left = answer({"a": 1, "b": {"c": 2, "d": 3}, "e": None})
    right = answer({"b": {"d": 4, "c": 2}, "a": 1})
    cells = rows(left, right)["Body"].cells
    assert marked(cells[0]) == ['"d": 3', '"e": null']
    assert marked(cells[1]) == ['"d": 4,']
    assert [line.text for line in cells[1] or []] == [
        "{",
        '  "b": {',
        '    "d": 4,',
        '    "c": 2',
        "  },",
        '  "a": 1',
        "}",
    ]


def test_the_port_and_an_id_are_no_difference() -> None:
    left = answer({"host": "127.0.0.1:8203", "request_id": "0a" * 16})
    right = answer({"host": "127.0.0.1:8103", "request_id": "0b" * 16})
    assert [marked(cell) for cell in rows(left, right)["Body"].cells] == [[], []]
    left = answer("at :8203\n", ("X-Link", "http://127.0.0.1:8203/a"))
    right = answer("at :8103\n", ("X-Link", "http://127.0.0.1:8103/a"))
    found = rows(left, right)
    assert not found["X-Link"].marked
    assert marked(found["Body"].cells[0]) == []


def test_nothing_is_marked_if_only_one_side_is_json() -> None:
    cells = rows(answer("<p>no</p>"), answer({"a": 1}))["Body"].cells
    assert [marked(cell) for cell in cells] == [[], []]


def test_text_differs_line_by_line() -> None:
    found = rows(answer("one\ntwo\nthree"), answer("one\nthree\nfour"))["Body"]
    assert [marked(cell) for cell in found.cells] == [["two"], ["four"]]
    assert not found.same
    assert rows(answer("one"), answer("one"))["Body"].same


def test_headers_of_the_transcript_have_rows_and_others_are_counted() -> None:
    left = answer("", ("Content-Type", "text/html"), ("Vary", "Origin"), ("X-A", "1"))
    right = answer("", ("Content-Type", "text/html"), ("Allow", "GET"), ("X-A", "2"))
    expected = "HTTP/1.1 200 OK\n...\nContent-Type: text/html\nAllow: GET\n\n{}\nNo-Header: body\n"
    found = comparing.compare([left, right], [expected], str)
    assert [row.name for row in found.rows] == ["Status", "Content-Type", "Allow", "Body", "Log"]
    allow = found.rows[2]
    assert allow.marked and allow.cells[0] is None and allow.cells[1] == [Line("GET")]
    assert [row.name for row in found.more] == ["Vary", "X-A"] and found.differing == 2


def test_a_header_that_is_sent_twice_is_shown_twice() -> None:
    left = answer("", ("Vary", "Origin"), ("Vary", "Cookie"))
    row = rows(left, answer("", ("Vary", "Origin")), "Vary: Origin\n")["Vary"]
    assert row.marked and row.cells[0] == [Line("Origin"), Line("Cookie")]


def test_a_long_body_and_a_binary_one_are_told_by_their_size() -> None:
    assert comparing.text_lines(b"\xff" * 2000) == ["(2,000 bytes that are no text)"]
    assert comparing.text_lines(b"\0" * 17_000_000) == ["(17,000,000 bytes)"]
    assert comparing.text_lines(b"a\n" * 100)[-1] == "(40 more lines)"
