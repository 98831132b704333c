from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from asking import fetched, get

LogIn = Callable[..., FlaskClient]


@pytest.fixture
def ada(app: Flask, log_in: LogIn) -> FlaskClient:
    """A browser whose contacts have been fetched."""
    return fetched(app, log_in(app, "ada"))


def names(answer: Any) -> list[str]:
    return [user["name"] for user in answer["users"]]


@pytest.mark.parametrize(
    ("kind", "singular", "total"),
    [("users", "friend", 250), ("groups", "group", 12), ("mps", "mp", 20)],
)
def test_each_kind_has_its_list(ada: FlaskClient, kind: str, singular: str, total: int) -> None:
    answer = get(ada, f"/j/{kind}")
    assert (answer["total"], answer["page"], answer["ready"]) == (total, 1, True)
    assert answer["pages"] == -(-total // 50) and len(answer[kind]) == min(total, 50)
    assert answer[kind][0].keys() == {"id", "name", "kind"}
    assert {contact["kind"] for contact in answer[kind]} == {singular}


def test_pages_together_hold_everybody_once(ada: FlaskClient) -> None:
    pages = [get(ada, f"/j/users?page={n}&per_page=60")["users"] for n in range(1, 6)]
    assert [len(page) for page in pages] == [60, 60, 60, 60, 10]
    assert len({user["id"] for page in pages for user in page}) == 250


def test_a_page_beyond_the_last_is_empty(ada: FlaskClient) -> None:
    answer = get(ada, "/j/users?page=7")
    assert (answer["users"], answer["pages"], answer["total"]) == ([], 5, 250)


def test_before_the_task_is_done_the_list_is_not_ready(app: Flask, log_in: LogIn) -> None:
    answer = get(log_in(app), "/j/users")
    assert (answer["users"], answer["total"], answer["ready"]) == ([], 0, False)


@pytest.mark.parametrize(
    ("q", "name"),
    [
        ("ŁUKASIEWICZ", "José Łukasiewicz"),
        ("weiss", "Grace Weiß"),
        ("ГОГОЛЬ", "Анна Гоголь"),
        ("ΡΉΓΑΣ", "Ελένη Ρήγας"),
        ("Zoe\u0308", "Zoë Hopper"),
        ("zoe", "Zoë Hopper"),
        ("LUKASIEWICZ", "José Łukasiewicz"),
        ("bjorn", "Bjørn Hopper"),
        ("ρηγας", "Ελένη Ρήγας"),
        ("秀英", "王秀英"),
        ("يوسف", "يوسف حداد"),
        ("मीरा", "मीरा शर्मा"),
    ],
)
def test_search_finds_any_script_in_any_case(ada: FlaskClient, q: str, name: str) -> None:
    answer = ada.get("/j/users", query_string={"q": q}).json
    assert name in names(answer)
    assert answer and answer["total"] < 250


def test_search_without_a_match_is_empty(ada: FlaskClient) -> None:
    answer = get(ada, "/j/users?q=%00%20nobody%20%25_*")
    assert (answer["users"], answer["pages"], answer["total"]) == ([], 0, 0)


@pytest.mark.parametrize("name", ["page", "per_page"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", "", "１", "1_0", "+1", "9" * 5000, "%ff"])
def test_a_page_that_is_no_number_is_1000_by_name(ada: FlaskClient, name: str, value: str) -> None:
    answer = ada.get(f"/j/users?{name}={value}")
    assert answer.status_code == 400 and answer.json
    assert answer.json["error_code"] == 1000 and list(answer.json["msg"]) == [name]


def test_too_much_at_once_is_1000_by_name(ada: FlaskClient) -> None:
    for query in ("per_page=101", "q=" + 101 * "x"):
        answer = ada.get(f"/j/users?{query}").json
        assert answer and list(answer["msg"]) == [query.split("=")[0]]


def test_everybody_sees_their_own(app: Flask, log_in: LogIn, ada: FlaskClient) -> None:
    lin = fetched(app, log_in(app, "lin"))
    assert {"lin", "omar"} < {user["id"] for user in get(ada, "/j/users")["users"]}
    assert {"ada", "omar"} < {user["id"] for user in get(lin, "/j/users")["users"]}
    assert get(ada, "/j/groups")["groups"][0]["id"] != get(lin, "/j/groups")["groups"][0]["id"]
