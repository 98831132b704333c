import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import RedisError

import events
import logins
import tasks
from conftest import Desk

LogIn = Callable[..., FlaskClient]
FILE = "0" * 64 + ".txt"


@pytest.fixture
def ada(app: Flask, log_in: LogIn) -> FlaskClient:
    """A browser whose contacts have been fetched."""
    return fetched(app, log_in(app, "ada"))


def fetched(app: Flask, client: FlaskClient) -> FlaskClient:
    with client.session_transaction() as session, app.app_context():
        tasks.retrieve_data(session["login"], session["account"])
    return client


def get(client: FlaskClient, url: str) -> Any:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json


def names(answer: Any) -> list[str]:
    return [user["name"] for user in answer["users"]]


def send(client: FlaskClient, **message: Any) -> Any:
    return client.post("/j/messages", json={"recipients": ["lin"], "text": "Hello"} | message)


@pytest.mark.parametrize("url", ["/j/me", "/j/users", "/j/messages"])
def test_what_a_request_asks_redis_does_not_grow_with_what_is_stored(
    ada: FlaskClient, desk: Desk, url: str
) -> None:
    def count() -> int:
        stats = desk.redis.info("commandstats")
        stats.pop("cmdstat_xread", None)  # streams of other tests, which may still be waiting
        return sum(int(command["calls"]) for command in stats.values())

    def commands() -> int:
        before = count()
        get(ada, url)
        return count() - before

    get(ada, url)  # which opens the connections
    few = commands()
    for number in range(30):
        assert send(ada, text=str(number)).status_code == 201
    assert commands() == few


# Lists


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


# Messages


def test_a_message_arrives_at_the_page_of_an_account_of_this_desk(
    desk: Desk, app: Flask, log_in: LogIn, ada: FlaskClient
) -> None:
    answer = send(ada, recipients=["lin", "ada-friend-1"], text="您好 👋")
    assert answer.status_code == 201
    message = answer.json["message"]
    assert (message["from"], message["text"], message["mine"]) == ("Ada Lovelace", "您好 👋", True)
    assert message["to"] == ["林徽因", "Grace Nguyễn"]
    assert json.loads(desk.events("account:lin", "message")[-1]) == message | {"mine": False}
    assert json.loads(desk.events("account:ada", "message")[-1]) == message
    assert get(log_in(app, "lin"), "/j/messages")["messages"] == [message | {"mine": False}]
    assert get(ada, "/j/messages")["messages"] == [message]
    assert get(log_in(app, "omar"), "/j/messages")["messages"] == []


ID = "b4f1c2d3-made-by-the-client"


def test_a_message_that_is_sent_again_is_there_once(desk: Desk, ada: FlaskClient) -> None:
    before = len(desk.events("account:lin", "message"))
    first, again = send(ada, id=ID), send(ada, id=ID)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json and first.json["message"]["id"] == ID
    assert get(ada, "/j/messages")["messages"] == [first.json["message"]]
    assert len(desk.events("account:lin", "message")) == before + 1


def test_of_many_who_send_one_message_at_once_one_does(
    desk: Desk, app: Flask, ada: FlaskClient
) -> None:
    cookie = ada.get_cookie("desk")
    assert cookie

    def send_it(_: int) -> str:
        tab = app.test_client()
        tab.set_cookie("desk", cookie.value)
        return str(send(tab, id=ID * 2).json["message"]["at"])

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(send_it, range(12)))) == 1
    assert desk.redis.xlen("history:ada") == desk.redis.xlen("history:lin") == 1


def test_the_id_is_the_senders_own(app: Flask, log_in: LogIn, ada: FlaskClient) -> None:
    lin = fetched(app, log_in(app, "lin"))
    hers = send(ada, id=ID[::-1]).json["message"]
    his = send(lin, id=ID[::-1], recipients=["ada"]).json["message"]
    assert (hers["from"], his["from"]) == ("Ada Lovelace", "林徽因")


