"""Settings: defaults, then local_settings.py (not in git), then ``FLASK_*``, then *config*."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.utils import import_string

import sse
from deploy import redis_server
from deploy.secret_key import shared_key

DEFAULTS = {
    "BOT_CLASS": "wx.DemoBot",
    "LOGIN_TTL": 120,  # seconds
    "CODES_PER_MINUTE": 60,  # that one address may ask for
    "VISIBILITY_TIMEOUT": 60,  # seconds until a killed worker's task goes to another
    "MESSAGES_KEPT": 1000,  # of each account
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
# The numbers among them, and the least that each may be.
LEAST = {"LOGIN_TTL": 1, "CODES_PER_MINUTE": 1, "VISIBILITY_TIMEOUT": 1, "PROXIES": 0}
LEAST |= dict.fromkeys(["MESSAGES_KEPT", "UPLOAD_LIMIT", "MAX_CONTENT_LENGTH", *sse.DEFAULTS], 1)
# redis-py takes redis://host/notanumber for database 0, and Celery fails in the worker.
REDIS_URL = r"unix://.+|rediss?://([^/?]*@)?(\[[\w:]+\]|[\w.-]+)(:\d+)?(/\d*)?(\?.*)?"


def check(settings: Mapping[str, Any]) -> None:
    """ValueError names a setting that can't work, and not its value, which may be a secret."""
    for name, least in LEAST.items():
        if type(settings[name]) is not int or settings[name] < least:
            raise ValueError(f"{name} has to be a whole number, {least} or more")
    lifetime = settings["PERMANENT_SESSION_LIFETIME"]
    if not isinstance(lifetime, timedelta) and (type(lifetime) is not int or lifetime < 1):
        raise ValueError("PERMANENT_SESSION_LIFETIME has to be a number of seconds")
    for name in ("REDIS_URL", "CELERY_BROKER_URL"):
        if not re.fullmatch(REDIS_URL, str(settings[name])):
            raise ValueError(f"{name} has to be like redis://host:6379/0 or unix:///path?db=0")
    if not re.match(r"https?://[\w\[]", str(settings["PUBLIC_URL"] or "http://localhost")):
        raise ValueError("PUBLIC_URL has to begin with https:// and a host")
    if len(str(settings["SECRET_KEY"])) < 16 or isinstance(settings["SECRET_KEY"], int):
        raise ValueError("SECRET_KEY has to be a text of 16 characters or more, not a number")
    try:
        import_string(str(settings["BOT_CLASS"])).accounts  # noqa: B018
    except (AttributeError, ImportError) as error:
        raise ValueError("BOT_CLASS has to be the import path of a Bot") from error


def load(app: Flask, config: Mapping[str, Any] | None) -> None:
    """Fill app.config; ValueError names a setting that can't work."""
    settings = app.config
    settings.from_mapping(DEFAULTS)
    settings.from_pyfile(os.path.join(app.root_path, "local_settings.py"), silent=True)
    # Not in local_settings.py: run.py has to know whether to start a server.
    settings["REDIS_URL"] = os.environ.get("REDIS_URL")
    settings.from_prefixed_env()
    settings.from_mapping(config)
    settings["REDIS_URL"] = settings["REDIS_URL"] or redis_server.url(app.instance_path)
    settings["SECRET_KEY"] = settings["SECRET_KEY"] or shared_key(Path(app.instance_path))
    settings.setdefault("CELERY_BROKER_URL", settings["REDIS_URL"])
    check(settings)
    if str(settings["PUBLIC_URL"]).startswith("https:"):
        settings.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_NAME="__Host-desk")
