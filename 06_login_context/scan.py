# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1, Werkzeug 3.1 and redis-py 8.1, or later.
"""Login by QR code: a page shows a code, a phone confirms it, the page claims the login.

Setting: ``LOGIN_TTL``, the seconds that a code is good for. A code is the hash ``scan:<token>`` in
Redis, and Redis' clock says when it ends.
"""

import hashlib
import secrets
from typing import Any

from flask import current_app

import logins
from logins import redis

OPEN = ("pending", "scanned")  # the others are confirmed, cancelled, expired
KEEP = 10  # times LOGIN_TTL: a confirmation outlives its code, so that an outage does not lose it


def now(client: Any = redis) -> float:
    """Return the time in seconds since 1970, by the one clock that all machines share: Redis's."""
    seconds, microseconds = client.time()
    return float(seconds + microseconds / 1_000_000)


def token_for(key: str) -> str:
    """Return the token for a page's key. The QR code shows the token, and never the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def new_code(**fields: str) -> tuple[str, str]:
    """Store a new code, with *fields* for the phone to show; return its key and its token."""
    key = secrets.token_urlsafe(32)
    token = token_for(key)
    ttl = current_app.config["LOGIN_TTL"]
    with redis.pipeline() as pipe:
        pipe.hset(f"scan:{token}", mapping={"state": "pending", "until": now() + ttl, **fields})
        pipe.expire(f"scan:{token}", KEEP * ttl)
        pipe.execute()
    return key, token


def read_code(token: str, client: Any = redis) -> dict[str, Any]:
    """Return a code as it is now, with the seconds that it has ``left``; {} if there is none."""
    code: dict[str, Any] = client.hgetall(f"scan:{token}")
    if code:
        code["left"] = max(0.0, float(code["until"]) - now(client))
        if code["state"] in OPEN and not code["left"]:
            code["state"] = "expired"
    return code


def change_state(token: str, state: str, **fields: str) -> tuple[dict[str, Any], bool]:
    """Bring an open code to *state*.

    Return the code as it is then ({}: there is no such code), and whether this call has changed
    it: of two phones at once, only one does.
    """

    def change(pipe: Any) -> tuple[dict[str, Any], bool]:
        # redis.transaction WATCHes the code. If another process changes it between this line and
        # EXEC, nothing below happens, and this function is called again.
        code = read_code(token, pipe)
        pipe.multi()
        if fields and fields.items() <= code.items():
            return code, True  # by this very call, whose response was lost on its way from Redis
        if code.get("state") not in OPEN or code["state"] == state:
            return code, False

        new = {"state": state, **fields}
        pipe.hset(f"scan:{token}", mapping=new)
        if state == "confirmed":
            logins.store(fields["login"], fields["account"], pipe)
            # It goes again, unless the page claims it.
            pipe.expire(f"login:{fields['login']}", KEEP * current_app.config["LOGIN_TTL"])
        return code | new, True

    code, changed = redis.transaction(change, f"scan:{token}", value_from_callable=True)
    return code, changed


def confirm(token: str, account: str) -> tuple[dict[str, Any], bool]:
    """Log *account* in, for the page that has the key; return what `change_state` returns."""
    return change_state(token, "confirmed", login=secrets.token_hex(16), account=account)


def login_of(key: str) -> str:
    """Return the login id of the code that has this *key*; "" until a phone has confirmed it."""
    return redis.hget(f"scan:{token_for(key)}", "login") or ""
