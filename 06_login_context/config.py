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
    "CODES_PER_MINUTE": 60,  # that one address may ask for
    "VISIBILITY_TIMEOUT": 60,  # seconds until a killed worker's task goes to another
    "PUBLIC_URL": None,
    "PROXIES": 0,  # how many in front of this app add X-Forwarded-*
    "UPLOAD_LIMIT": 16 * 1024**2,  # bytes of an attachment
    "MAX_CONTENT_LENGTH": 64 * 1024,  # bytes of any other body, such as the JSON of a login
    "API_PREFIXES": ["/j", "/uploads", "/stream"],
    "SESSION_COOKIE_NAME": "desk",  # a browser sends its cookies to every port of a host
    "SESSION_COOKIE_SAMESITE": "Lax",
    # Otherwise a response that was under way during the login brings the old cookie back.
    "SESSION_REFRESH_EACH_REQUEST": False,
    **sse.DEFAULTS,
}


def is_number(value: object) -> bool:
    return type(value) is int and value > 0


def is_number_or_0(value: object) -> bool:
    return value == 0 or is_number(value)


def is_bot(path: str) -> bool:
    return bool(import_string(path).accounts)


def is_address(url: str | None) -> bool:
    return url is None or bool(re.match(r"https?://[\w.\[]", url))


def is_lifetime(value: Any) -> bool:
    return is_number(value) or value >= timedelta(seconds=1)


def is_same_site(value: object) -> bool:
    return value in ("Lax", "Strict")


def is_redis(url: str) -> bool:
    return bool(ConnectionPool.from_url(url))


def is_broker(url: str) -> bool:
    return "://" in url and bool(connection(url).transport)


def is_secret(key: object) -> bool:
    return isinstance(key, (str, bytes)) and len(key) >= 16


# What is called with a setting's value; False or an exception refuses it.
NEEDED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "BOT_CLASS": (is_bot, "the import path of a Bot"),
    "LOGIN_TTL": (is_number, "a number of seconds"),
    "CODES_PER_MINUTE": (is_number, "a whole number"),
    "VISIBILITY_TIMEOUT": (is_number, "a number of seconds"),
    "SSE_MAX_STREAMS": (is_number, "a whole number"),
    "SSE_QUEUE": (is_number, "a whole number"),
    "SSE_HEARTBEAT": (is_number, "a number of seconds"),
    "SSE_HISTORY": (is_number, "a whole number"),
    "PUBLIC_URL": (is_address, "an address"),
    "PROXIES": (is_number_or_0, "a number"),
    "PERMANENT_SESSION_LIFETIME": (is_lifetime, "a number of seconds"),
    "SESSION_COOKIE_SAMESITE": (is_same_site, "Lax or Strict"),
    "REDIS_URL": (is_redis, "the address of a Redis server"),
    "CELERY_BROKER_URL": (is_broker, "the address of a broker"),
    "SECRET_KEY": (is_secret, "a long text"),
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
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, db = redis_url.removeprefix("unix://").partition("?db=")
    return f"redis+socket://{path}?virtual_host={db or 0}"


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
