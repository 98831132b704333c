# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1, Werkzeug 3.1 and redis-py 8.1, or later.
"""Login by QR code: a page shows a code, a phone confirms it, the page claims the login.

Setting: ``LOGIN_TTL``, the seconds that a code is good for (default 120). A code is the hash
``scan:<token>`` in Redis. Its state is pending, scanned, confirmed or cancelled, and expired once
Redis has dropped it.
"""

import hashlib
import secrets
from typing import Any

from flask import current_app

import logins
from logins import redis

OPEN = ("pending", "scanned")  # a phone may still answer
CLAIM_TTL = 1200  # seconds until a confirmed login that no page claims is dropped


def token_for(key: str) -> str:
    """Return the token for a page's key. The QR code shows the token, and never the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def new_code(**fields: str) -> tuple[str, str]:
    """Store a new code, with *fields* for the phone to show; return its key and its token."""
    key = secrets.token_urlsafe(32)
    code = f"scan:{token_for(key)}"
    with redis.pipeline() as pipe:  # all commands or none
        pipe.hset(code, mapping={"state": "pending", **fields})
        pipe.expire(code, current_app.config.get("LOGIN_TTL", 120))
        pipe.execute()
    return key, token_for(key)


def read_code(token: str) -> dict[str, Any]:
    """Return the fields of a code, and ``left``, the seconds until Redis drops it."""
    with redis.pipeline() as pipe:
        pipe.hgetall(f"scan:{token}")
        pipe.ttl(f"scan:{token}")
        fields, left = pipe.execute()
    return {"state": "expired", **fields, "left": max(left, 0)}


def change_state(token: str, state: str, account: str = "") -> bool:
    """Bring an open code to *state*: scanned, cancelled, or confirmed, with the *account*.

    Return whether this call has done it: of two phones at once, only one does.
    """
    code = f"scan:{token}"
    login_id = secrets.token_hex(16)

    def change(pipe: Any) -> bool:
        # Redis executes nothing of this if the code changes before EXEC, and redis.transaction
        # then calls this function again.
        fields = pipe.hgetall(code)
        if fields.get("login") == login_id:
            return True  # it had been executed, and only the response was lost
        if fields.get("state") not in OPEN:
            return False

        pipe.multi()
        pipe.hset(code, "state", state)
        if state == "confirmed":
            pipe.hset(code, "login", login_id)
            pipe.expire(code, CLAIM_TTL)
            logins.store(login_id, account, pipe)
            pipe.expire(f"login:{login_id}", CLAIM_TTL)
        return True

    changed: bool = redis.transaction(change, code, value_from_callable=True)
    return changed


def claim(key: str) -> str | None:
    """Return the login id for the page with this *key*; None until a phone has confirmed its code.

    A page that got no response may claim again.
    """
    login_id: str | None = redis.hget(f"scan:{token_for(key)}", "login")
    if login_id:
        redis.expire(f"login:{login_id}", current_app.permanent_session_lifetime)
    return login_id
