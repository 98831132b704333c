"""Registration of clients: a request with several fields, each with its own rules."""

import re
from typing import Any, NamedTuple

from flask import Blueprint, Flask, current_app, request
from werkzeug.security import generate_password_hash

from errors import IllegalState
from exceptions import ClientTypeError, ParameterException, Success

bp = Blueprint("clients", __name__, url_prefix="/v1/client")


class AccountRule(NamedTuple):
    pattern: str
    message: str  # for a client whose account doesn't match


ACCOUNT_RULES = {
    "email": AccountRule(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+", "An e-mail address is needed."),
    "mobile": AccountRule(r"\+?[1-9][0-9]{7,14}", "A phone number is needed: 8 to 15 digits."),
    "mini_program": AccountRule(r"[\w-]{28}", "An openid is needed: 28 letters, digits, - or _."),
}


def text_errors(value: object, shortest: int, longest: int) -> list[str]:
    """Return what is wrong with *value* as a text of *shortest* to *longest* characters."""
    if not isinstance(value, str):
        return ["A text is needed."]
    found = []
    if not value.strip() or not shortest <= len(value) <= longest:
        found.append(f"{shortest} to {longest} characters are needed.")
    # A lone surrogate, half an emoji, has no UTF-8 encoding, so it could not be hashed.
    if re.search("[\0-\x1f\x7f\ud800-\udfff]", value):
        found.append("It has characters that are not allowed.")
    return found


def account_errors(kind: str, account: object) -> list[str]:
    """Return what is wrong with *account* for a client of the type *kind*."""
    found = text_errors(account, 1, 254)
    if not found and not re.fullmatch(ACCOUNT_RULES[kind].pattern, str(account), re.ASCII):
        found.append(ACCOUNT_RULES[kind].message)
    return found


def json_object() -> dict[str, Any]:
    """Return the JSON object in the request's body; ParameterException if there is none."""
    try:
        data = request.get_json(silent=True)
    except RecursionError:  # deeply nested brackets: silent only covers ValueError
        data = None
    if not isinstance(data, dict):
        raise ParameterException("Send a JSON object, as application/json.")
    return data


@bp.post("/register")
def register() -> Success:
    """Take ``account``, ``secret``, ``type``, ``nickname``: 201, or 400 with 1000, 1004, 1006."""
    data = json_object()
    kind = data.get("type")
    account = data.get("account")
    if not isinstance(kind, str) or kind not in ACCOUNT_RULES:
        raise ClientTypeError(f"type must be one of {', '.join(ACCOUNT_RULES)}.")

    errors = {
        "account": account_errors(kind, account),
        "secret": text_errors(data.get("secret"), 8, 128),
        "nickname": text_errors(data.get("nickname"), 1, 40),
    }
    if any(errors.values()):
        raise ParameterException({field: found for field, found in errors.items() if found})

    client = {"nickname": data["nickname"], "secret": generate_password_hash(data["secret"])}
    # One step: if we looked first and stored later, two requests could both find the account free.
    if current_app.extensions["clients"].setdefault(account, client) is not client:
        raise IllegalState("This account is registered already.")
    return Success(code=201)


@bp.post("/sms")
def send_sms() -> Success:
    raise IllegalState("Wait half a minute.", code=429, headers={"Retry-After": "30"})


def init_app(app: Flask) -> None:
    app.extensions["clients"] = {}  # in memory; a real one would sit in a database
    app.register_blueprint(bp)