def test_trap_stored_and_told_apart_a_message_can_be_half_sent(
    app: Flask, ada: FlaskClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise RedisError("Redis is gone, right here")

    monkeypatch.setattr(app.extensions["sse"], "publish", fails)
    with app.app_context(), suppress(RedisError):  # the wrong version
        logins.redis.xadd("history:omar", {"message": '"stored"'})
        events.sse.publish("stored", "account:omar")
    assert desk.redis.xlen("history:omar") == 1  # and no page hears of it

    assert send(ada, id=ID * 2).status_code == 503
    assert desk.redis.exists("history:ada", "history:lin", f"sent:ada:{ID * 2}") == 0
    monkeypatch.undo()
    assert send(ada, id=ID * 2).status_code == 201


def test_the_history_comes_page_by_page_newest_first(ada: FlaskClient) -> None:
    for n in range(53):
        assert send(ada, text=str(n)).status_code == 201
    pages, url = [], "/j/messages?per_page=20"
    while True:
        pages.append(get(ada, url))
        if pages[-1]["older"] is None:
            break
        url = f"/j/messages?per_page=20&before={pages[-1]['older']}"
        send(ada, text="comes in between, and moves no page")
    texts = [message["text"] for page in pages for message in page["messages"]]
    assert texts == [str(n) for n in range(52, -1, -1)]
    assert [len(page["messages"]) for page in pages] == [20, 20, 13]


def test_a_full_last_page_says_that_it_is_the_last(ada: FlaskClient) -> None:
    for n in range(4):
        send(ada, text=str(n))
    first = get(ada, "/j/messages?per_page=2")
    assert get(ada, f"/j/messages?per_page=2&before={first['older']}")["older"] is None


@pytest.mark.parametrize("value", ["0", "x", "", "1-", "-1", "(1-1", "+", "1-1\n", "9" * 20 + "-0"])
def test_a_page_that_begins_nowhere_is_1000_by_name(ada: FlaskClient, value: str) -> None:
    answer = ada.get("/j/messages", query_string={"before": value})
    assert answer.status_code == 400 and answer.json
    assert answer.json["error_code"] == 1000 and list(answer.json["msg"]) == ["before"]


def test_a_setting_says_how_many_messages_are_kept(desk: Desk, log_in: LogIn) -> None:
    app = desk.app(MESSAGES_KEPT=3)
    ada = fetched(app, log_in(app, "ada"))
    for n in range(5):
        assert send(ada, text=str(n)).status_code == 201
    texts = [message["text"] for message in get(ada, "/j/messages")["messages"]]
    assert texts == ["4", "3", "2"]
    assert desk.redis.xlen("history:ada") == desk.redis.xlen("history:lin") == 3


def test_a_message_names_whom_to_answer(app: Flask, log_in: LogIn, ada: FlaskClient) -> None:
    send(ada)
    [message] = get(log_in(app, "lin"), "/j/messages")["messages"]
    assert message["from_id"] == "ada"


def test_an_attachment_is_an_upload(ada: FlaskClient) -> None:
    file = ada.post("/uploads", data={"file": (BytesIO(b"minutes"), "minutes.txt")}).json
    assert file
    sent = {"attachment": file["filename"], "attachment_name": "Minutes, 周三.txt"}
    message = send(ada, text="", **sent).json["message"]
    assert (message["attachment"], message["attachment_name"]) == (file["url"], "Minutes, 周三.txt")
    assert ada.get(message["attachment"]).data == b"minutes"


def test_nobody_gets_a_message_twice(ada: FlaskClient) -> None:
    assert send(ada, recipients=["lin", "lin"]).json["message"]["to"] == ["林徽因"]


UNKNOWN = [["nobody"], ["lin", "nobody"], ["lin\0"], ["\ud800"], ["ada"], ["lin-friend-1"]]
NO_IDS = [[], [None], [[]], [{}], [7], [True], ["lin"] * 51]
NO_FILES = ["", FILE, FILE + "\n", FILE * 50, "0" * 64 + ".\ud800", "../secret_key", "/etc/passwd"]
WRONG: dict[str, list[Any]] = {
    "recipients": [None, "lin", {}, {"lin": 1}, 7, *NO_IDS, *UNKNOWN],
    "text": [None, "", 7, [], {}, True, "x" * 2001, "a\0b", "\ud83d", "\udc4b!"],
    "attachment": [7, [], {}, True, *NO_FILES],
    "attachment_name": [None, 7, [], "x" * 256, "a\0b", "\ud83d"],
    "id": [None, 7, "", "short", "x" * 65, "x" * 15 + "\n", "é" * 16],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, vs in WRONG.items() for v in vs])
def test_a_field_that_cannot_be_is_1000_by_name(ada: FlaskClient, field: str, value: Any) -> None:
    answer = send(ada, **{field: value})
    assert (answer.status_code, answer.json["error_code"]) == (400, 1000)
    assert list(answer.json["msg"]) == [field]


def test_all_faults_are_named_at_once(ada: FlaskClient) -> None:
    answer = ada.post("/j/messages", json={"attachment": 1}).json
    assert answer and answer["msg"].keys() == {"recipients", "text", "attachment"}


DEEP = ["[" * 60_000, '{"a":' * 12_000]
BODIES = ["", "null", "7", '"x"', "[]", "{", "\xff", "NaN", '{"text": ' + "9" * 5000 + "}", *DEEP]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_body_that_is_no_json_object_is_1000(ada: FlaskClient, body: str) -> None:
    answer = ada.post("/j/messages", data=body.encode("latin-1"), content_type="application/json")
    assert answer.status_code == 400 and answer.json
    assert (answer.json["error_code"], list(answer.json["msg"])) == (1000, ["body"])


def test_a_body_of_another_type_is_1000(ada: FlaskClient) -> None:
    assert ada.post("/j/messages", data={"text": "x"}).status_code == 400


def test_before_the_contacts_are_there_nobody_is_known(app: Flask, log_in: LogIn) -> None:
    assert send(log_in(app)).status_code == 400


ODD: list[Any] = [
    None,
    True,
    0,
    -1.5,
    2**99,
    "",
    "\ud800",
    "\0",
    "x" * 50_000,
    [],
    [[]],
    [None],
    {},
    {"a": []},
]


@pytest.mark.parametrize("field", ["recipients", "text", "attachment"])
@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20])
def test_no_json_at_all_is_a_500(ada: FlaskClient, field: str, value: object) -> None:
    message = {"recipients": ["lin"], "text": "x", "attachment": None} | {field: value}
    answer = ada.post("/j/messages", json=message)
    assert answer.status_code == (201 if (field, value) == ("attachment", None) else 400)
