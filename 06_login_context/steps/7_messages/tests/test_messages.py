import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import BadRequest

from conftest import HERE, Desk, Receivers, until
from delivery import deliver, history
from network import DemoBot
from wx import Message

ID = "made-by-the-client"
# Sends a message, and dies while it's published.
DIE = """
import sys
from importlib import import_module

module, text, redis_url, secret_key = sys.argv[1:]
app = import_module(module).create_app({"REDIS_URL": redis_url, "SECRET_KEY": secret_key})
client = app.test_client()
client.post("/login/ada")
client.post("/messages?as=ada&die=1", data={"id": "made-by-the-client", "to": "lin", "text": text})
"""


def log_in(app: Flask) -> FlaskClient:
    """Return a browser with both accounts, as the page has it."""
    client = app.test_client()
    for account in ("ada", "lin"):
        assert client.post(f"/login/{account}").status_code == 303
    return client


def send(client: FlaskClient, text: str = "Hello", id: str = ID) -> Any:
    answer = client.post("/messages?as=ada", data={"id": id, "to": "lin", "text": text})
    assert answer.status_code == 201, answer.text
    return answer.json


def stored(client: FlaskClient, account: str) -> list[str]:
    """Return the texts that are kept for an account, oldest first."""
    messages: Any = client.get(f"/messages?as={account}").json
    return [message["text"] for message in reversed(messages)]


def die_while_sending(desk: Desk, module: str) -> None:
    command = [sys.executable, "-c", DIE, module, "Hello", desk.settings["REDIS_URL"], "a key"]
    assert subprocess.run(command, cwd=HERE).returncode == -signal.SIGKILL


def test_trap_stored_and_published_apart_a_message_is_half_sent(
    desk: Desk, app: Flask, article_app: Flask, receivers: Receivers
) -> None:
    die_while_sending(desk, "article")
    client = log_in(article_app)
    assert (stored(client, "ada"), desk.told("ada", "article")) == (["Hello"], [])
    send(client)  # a client that got no response sends again
    assert (stored(client, "ada"), desk.told("ada", "article")) == (["Hello"] * 2, ["Hello"])

    die_while_sending(desk, "app")
    client = log_in(app)
    assert (stored(client, "ada"), desk.told("ada")) == ([], [])
    receivers()
    send(client)
    send(client, "the last one", id=ID * 2)
    until(lambda: "the last one" in stored(client, "lin"))
    for account in ("ada", "lin"):
        assert stored(client, account) == desk.told(account) == ["Hello", "the last one"]


def test_trap_a_message_that_is_sent_again_arrives_twice(
    desk: Desk, app: Flask, article_app: Flask, receivers: Receivers
) -> None:
    client = log_in(article_app)
    assert send(client)["id"] != send(client)["id"]
    assert stored(client, "lin") == ["Hello", "Hello"]

    receivers()
    client = log_in(app)
    assert send(client) == send(client, "The first one counts.")
    send(client, "the last one", id=ID * 2)
    until(lambda: "the last one" in stored(client, "lin"))
    for account in ("ada", "lin"):
        assert stored(client, account) == desk.told(account) == ["Hello", "the last one"]


class AwayBot(DemoBot):
    def send(self, message: Message, recipients: list[str]) -> None:
        raise ConnectionResetError("the network is away")


def test_a_message_that_is_shown_has_left(desk: Desk, app: Flask) -> None:
    app.config["BOT_CLASS"] = f"{__name__}.AwayBot"
    client = log_in(app)
    with pytest.raises(ConnectionResetError):
        send(client)
    assert (stored(client, "ada"), desk.told("ada")) == ([], [])


def test_of_many_who_deliver_a_message_at_once_one_does(desk: Desk, app: Flask) -> None:
    def try_it(number: int) -> Any:
        with app.app_context():
            return deliver({"id": ID, "from_id": "ada", "text": str(number)}, "lin")

    with ThreadPoolExecutor(8) as pool:
        texts = {message["text"] for message in pool.map(try_it, range(40))}
    assert len(texts) == 1
    assert desk.told("lin") == [*texts]


def test_the_newest_are_kept_and_their_ids_are_known(desk: Desk, app: Flask) -> None:
    app.config["MESSAGES_KEPT"] = 3
    with app.app_context():
        for number in range(5):
            deliver({"id": f"message {number}", "from_id": "ada", "text": str(number)}, "lin")
        for number in (2, 3, 4):
            again = {"id": f"message {number}", "from_id": "ada", "text": "again"}
            assert deliver(again, "lin")["text"] == str(number)
        messages, _ = history("lin", None, per_page=10)
    assert [message["text"] for message in messages] == ["4", "3", "2"]
    ids = [json.dumps(["ada", f"message {number}"]) for number in (2, 3, 4)]
    assert desk.redis.zrange("history:ids:lin", 0, -1) == ids


