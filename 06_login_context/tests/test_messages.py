import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from secrets import token_hex
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from asking import fetched, get, start_receiver
from bots import QuickBot
from conftest import Desk, until
from delivery import deliver, id_of
from wx import ACCOUNTS, Message

LogIn = Callable[..., FlaskClient]
Receiver = subprocess.Popen[bytes]
FILE = "0" * 64 + ".txt"


@pytest.fixture
def receiver(desk: Desk, nothing_on_its_way: None) -> Iterator[Receiver]:
    receiver = start_receiver(desk)
    yield receiver
    receiver.kill()
    receiver.wait()


@pytest.fixture(autouse=True)
def nothing_on_its_way(desk: Desk) -> None:
    for what in ("network", "listener", "sending"):
        desk.redis.delete(*(f"{what}:{account}" for account in ACCOUNTS))


@pytest.fixture
def ada(app: Flask, log_in: LogIn) -> FlaskClient:
    """A browser whose contacts have been fetched."""
    return fetched(app, log_in(app, "ada"))


def send(client: FlaskClient, **message: Any) -> Any:
    return client.post("/j/messages", json={"recipients": ["lin"], "text": "Hello"} | message)


def received(client: FlaskClient, count: int = 1) -> list[dict[str, Any]]:
    """Return the messages of an account, as soon as they are *count*."""

    def messages() -> Any:
        found = get(client, "/j/messages")["messages"]
        return found if len(found) >= count else None

    found: list[dict[str, Any]] = until(messages)
    return found


def test_an_id_that_was_used_sends_nothing_else(ada: FlaskClient, desk: Desk) -> None:
    id = token_hex(16)
    first = send(ada, id=id, text="Lunch?").json["message"]
    again = send(ada, id=id, text="a secret", recipients=["omar"])
    assert again.status_code == 201 and again.json["message"] == first
    assert desk.redis.xlen("network:lin") == 1
    assert desk.redis.xlen("network:omar") == 0


def test_a_page_that_shows_another_account_gets_401_and_sends_nothing(
    ada: FlaskClient, desk: Desk
) -> None:
    for account, status in ("ada", 201), ("lin", 401), ("%E6%9E%97", 401), ("", 401):
        answer = ada.post(
            "/j/messages",
            json={"recipients": ["lin"], "text": account},
            headers={"X-Account": account},
        )
        assert answer.status_code == status
    assert desk.redis.xlen("network:lin") == 1


@pytest.mark.parametrize("url", ["/j/me", "/j/users", "/j/messages"])
def test_what_a_request_asks_redis_does_not_grow_with_what_is_stored(
    ada: FlaskClient, desk: Desk, url: str
) -> None:
    def count() -> int:
        stats = desk.redis.info("commandstats")
        for name in ("cmdstat_xread", "cmdstat_xrange"):
            stats.pop(name, None)  # the readers of other tests, which may still be waiting
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


def test_a_message_arrives_at_the_page_of_an_account_of_this_desk(
    desk: Desk, app: Flask, log_in: LogIn, ada: FlaskClient, receiver: Receiver
) -> None:
    lin = log_in(app, "lin")
    answer = send(ada, recipients=["lin", "ada-friend-1"], text="您好 👋")
    assert answer.status_code == 201
    message = answer.json["message"]
    assert (message["from"], message["text"], message["mine"]) == ("Ada Lovelace", "您好 👋", True)
    assert message["to"] == ["林徽因", "Grace Nguyễn"]
    assert json.loads(desk.events("account:ada", "message")[-1]) == message
    assert get(ada, "/j/messages")["messages"] == [message]

    assert received(lin) == [message | {"mine": False}]
    assert json.loads(desk.events("account:lin", "message")[-1]) == message | {"mine": False}
    assert get(log_in(app, "omar"), "/j/messages")["messages"] == []


