"""Registration of clients: a request with several fields, each with rules of its own."""

import re
from typing import Any

from flask import Blueprint, Flask, current_app, request
from werkzeug.security import generate_password_hash

from errors import IllegalState
from exceptions import ClientTypeError, ParameterException, Success

bp = Blueprint("clients", __name__, url_prefix="/v1/client")

ACCOUNTS = {  # a pattern of each type's account, and what to tell whoever misses it
    "email": (r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+", "An e-mail address is needed."),
    "mobile": (r"\+?[1-9][0-9]{7,14}", "A phone number is needed: 8 to 15 digits."),
    "mini_program": (r"[\w-]{28}", "An openid is needed: 28 letters, digits, - or _."),
}


def faults(value: object, shortest: int, longest: int) -> list[str]:
    """Return what is wrong with *value* as a text of so many characters."""
    if not isinstance(value, str):
        return ["A text is needed."]
    found = []
    if not value.strip() or not shortest <= len(value) <= longest:
        found.append(f"{shortest} to {longest} characters are needed.")
    if re.search("[\0-\x1f\x7f\ud800-\udfff]", value):  # half an emoji has no UTF-8, so no hash
        found.append("It has characters that are not allowed.")
    return found


def account_faults(kind: str, account: object) -> list[str]:
    pattern, needed = ACCOUNTS[kind]
    found = faults(account, 1, 254)
    if not found and not re.fullmatch(pattern, str(account), re.ASCII):
        found.append(needed)
    return found


def json_object() -> dict[str, Any]:
    """Return the JSON object in the request's body; ParameterException if there is none."""
    try:
        data = request.get_json(silent=True)
    except RecursionError:  # a thousand brackets; silent takes care of ValueError alone
        data = None
    if not isinstance(data, dict):
        raise ParameterException("Send a JSON object, as application/json.")
    return data


@bp.post("/register")
def register() -> Success:
    """Take ``account``, ``secret``, ``type``, ``nickname``: 201, or 400 with 1000, 1004, 1006."""
    data = json_object()
    kind, account = data.get("type"), data.get("account")
    if not isinstance(kind, str) or kind not in ACCOUNTS:
        raise ClientTypeError(f"type is one of {', '.join(ACCOUNTS)}.")
    wrong = {
        "account": account_faults(kind, account),
        "secret": faults(data.get("secret"), 8, 128),
        "nickname": faults(data.get("nickname"), 1, 40),
    }
    if any(wrong.values()):
        raise ParameterException({field: found for field, found in wrong.items() if found})
    client = {"nickname": data["nickname"], "secret": generate_password_hash(data["secret"])}
    # One step, or of two requests at once both would find the account free.
    if current_app.extensions["clients"].setdefault(account, client) is not client:
        raise IllegalState("This account is registered already.")
    return Success(code=201)


def init_app(app: Flask) -> None:
    app.extensions["clients"] = {}  # in memory; a real one would sit in a database
    app.register_blueprint(bp)
