"""As in the article's tool: one QR code for all visitors, and a login that all of them hear of."""

from collections.abc import Mapping
from typing import Any

from flask import Flask

import logins
import pages
from app import set_up
from logins import redis
from wx import DemoBot

CODE = "scan:everybody"  # the tool has a picture, static/img/qr_code.png


def new_code(**fields: str) -> tuple[str, str]:
    redis.hset(CODE, mapping={"state": "pending", **fields})
    return "everybody", "everybody"  # Trap: one picture for all visitors


def change_state(token: str, state: str, account: str = "") -> bool:
    if redis.hget(CODE, "state") not in ("pending", "scanned"):
        return False
    if account:
        next(DemoBot(account).friends())  # opening an account takes a while, as it does with wxpy
    # Trap: two phones at once
    redis.hset(CODE, mapping={"state": state, "account": account})
    return True


def claim(key: str) -> str | None:
    state, account = redis.hmget(CODE, "state", "account")
    return logins.create(account) if state == "confirmed" else None


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app; settings as in `app.set_up`."""
    app = Flask(__name__)
    app.config["SESSION_COOKIE_NAME"] = "article"  # a browser sends ours to this port as well
    set_up(app, config)
    pages.init_app(app, new_code, change_state, claim)
    return app
