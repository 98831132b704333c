"""Contacts and messages of the account that is logged in."""

import json
import math
import re
import secrets
import unicodedata
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Flask, current_app, request, session, url_for

from context import current_bot
from exceptions import ParameterException, Success
from ext import json_object, now, redis, sse
from tasks import start_fetch
from uploads import NAME, upload_folder
from wx import Contact, bot_class

bp = Blueprint("contacts", __name__, url_prefix="/j")

LIMITS = {"page": 10**6, "per_page": 100, "q": 100, "recipients": 50, "text": 2000, "name": 255}
# What has no accent of its own in Unicode's tables, but has one for whoever types "lukasiewicz".
PLAIN = str.maketrans("łøđ", "lod")
FORBIDDEN = "[\0\ud800-\udfff]"  # half an emoji has no UTF-8
REPEATABLE = 24 * 60 * 60  # seconds in which a message that is sent again is known


def load() -> dict[str, list[Contact]] | None:
    """Return what the task has fetched; None before it is done."""
    data = redis.hget(f"login:{session['login']}", "contacts")
    return json.loads(data) if data else None


def fold(text: str) -> str:
    """Return what a search compares: no case, and no accents on Latin, Greek and Cyrillic letters.

    The marks of other scripts stay, because most of them change the letter.
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(PLAIN))
    without_accents = re.sub("[\u0300-\u036f]", "", decomposed)
    return unicodedata.normalize("NFKC", without_accents)


def number(name: str, default: int) -> int:
    text = request.args.get(name, str(default))
    if not re.fullmatch("[1-9][0-9]{0,6}", text) or int(text) > LIMITS[name]:
        raise ParameterException({name: [f"A number from 1 to {LIMITS[name]} is needed."]})
    return int(text)


@bp.get("/<any(users, groups, mps):kind>")
def list_contacts(kind: str) -> Success:
    """Return a page of those whose name contains ``q``; 1000 names a wrong parameter."""
    page, per_page, q = number("page", 1), number("per_page", 50), request.args.get("q", "")
    if len(q) > LIMITS["q"]:
        raise ParameterException({"q": [f"At most {LIMITS['q']} characters are searched for."]})

    data = load()
    contacts = data[kind] if data else []
    found = [contact for contact in contacts if fold(q) in fold(contact["name"])]
    answer = {
        kind: found[(page - 1) * per_page : page * per_page],
        "page": page,
        "pages": math.ceil(len(found) / per_page),
        "total": len(found),
        "ready": data is not None,
    }
    return Success(members=answer)


@bp.post("/contacts")
def fetch() -> Success:
    """Have the contacts fetched anew, unless that is under way: 202."""
    start_fetch(session["login"])
    return Success(code=202)


def check(data: dict[str, Any], names: dict[str, str]) -> None:
    """Raise ParameterException unless *data* is a message to some of *names* (by id)."""
    wrong = {}
    to, text, file = data.get("recipients"), data.get("text"), data.get("attachment")
    if not isinstance(to, list) or not 1 <= len(to) <= LIMITS["recipients"]:
        wrong["recipients"] = [f"A list of 1 to {LIMITS['recipients']} ids is needed."]
    elif not all(isinstance(id, str) and id in names for id in to):
        wrong["recipients"] = ["Not all of these ids are contacts."]

    shortest = 1 if file is None else 0  # an attachment needs no text
    if not isinstance(text, str) or not shortest <= len(text) <= LIMITS["text"]:
        wrong["text"] = [f"A text of 1 to {LIMITS['text']} characters is needed."]
    elif re.search(FORBIDDEN, text):
        wrong["text"] = ["It has characters that are not allowed."]

    if file is not None:
        is_name = isinstance(file, str) and re.fullmatch(NAME, file)
        if not is_name or not (upload_folder(current_app) / file).is_file():
            wrong["attachment"] = ["The filename that POST /uploads answered with is needed."]

    name = data.get("attachment_name", "")
    if not isinstance(name, str) or len(name) > LIMITS["name"] or re.search(FORBIDDEN, name):
        wrong["attachment_name"] = [f"A text of at most {LIMITS['name']} characters is needed."]

    id = data.get("id")
    if not isinstance(id, str) or not re.fullmatch("[A-Za-z0-9_-]{16,64}", id):
        wrong["id"] = ["16 to 64 letters, digits, - or _ are needed."]
    if wrong:
        raise ParameterException(wrong)


@bp.post("/messages")
def send() -> Success:
    """Send ``text`` and perhaps ``attachment`` to ``recipients``: 201, or 1000 with the faults.

    A client that got no response repeats the request with the same ``id``: it is sent once.
    """
    data = {"id": secrets.token_hex(8), **json_object()}
    contacts = load() or {}
    names = {contact["id"]: contact["name"] for kind in contacts.values() for contact in kind}
    check(data, names)
    to, text, file = list(dict.fromkeys(data["recipients"])), data["text"], data.get("attachment")
    message = {
        "id": data["id"],
        "from": current_bot.self["name"],
        "from_id": current_bot.self["id"],
        "to": [names[id] for id in to],
        "text": text,
        "attachment": url_for("uploaded_file", filename=file) if file else None,
        "attachment_name": data.get("attachment_name"),
        "at": datetime.fromtimestamp(now(), UTC).isoformat(timespec="milliseconds"),
        "mine": True,
    }
    current_bot.send(message["id"], to, text, file)
    return Success(code=201, members={"message": deliver(message, current_bot.self["id"], to)})


def deliver(message: dict[str, Any], sender: str, to: list[str]) -> dict[str, Any]:
    """Keep *message* for those who are accounts of this desk, and show it on their pages.

    Return the message; if one with its id has been delivered before, that one.
    """
    sent = f"sent:{sender}:{message['id']}"
    accounts = {account["id"] for account in bot_class().accounts()}

    def keep(pipe: Any) -> dict[str, Any]:
        # WATCHed by redis.transaction: of two requests with the same id, only one gets to EXEC.
        before = pipe.get(sent)
        pipe.multi()
        if before:
            known: dict[str, Any] = json.loads(before)
            return known

        pipe.set(sent, json.dumps(message), ex=REPEATABLE)
        for id in accounts & {sender, *to}:
            copy = message | {"mine": id == sender}
            kept = current_app.config["MESSAGES_KEPT"]
            pipe.xadd(
                f"history:{id}", {"message": json.dumps(copy)}, maxlen=kept, approximate=False
            )
            sse.publish(copy, f"account:{id}", redis=pipe)
        return message

    kept: dict[str, Any] = redis.transaction(keep, sent, value_from_callable=True)
    return kept


@bp.get("/messages")
def list_messages() -> Success:
    """Return a page of this account's messages, newest first.

    ``older`` is what the next page asks for as ``before``; it's null on the last one.
    """
    before, per_page = request.args.get("before"), number("per_page", 50)
    if before is not None and not re.fullmatch("[0-9]{1,15}-[0-9]{1,15}", before):
        raise ParameterException({"before": ["What the page before had as older is needed."]})
    # A page begins at an id and not at a number, because new messages don't move the ids.
    start = f"({before}" if before else "+"
    found = redis.xrevrange(f"history:{current_bot.self['id']}", max=start, count=per_page + 1)
    page = found[:per_page]
    older = page[-1][0] if len(found) > per_page else None
    messages = [json.loads(entry["message"]) for _, entry in page]
    return Success(members={"messages": messages, "older": older})


def init_app(app: Flask) -> None:
    """Add the views under /j. Setting: ``MESSAGES_KEPT``, of each account."""
    app.register_blueprint(bp)
