"""Contacts and messages of the account that is logged in."""

import json
import re
import secrets
import unicodedata
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Flask, current_app, request, session, url_for

from context import current_bot
from exceptions import ParameterException, Success
from ext import redis, sse
from tasks import retrieve_data
from wx import Contact, bot_class

bp = Blueprint("contacts", __name__, url_prefix="/j")

LIMITS = {"page": 10**6, "per_page": 100, "q": 100, "recipients": 50, "text": 2000}
KEPT = 50  # messages of an account


def load() -> dict[str, list[Contact]] | None:
    """Return what the task has fetched; None before it is done."""
    data = redis.get(f"contacts:{session['login']}")
    return json.loads(data) if data else None


def fold(text: str) -> str:
    """Return what a search compares: no case, and one form of each accented letter."""
    return unicodedata.normalize("NFKC", text.casefold())


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
    found = [c for c in (data or {}).get(kind, []) if fold(q) in fold(c["name"])]
    shown = found[(page - 1) * per_page : page * per_page]
    answer = {kind: shown, "page": page, "pages": -(-len(found) // per_page)}
    answer |= {"total": len(found), "ready": data is not None}
    return Success(data=answer)


@bp.post("/contacts")
def fetch() -> Success:
    """Have the contacts fetched anew: 202."""
    retrieve_data.delay(session["login"])
    return Success(code=202)


def check(data: dict[str, Any], names: dict[str, str]) -> None:
    """Raise ParameterException unless *data* is a message to some of *names* (by id)."""
    wrong = {}
    to, text, file = data.get("recipients"), data.get("text"), data.get("attachment")
    if not isinstance(to, list) or not 1 <= len(to) <= LIMITS["recipients"]:
        wrong["recipients"] = [f"A list of 1 to {LIMITS['recipients']} ids is needed."]
    elif not all(isinstance(id, str) and id in names for id in to):
        wrong["recipients"] = ["Not all of these ids are contacts."]
    if not isinstance(text, str) or not (file is None) <= len(text) <= LIMITS["text"]:
        wrong["text"] = [f"A text of 1 to {LIMITS['text']} characters is needed."]
    elif re.search("[\0\ud800-\udfff]", text):  # half an emoji has no UTF-8
        wrong["text"] = ["It has characters that are not allowed."]
    if file is not None:
        stored = isinstance(file, str) and re.fullmatch("[0-9a-f]{64}[.][a-z0-9]+", file)
        if not stored or not (current_app.config["UPLOAD_FOLDER"] / file).is_file():
            wrong["attachment"] = ["The filename that POST /uploads answered with is needed."]
    if wrong:
        raise ParameterException(wrong)


@bp.post("/messages")
def send() -> Success:
    """Send ``text`` and perhaps ``attachment`` to ``recipients``: 201, or 1000 with the faults."""
    try:
        data = request.get_json(silent=True)
    except RecursionError:  # a thousand brackets
        data = None
    if not isinstance(data, dict):
        raise ParameterException({"body": ["A JSON object is needed."]})
    names = {c["id"]: c["name"] for kind in (load() or {}).values() for c in kind}
    check(data, names)
    to, text, file = list(dict.fromkeys(data["recipients"])), data["text"], data.get("attachment")
    current_bot.send(to, text, file)
    message = {
        "id": secrets.token_hex(8),
        "from": current_bot.self["name"],
        "to": [names[id] for id in to],
        "text": text,
        "attachment": url_for("uploaded_file", filename=file) if file else None,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "mine": True,
    }
    deliver(message, current_bot.self["id"], to)
    return Success(code=201, data={"message": message})


def deliver(message: dict[str, Any], sender: str, to: list[str]) -> None:
    """Keep *message* for those who are accounts of this desk, and show it on their pages."""
    accounts = {account["id"] for account in bot_class().accounts()}
    copies = {id: message | {"mine": id == sender} for id in (sender, *to) if id in accounts}
    with redis.pipeline() as pipe:
        for id, copy in copies.items():
            pipe.lpush(f"messages:{id}", json.dumps(copy)).ltrim(f"messages:{id}", 0, KEPT - 1)
        pipe.execute()
    for id, copy in copies.items():
        sse.publish(copy, channel=f"account:{id}")


@bp.get("/messages")
def list_messages() -> Success:
    """Return the last 50 of this account, newest first."""
    kept = redis.lrange(f"messages:{current_bot.self['id']}", 0, -1)
    return Success(data={"messages": [json.loads(message) for message in kept]})


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
