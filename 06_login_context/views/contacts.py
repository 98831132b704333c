"""The contacts of the account that is logged in."""

import json
import math
import re
import unicodedata

from flask import Blueprint, request, session

from context import current_bot
from exceptions import ParameterException, Success
from logins import redis
from tasks import start_fetch
from views.parameters import number
from wx import Contact

bp = Blueprint("contacts", __name__, url_prefix="/j")

LONGEST_SEARCH = 100  # characters
# What has no accent of its own in Unicode's tables, but has one for whoever types "lukasiewicz".
PLAIN = str.maketrans("łøđ", "lod")


def load() -> dict[str, list[Contact]] | None:
    """Return what the task has fetched; None before it is done."""
    data = redis.get(f"contacts:{current_bot.self['id']}")
    return json.loads(data) if data else None


def fold(text: str) -> str:
    """Return what a search compares: no case, and no accents on Latin, Greek and Cyrillic letters.

    The marks of other scripts stay, because most of them change the letter.
    """
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(PLAIN))
    without_accents = re.sub("[\u0300-\u036f]", "", decomposed)
    return unicodedata.normalize("NFKC", without_accents)


@bp.get("/<any(users, groups, mps):kind>")
def list_contacts(kind: str) -> Success:
    """Return a page of those whose name contains ``q``; 1000 names a wrong parameter."""
    page, per_page = number("page", 1, 10**6), number("per_page", 50, 100)
    q = request.args.get("q", "")
    if len(q) > LONGEST_SEARCH:
        raise ParameterException({"q": [f"At most {LONGEST_SEARCH} characters are searched for."]})

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