def test_what_comes_while_nobody_is_logged_in_comes_after_the_login(
    app: Flask, log_in: LogIn, ada: FlaskClient, receiver: Receiver
) -> None:
    for text in ("first", "second"):
        send(ada, text=text)
    messages = received(log_in(app, "lin"), 2)
    assert [message["text"] for message in messages] == ["second", "first"]


ID = "b4f1c2d3-made-by-the-client"


def test_a_message_that_is_sent_again_is_there_once(
    desk: Desk, app: Flask, log_in: LogIn, ada: FlaskClient, receiver: Receiver
) -> None:
    before = len(desk.events("account:lin", "message"))
    lin = log_in(app, "lin")
    first, again = send(ada, id=ID), send(ada, id=ID, text="The first one counts.")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json and first.json["message"]["id"] == ID
    assert get(ada, "/j/messages")["messages"] == [first.json["message"]]

    send(ada, text="a last one")
    messages = received(lin, 2)
    assert [message["text"] for message in messages] == ["a last one", "Hello"]
    assert len(desk.events("account:lin", "message")) == before + 2


def test_of_many_who_send_one_message_at_once_one_does(
    desk: Desk, app: Flask, ada: FlaskClient
) -> None:
    before = len(desk.events("account:ada", "message"))
    cookie = ada.get_cookie("desk")
    assert cookie

    def send_it(_: int) -> str:
        tab = app.test_client()
        tab.set_cookie("desk", cookie.value)
        return str(send(tab, id=ID * 2).json["message"]["at"])

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(send_it, range(12)))) == 1
    assert len(get(ada, "/j/messages")["messages"]) == 1
    assert len(desk.events("account:ada", "message")) == before + 1


def test_the_id_is_the_senders_own(app: Flask, log_in: LogIn, ada: FlaskClient) -> None:
    with app.app_context():
        for sender in ("lin", "ada", "ada"):
            message = {"id": ID, "from_id": sender, "text": f"from {sender}"}
            assert deliver(message, "omar")["text"] == f"from {sender}"
    page = get(log_in(app, "omar"), "/j/messages")
    assert [message["text"] for message in page["messages"]] == ["from ada", "from lin"]

    lin = fetched(app, log_in(app, "lin"))
    with app.app_context():
        deliver({"id": ID[::-1], "from_id": "ada", "text": "to Lin"}, "lin")
    answer: Any = send(lin, id=ID[::-1], recipients=["ada"]).json
    his = answer["message"]
    assert (his["from"], his["mine"]) == ("林徽因", True)


class AwayBot(QuickBot):
    """Loses its connection when the first message is sent, and nobody knows whether it has left."""

    away = True

    def send(self, message: Message, recipients: list[str]) -> None:
        super().send(message, recipients)
        if AwayBot.away:
            AwayBot.away = False
            raise ConnectionResetError("the network is away")


def test_a_network_that_is_away_is_1009_and_the_message_can_be_sent_again(
    desk: Desk, log_in: LogIn, receiver: Receiver
) -> None:
    app = desk.app(BOT_CLASS=f"{__name__}.AwayBot")
    ada, lin = fetched(app, log_in(app, "ada")), log_in(app, "lin")
    away = send(ada, id=ID)
    assert (away.status_code, away.json["error_code"]) == (503, 1009)
    assert away.headers["Retry-After"] == "2"
    assert get(ada, "/j/messages")["messages"] == []

    assert send(ada, id=ID).status_code == 201
    send(ada, text="a last one")
    assert [message["text"] for message in received(lin, 2)] == ["a last one", "Hello"]


def test_an_account_may_send_so_much_in_a_minute(desk: Desk, log_in: LogIn) -> None:
    app = desk.app(MESSAGES_PER_MINUTE=3)
    ada, lin = fetched(app, log_in(app, "ada")), fetched(app, log_in(app, "lin"))
    assert upload(ada).status_code == 201  # counts as well
    assert [send(ada).status_code for _ in range(3)] == [201, 201, 429]
    assert upload(ada).status_code == 429
    tab = fetched(app, log_in(app, "ada"))  # another login changes nothing
    refused = send(tab)
    assert (refused.status_code, refused.json["error_code"]) == (429, 1007)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert send(lin, recipients=["ada"]).status_code == 201
    assert get(ada, "/j/messages")["messages"]  # reading costs nothing

    desk.redis.delete("sending:ada")  # as when the minute is over
    assert send(ada).status_code == 201


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


