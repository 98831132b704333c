"""Messages of the account that is logged in.

Settings: ``MESSAGES_PER_MINUTE``, that an account may send (files count as well), and
``MESSAGES_KEPT`` (delivery.py).
"""

import re
import secrets
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, current_app, request
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests

from context import current_bot
from delivery import deliver, find, history, id_of
from exceptions import ParameterException, Success
from logins import redis
from uploads import NAME, upload_folder
from views.contacts import load
from views.parameters import json_object, number

bp = Blueprint("messages", __name__, url_prefix="/j")

LIMITS = {"recipients": 50, "text": 2000, "name": 255}
FORBIDDEN = "[\0\ud800-\udfff]"  # half an emoji has no UTF-8


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

    name = data.get("attachment_name")
    is_short = isinstance(name, str) and len(name) <= LIMITS["name"]
    if name is not None and (not is_short or re.search(FORBIDDEN, name)):
        wrong["attachment_name"] = [f"A text of at most {LIMITS['name']} characters is needed."]

    id = data.get("id")
    if not isinstance(id, str) or not re.fullmatch("[A-Za-z0-9_-]{16,64}", id):
        wrong["id"] = ["16 to 64 letters, digits, - or _ are needed."]
    if wrong:
        raise ParameterException(wrong)


@bp.before_app_request
def count_sent() -> None:
    """Count what an account sends; TooManyRequests beyond ``MESSAGES_PER_MINUTE``."""
    if request.method != "POST" or request.endpoint not in ("messages.send", "upload"):
        return
    key = f"sending:{current_bot.self['id']}"
    with redis.pipeline() as pipe:
        pipe.set(key, 0, ex=60, nx=True)
        pipe.incr(key)
        pipe.ttl(key)
        _, sent, seconds = pipe.execute()
    if sent > current_app.config["MESSAGES_PER_MINUTE"]:
        raise TooManyRequests("Too many messages in a minute.", retry_after=max(seconds, 1))


@bp.post("/messages")
def send() -> Success:
    """Send ``text`` and perhaps ``attachment`` to ``recipients``: 201, or 1000 with the faults.

    A client that got no response repeats the request with the same ``id``: it arrives once.
    """
    data = {"id": secrets.token_hex(8), **json_object()}
    contacts = load() or {}
    names = {contact["id"]: contact["name"] for kind in contacts.values() for contact in kind}
    check(data, names)
    to, me = list(dict.fromkeys(data["recipients"])), current_bot.self
    seconds, microseconds = redis.time()  # the one clock that all machines share
    now = datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)
    message = {
        "id": data["id"],
        "from": me["name"],
        "from_id": me["id"],
        "to": [names[id] for id in to],
        "text": data["text"],
        "attachment": data.get("attachment"),
        "attachment_name": data.get("attachment_name"),
        "at": now.isoformat(timespec="milliseconds"),
    }
    # The network comes first. If the rest fails, the client repeats all of it; the other way round,
    # a page would show a message as sent that never leaves.
    kept = find(id_of(message), me["id"], redis)
    if not kept:
        try:
            current_bot.send(message, to)
        except OSError as error:
            raise ServiceUnavailable("The chat network is away.", retry_after=2) from error
        kept = deliver(message, me["id"])
    return Success(code=201, members={"message": kept})


@bp.get("/messages")
def list_messages() -> Success:
    """Return a page of this account's messages, newest first.

    ``older`` is what the next page asks for as ``before``; it's null on the last one.
    """
    before, per_page = request.args.get("before"), number("per_page", 50, 100)
    if before is not None and not re.fullmatch("[1-9][0-9]{0,14}", before):
        raise ParameterException({"before": ["What the page before had as older is needed."]})
    messages, older = history(current_bot.self["id"], before, per_page)
    return Success(members={"messages": messages, "older": older})