def test_a_page_begins_where_the_one_before_has_ended(app: Flask) -> None:
    with app.app_context():
        for number in range(5):
            deliver({"id": f"message {number}", "from_id": "ada", "text": str(number)}, "lin")
        first, older = history("lin", None, per_page=2)
        deliver({"id": "in between", "from_id": "ada", "text": "in between"}, "lin")
        second, older = history("lin", older, per_page=2)
        third, end = history("lin", older, per_page=2)
    texts = [[message["text"] for message in page] for page in (first, second, third)]
    assert (texts, end) == ([["4", "3"], ["2", "1"], ["0"]], None)


@pytest.mark.parametrize("before", ["abc", "-1", "1\n", "(1", "1.5", "9" * 16, "٣"])
def test_a_page_that_begins_nowhere_is_a_400(app: Flask, before: str) -> None:
    with app.app_context(), pytest.raises(BadRequest):
        history("lin", before, per_page=2)


@pytest.mark.parametrize(("sender", "account"), [("1", "1"), (1, "1"), ("1", 1)])
def test_a_message_is_the_senders_own_in_one_copy_alone(
    app: Flask, sender: Any, account: Any
) -> None:
    with app.app_context():
        message = {"id": ID, "from_id": sender, "text": "Hello"}
        assert [deliver(message, to)["mine"] for to in (account, "lin")] == [True, False]


NESTED: list[Any] = []  # deeper than Python can write
for _ in range(100_000):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ID},
        {"from_id": "ada"},
        {"id": None, "from_id": "ada"},
        {"id": ID, "from_id": ""},
        {"id": ID, "from_id": "ada", "text": b"no JSON"},
        {"id": ID, "from_id": "ada", "text": float("nan")},
        {"id": ID, "from_id": "ada", 5: "five", "5": "five"},
        {"id": ID, "from_id": "ada", "text": NESTED},
    ],
)
def test_what_cannot_be_kept_is_a_value_error(app: Flask, wrong: dict[Any, Any]) -> None:
    with app.app_context(), pytest.raises(ValueError, match="It can't be kept"):
        deliver(wrong, "lin")


def test_two_senders_are_told_apart_whatever_their_names(app: Flask) -> None:
    with app.app_context():
        for sender, id in ("ada", "x 1"), ("ada x", "1"):
            assert deliver({"id": id, "from_id": sender}, "lin")["from_id"] == sender


def test_a_setting_that_is_missing_makes_no_message_unreadable(app: Flask) -> None:
    del app.config["MESSAGES_KEPT"]
    with app.app_context(), pytest.raises(KeyError):
        deliver({"id": ID, "from_id": "ada"}, "lin")


def test_the_button_kills_the_process_that_listens(
    desk: Desk, app: Flask, receivers: Receivers
) -> None:
    client = log_in(app)
    assert client.post("/kill?as=lin").status_code == 404
    receiver = receivers()
    until(lambda: desk.redis.exists("listener:lin"))
    assert client.post("/kill?as=lin").json == {"killed": str(receiver.pid)}
    assert receiver.wait(timeout=30) == -signal.SIGKILL


@pytest.mark.parametrize("version", ["app", "article_app"])
def test_what_is_no_message_is_refused(version: str, request: pytest.FixtureRequest) -> None:
    client = log_in(request.getfixturevalue(version))
    good = {"id": ID, "to": "lin", "text": "Hello"}
    for wrong in ({"id": "short"}, {"id": ID + "\n"}, {"text": ""}, {"text": "x" * 2001}):
        assert client.post("/messages?as=ada", data=good | wrong).status_code == 400
    assert client.post("/messages?as=ada", data=good | {"to": "nobody"}).status_code == 404
    assert client.post("/messages?as=omar", data=good).status_code == 401
    for path in ("/messages?as=omar", "/messages", "/stream", "/stream?as=omar"):
        assert client.get(path).status_code == 401


@pytest.mark.parametrize("version", ["app", "article_app"])
def test_the_page_shows_who_is_logged_in(version: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue(version).test_client()
    assert client.get("/").text.count('data-here="0"') == 2
    client.post("/login/ada")
    client.post("/login/lin")
    assert client.get("/").text.count('data-here="1"') == 2
    client.post("/logout?as=lin")
    page = client.get("/").text
    assert page.count('data-here="1"') == page.count('data-here="0"') == 1
    assert [client.get(f"/messages?as={id}").status_code for id in ("ada", "lin")] == [200, 401]