@pytest.mark.parametrize("value", ["0", "x", "", "1-", "-1", "(1", "+", "1\n", "1.5", "9" * 20])
def test_a_page_that_begins_nowhere_is_1000_by_name(ada: FlaskClient, value: str) -> None:
    answer = ada.get("/j/messages", query_string={"before": value})
    assert answer.status_code == 400 and answer.json
    assert answer.json["error_code"] == 1000 and list(answer.json["msg"]) == ["before"]


def test_a_setting_says_how_many_messages_are_kept(desk: Desk, log_in: LogIn) -> None:
    app = desk.app(MESSAGES_KEPT=3)
    ada = fetched(app, log_in(app, "ada"))
    ids = [f"{number}-{ID}" for number in range(6)]
    for n in range(5):
        assert send(ada, text=str(n), id=ids[n]).status_code == 201
    assert [send(ada, id=id).json["message"]["id"] for id in ids[2:5]] == ids[2:5]  # all known
    texts = [message["text"] for message in get(ada, "/j/messages")["messages"]]
    assert texts == ["4", "3", "2"]
    kept = [id_of({"from_id": "ada", "id": id}) for id in ids[2:5]]
    assert desk.redis.zrange("history:ids:ada", 0, -1) == kept  # and nothing else of them
    assert not [key for key in desk.redis.keys("*") if ids[0] in key]


def test_a_message_names_whom_to_answer(ada: FlaskClient) -> None:
    assert send(ada).json["message"]["from_id"] == "ada"


def upload(client: FlaskClient, name: str = "minutes.txt") -> Any:
    return client.post("/uploads", data={"file": (BytesIO(b"minutes"), name)})


def test_an_attachment_is_an_upload(ada: FlaskClient) -> None:
    file = upload(ada).json
    sent = {"attachment": file["filename"], "attachment_name": "Minutes, 周三.txt"}
    message = send(ada, text="", **sent).json["message"]
    assert {name: message[name] for name in sent} == sent
    assert ada.get(f"/uploads/{message['attachment']}").data == b"minutes"


@pytest.mark.parametrize("extension", ["x" * 191, "x" * 5000, "é" * 191, "txt" * 64, ".." * 96])
def test_a_long_extension_is_stored_under_a_short_name(ada: FlaskClient, extension: str) -> None:
    answer = upload(ada, f"minutes.{extension}")
    assert answer.status_code == 201 and len(answer.json["filename"]) == 68
    assert send(ada, attachment=answer.json["filename"]).status_code == 201


def test_nobody_gets_a_message_twice(ada: FlaskClient) -> None:
    assert send(ada, recipients=["lin", "lin"]).json["message"]["to"] == ["林徽因"]


UNKNOWN = [["nobody"], ["lin", "nobody"], ["lin\0"], ["\ud800"], ["ada"], ["lin-friend-1"]]
NO_IDS = [[], [None], [[]], [{}], [7], [True], ["lin"] * 51]
NO_FILES = ["", FILE, FILE + "\n", FILE * 50, "0" * 64 + ".\ud800", "../secret_key", "/etc/passwd"]
WRONG: dict[str, list[Any]] = {
    "recipients": [None, "lin", {}, {"lin": 1}, 7, *NO_IDS, *UNKNOWN],
    "text": [None, "", 7, [], {}, True, "x" * 2001, "a\0b", "\ud83d", "\udc4b!"],
    "attachment": [7, [], {}, True, *NO_FILES],
    "attachment_name": [7, [], "x" * 256, "a\0b", "\ud83d"],
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
