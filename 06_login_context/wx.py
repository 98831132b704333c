"""The chat account. WeChat closed the web login that wxpy spoke, so this one is a stand-in.

Setting: ``BOT_CLASS``, the import path of the class to use (default ``"wx.DemoBot"``). `Bot` is
all that the app knows of it; everything around it is real.
"""

import time
from collections.abc import Iterator
from typing import Protocol, TypedDict

from flask import current_app
from werkzeug.utils import import_string


class Contact(TypedDict):
    """Somebody to write to. *kind*: friend, group or mp (an official account)."""

    id: str
    name: str
    kind: str


Pages = Iterator[list[Contact]]


class Bot(Protocol):
    """What a real client has to offer. A task in which it raises OSError is tried again."""

    self: Contact  # the account

    def __init__(self, account: str) -> None:
        """Open an account that is logged in, at once and without asking; KeyError if unknown."""

    @staticmethod
    def accounts() -> list[Contact]:
        """Return who may log in. A real phone knows who it is."""

    def count(self) -> int:
        """Return how many contacts the three methods below fetch."""

    def friends(self) -> Pages: ...
    def groups(self) -> Pages: ...
    def mps(self) -> Pages: ...

    def send(self, id: str, recipients: list[str], text: str, attachment: str | None) -> None:
        """Send to contacts, by id; *attachment* names a file in UPLOAD_FOLDER.

        A message that is sent again has the same *id*, so that the network can drop it.
        """


ACCOUNTS = {"ada": "Ada Lovelace", "lin": "林徽因", "omar": "عمر الخيام"}
PEOPLE = [  # given names, and what a family makes of each
    ("Grace José Zoë Bjørn Aoife", "{} Hopper|{} Łukasiewicz|{} Nguyễn|{} Weiß|{} O’Neill"),
    ("芳 伟 秀英 敏 建国", "王{}|李{}|张{}|刘{}|陈{}"),
    ("さくら 健 結衣 翔太 美咲", "佐藤 {}|鈴木 {}|高橋 {}|田中 {}|渡辺 {}"),
    ("민준 서연 지우 하은 도윤", "김{}|이{}|박{}|최{}|정{}"),
    ("Анна Иван Ольга Пётр Софья", "{} Чайка|{} Гоголь|{} Шевченко|{} Мороз|{} Лебедь"),
    ("ليلى يوسف مريم خالد سارة", "{} حداد|{} النجار|{} منصور|{} الخطيب|{} عبد الله"),
    ("आशा रवि मीरा अर्जुन दिया", "{} शर्मा|{} पटेल|{} सिंह|{} गुप्ता|{} वर्मा"),
    ("Ελένη Νίκος Μαρία Σοφία Άρης", "{} Παππάς|{} Νικολάου|{} Ρήγας|{} Δούκας|{} Βλάχος"),
    ("נועה דוד מאיה יוסי תמר", "{} כהן|{} לוי|{} מזרחי|{} פרץ|{} ביטון"),
    ("สมชาย มาลี อนันต์ กานดา ชัย", "{} ศรีสุข|{} ใจดี|{} ทองดี|{} วงศ์|{} บุญมี"),
]
NAMES = {
    "friend": [f.format(g) for gs, fs in PEOPLE for g in gs.split() for f in fs.split("|")],
    "group": "Chess Cooking Robots 周末爬山 Кино Jazz 家庭群 音楽 القراءة Jardín Flask Go".split(),
    "mp": [f"{name} {n}" for n in range(1, 6) for name in ("Daily", "天气预报", "Радио", "博物馆")],
}


class DemoBot:
    """One of three accounts, with contacts that are the same at every start."""

    page_size, delay = 50, 0.3  # contacts, seconds until a page arrives

    def __init__(self, account: str) -> None:
        self.self = Contact(id=account, name=ACCOUNTS[account], kind="friend")

    @staticmethod
    def accounts() -> list[Contact]:
        return [Contact(id=id, name=name, kind="friend") for id, name in ACCOUNTS.items()]

    def count(self) -> int:
        return sum(map(len, NAMES.values()))

    def pages(self, kind: str, *first: Contact) -> Pages:
        me, names = self.self["id"], NAMES[kind][len(first) :]
        others = [Contact(id=f"{me}-{kind}-{n}", name=s, kind=kind) for n, s in enumerate(names, 1)]
        contacts = [*first, *others]
        for start in range(0, len(contacts), self.page_size):
            time.sleep(self.delay)
            yield contacts[start : start + self.page_size]

    def friends(self) -> Pages:
        return self.pages("friend", *(a for a in self.accounts() if a != self.self))

    def groups(self) -> Pages:
        return self.pages("group")

    def mps(self) -> Pages:
        return self.pages("mp")

    def send(self, id: str, recipients: list[str], text: str, attachment: str | None) -> None:
        """There is no network; contacts.py shows a message to the accounts of this desk."""


def bot_class() -> type[Bot]:
    cls: type[Bot] = import_string(current_app.config["BOT_CLASS"])
    return cls


def get_bot(account: str) -> Bot:
    """Open *account* with the class that BOT_CLASS names. KeyError: it has no such account."""
    return bot_class()(account)
