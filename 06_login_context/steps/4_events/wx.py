"""The chat account. WeChat closed the web login that wxpy spoke, so this one is a stand-in.

Setting: ``BOT_CLASS``, the import path of the class to use, such as ``"wx.DemoBot"``. `Bot` is all
that the app knows of it; everything around it is real.
"""

import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypedDict

from flask import current_app
from werkzeug.utils import import_string


class Contact(TypedDict):
    """Somebody to write to. *kind*: friend, group or mp (an official account)."""

    id: str
    name: str
    kind: str


Pages = Iterator[list[Contact]]
# It has at least an id, and from_id, who sent it. The desk's also have from (a name), to (a list of
# names), text, at (ISO 8601), attachment (a file in UPLOAD_FOLDER, or None) and attachment_name.
Message = dict[str, Any]


class Bot(Protocol):
    """What a real client has to offer. A task in which it raises OSError is tried again."""

    self: Contact  # the account

    def __init__(self, account: str) -> None:
        """Open an account that is logged in, at once and without asking; KeyError if unknown."""

    @staticmethod
    def accounts() -> list[Contact]:
        """Return who may log in. A real phone knows who it is."""
        ...

    def count(self) -> int:
        """Return how many contacts the three methods below fetch."""
        ...

    def friends(self) -> Pages: ...
    def groups(self) -> Pages: ...
    def mps(self) -> Pages: ...

    def send(self, message: Message, recipients: list[str]) -> None:
        """Send to contacts, by id; OSError if it may not have been sent.

        A message that is sent again has the same id. Where nobody behind this method drops what
        they know, as with e-mail, the contacts get it twice.
        """

    def messages(self) -> Iterator[Message | None]:
        """Yield what comes for the account, and None every half second while nothing does.

        A message counts as received when the next one is asked for. Until then it would come
        again, also to the next process. It never ends. OSError: the connection is lost.
        """
        ...


ACCOUNTS = {"ada": "Ada Lovelace", "lin": "林徽因", "omar": "عمر الخيام"}


@cache
def names() -> dict[str, list[str]]:
    """Return the names of the contacts that every account has, by kind."""
    loaded: dict[str, list[str]] = json.loads(Path(__file__).with_name("names.json").read_bytes())
    return loaded


class DemoBot:
    """One of three accounts, with contacts that are the same at every start."""

    page_size = 50  # contacts
    delay = 0.3  # seconds until a page arrives

    def __init__(self, account: str) -> None:
        self.self = Contact(id=account, name=ACCOUNTS[account], kind="friend")

    @staticmethod
    def accounts() -> list[Contact]:
        return [Contact(id=id, name=name, kind="friend") for id, name in ACCOUNTS.items()]

    def count(self) -> int:
        return sum(len(of_kind) for of_kind in names().values())

    def pages(self, kind: str, first: list[Contact]) -> Pages:
        """Yield *first* and as many invented contacts as there are names left, page by page."""
        contacts = list(first)
        for number, name in enumerate(names()[kind][len(first) :], 1):
            contacts.append(Contact(id=f"{self.self['id']}-{kind}-{number}", name=name, kind=kind))

        for start in range(0, len(contacts), self.page_size):
            time.sleep(self.delay)
            yield contacts[start : start + self.page_size]

    def friends(self) -> Pages:
        others = [account for account in self.accounts() if account != self.self]
        return self.pages("friend", others)

    def groups(self) -> Pages:
        return self.pages("group", [])

    def mps(self) -> Pages:
        return self.pages("mp", [])

    def send(self, message: Message, recipients: list[str]) -> None:
        """There is no network, before step 7."""

    def messages(self) -> Iterator[Message | None]:
        return iter([])


def bot_class() -> type[Bot]:
    cls: type[Bot] = import_string(current_app.config["BOT_CLASS"])
    return cls


def get_bot(account: str) -> Bot:
    """Open *account* with the class that BOT_CLASS names. KeyError: it has no such account."""
    return bot_class()(account)
