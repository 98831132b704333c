"""The article's version: a view that needs the account asks for it, and nobody asks the others."""

from collections.abc import Mapping
from typing import Any

from flask import Flask

from app import configure


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    app = Flask(__name__)
    app.config["SESSION_COOKIE_NAME"] = "article"  # a browser sends ours to this port as well
    configure(app, config)
    # Trap: a form of another origin logs you out
    # Trap: a new view is open
    return app
