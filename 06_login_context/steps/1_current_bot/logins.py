"""What a login id stands for. In this step it's simply the id of an account."""

from flask import abort

from wx import Bot, get_bot


def open_bot(login_id: str | None) -> Bot:
    """Return the bot of a login; 401 if there is none."""
    if login_id is None:
        abort(401)
    return get_bot(login_id)
