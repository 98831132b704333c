"""The address book of the account: views that succeed, and one for each way to fail."""

from threading import Lock
from typing import Any

from flask import Blueprint, Flask, current_app

import errors
from errors import ApiException

bp = Blueprint("contacts", __name__, url_prefix="/j")


class AddressBook:
    """Contacts in memory; a real one would sit in a database."""

    def __init__(self) -> None:
        self.users = {
            1: {"id": 1, "name": "Ada", "blocked": False},
            2: {"id": 2, "name": "Grace", "blocked": False},
            3: {"id": 3, "name": "林", "blocked": False},
        }
        self.lock = Lock()


def book() -> AddressBook:
    contacts: AddressBook = current_app.extensions["contacts"]
    return contacts


def find(user_id: int) -> dict[str, Any]:
    user = book().users.get(user_id)
    if user is None:
        raise ApiException(errors.not_found)
    return user


@bp.get("/users")
def list_users() -> dict[str, Any]:
    return {"users": list(book().users.values())}


@bp.get("/users/<int:user_id>")
def show_user(user_id: int) -> dict[str, Any]:
    return {"user": find(user_id)}


@bp.delete("/users/<int:user_id>")
def delete_user(user_id: int) -> dict[str, Any]:
    raise ApiException(errors.unimplemented_error, "Delete contacts on the phone.")


@bp.post("/users/<int:user_id>/block")
def block_user(user_id: int) -> dict[str, Any]:
    user = find(user_id)
    with book().lock:  # without it, two requests at once would both find it unblocked
        if user["blocked"]:
            raise ApiException(errors.illegal_state, "This contact is blocked already.")
        user["blocked"] = True
    return {"user": user}


@bp.get("/settings")
def settings() -> dict[str, Any]:
    raise ApiException(errors.access_forbidden)


@bp.post("/sync")
def sync() -> dict[str, Any]:
    raise ApiException(errors.unknown_error, "The phone doesn't answer.")


@bp.get("/boom")
def boom() -> dict[str, Any]:
    return {"share": 1 / 0}


@bp.get("/errors")
def catalogue() -> dict[str, Any]:
    return {"errors": [error._asdict() for error in errors.CATALOGUE]}


def init_app(app: Flask) -> None:
    app.extensions["contacts"] = AddressBook()
    app.register_blueprint(bp)
