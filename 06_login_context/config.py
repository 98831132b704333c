"""Settings: defaults, then local_settings.py (not in git), then ``FLASK_*``, then *config*."""

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from kombu.connection import Connection
from redis import ConnectionPool
from werkzeug.utils import import_string

import redis_server
import sse

connection: Any = Connection  # kombu has no types
DEFAULTS = {
    "BOT_CLASS": "wx.DemoBot",
    "LOGIN_TTL": 120,  # seconds
    "VISIBILITY_TIMEOUT": 60,  # seconds until a killed worker's task goes to another
    "PUBLIC_URL": None,
    "PROXIES": 0,  # how many in front of this app add X-Forwarded-*
    "API_PREFIXES": ["/j", "/uploads"],
    "SESSION_COOKIE_NAME": "desk",  # cookies do not tell the ports of a host apart
    "SESSION_COOKIE_SAMESITE": "Lax",
    # Else an answer that was under way during the login brings the old cookie back.
    "SESSION_REFRESH_EACH_REQUEST": False,
    **sse.DEFAULTS,
}


def whole(value: object) -> bool:
    return type(value) is int and value > 0


NEEDED: dict[str, tuple[Callable[[Any], object], str]] = {
    "BOT_CLASS": (lambda path: import_string(path).accounts, "the import path of a Bot"),
    "LOGIN_TTL": (whole, "a number of seconds"),
    "VISIBILITY_TIMEOUT": (whole, "a number of seconds"),
    **dict.fromkeys(sse.DEFAULTS, (whole, "a whole number")),
    "PUBLIC_URL": (lambda url: url is None or re.match(r"https?://[\w.\[]", url), "an address"),
    "PERMANENT_SESSION_LIFETIME": (
        lambda t: whole(t) or timedelta(seconds=1) <= t,
        "a number of seconds",
    ),
    "SESSION_COOKIE_SAMESITE": (("Lax", "Strict").count, "Lax or Strict"),
    "PROXIES": (lambda n: n == 0 or whole(n), "a number"),
    "REDIS_URL": (ConnectionPool.from_url, "the address of a Redis server"),
    "CELERY_BROKER_URL": (
        lambda url: "://" in url and connection(url).transport,
        "the address of a broker",
    ),
    "SECRET_KEY": (lambda key: isinstance(key, (str, bytes)) and len(key) > 15, "a long text"),
}


SECRET = ("SECRET_KEY", "REDIS_URL", "CELERY_BROKER_URL")  # or what holds a password


def secret_key(folder: Path) -> str:
    """Return the key in *folder*, one for all processes: the first one makes it."""
    path = folder / "secret_key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder) as file:  # mode 600
            file.write(secrets.token_hex(32))
            file.flush()
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.link(file.name, path)
    return path.read_text()


def broker_url(redis_url: str) -> str:
    """Return what Celery calls this Redis server: ``redis+socket:`` for ``unix:``."""
    path, _, db = redis_url.removeprefix("unix://").partition("?db=")
    ours = redis_url.startswith("unix://")
    return f"redis+socket://{path}?virtual_host={db or 0}" if ours else redis_url


def load(app: Flask, config: Mapping[str, Any] | None) -> None:
    """Fill app.config; ValueError names a setting that cannot work."""
    settings = app.config
    settings.from_mapping(DEFAULTS)
    settings.from_pyfile(os.path.join(app.root_path, "local_settings.py"), silent=True)
    # Not in local_settings.py: run.py has to know whether to start a server.
    settings["REDIS_URL"] = os.environ.get("REDIS_URL") or redis_server.url(app.instance_path)
    settings.from_prefixed_env()
    settings.from_mapping(config)
    settings["SECRET_KEY"] = settings["SECRET_KEY"] or secret_key(Path(app.instance_path))
    if str(settings["PUBLIC_URL"]).startswith("https:"):
        settings.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_NAME="__Host-desk")
    settings.setdefault("CELERY_BROKER_URL", broker_url(str(settings["REDIS_URL"])))
    for name, (check, needed) in NEEDED.items():
        try:
            fits = check(settings[name])
        except (AttributeError, ImportError, LookupError, TypeError, ValueError):
            fits = False
        if not fits:
            value = "set to something" if name in SECRET else repr(settings[name])
            raise ValueError(f"{name} is {value}, not {needed}")
