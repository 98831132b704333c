"""Settings: defaults, then local_settings.py (not in git), then ``FLASK_*``, then *config*."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from kombu.connection import Connection
from werkzeug.utils import import_string

import sse
from deploy import redis_server
from deploy.secret_key import shared_key
from make_celery import broker_url

DEFAULTS = {
    "BOT_CLASS": "network.DemoBot",
    "LOGIN_TTL": 120,  # seconds that a code is good for
    "PERMANENT_SESSION_LIFETIME": 31 * 24 * 3600,  # seconds that a login lasts
    "LOGINS_PER_ACCOUNT": 20,
    "CODES_PER_MINUTE": 60,  # that one address may ask for; a login counts, too
    "VISIBILITY_TIMEOUT": 60,  # seconds until a killed worker's task goes to another
    "MESSAGES_KEPT": 1000,  # of each account
    "MESSAGES_PER_MINUTE": 60,  # that an account may send
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
# As browsers write it, because it's compared with what they send: without :80 and :443.
PUBLIC_URL = r"https?://(\[[\da-f:]+\]|[a-z\d.-]+)(?!:80\b|:443\b)(:\d+)?(/.*)?"
# redis-py takes redis://host/notanumber for database 0, and Celery fails in the worker.
REDIS_URL = r"unix://.+|rediss?://([^/?]*@)?(\[[\w:]+\]|[\w.-]+)(:\d+)?(/\d*)?(\?.*)?"


def is_known_to_celery(url: str) -> bool:
    """Tell whether Celery knows the options in *url*; it knows fewer than redis-py."""
    try:
        Connection(broker_url(url))  # type: ignore[no-untyped-call]
    except TypeError:
        return False
    return True


def check(settings: Mapping[str, Any]) -> None:
    """ValueError names a setting that can't work, and not its value, which may be a secret."""
    for name, default in DEFAULTS.items():
        value, least = settings[name], 0 if name == "PROXIES" else 1
        if type(default) is int and (type(value) is not int or not least <= value <= 10**9):
            raise ValueError(f"{name} has to be a whole number, {least} or more (10**9 at most)")
    for name in ("REDIS_URL", "CELERY_BROKER_URL"):
        if not re.fullmatch(REDIS_URL, str(settings[name])):
            raise ValueError(f"{name} has to be like redis://host:6379/0 or unix:///path?db=0")
    if not is_known_to_celery(settings["CELERY_BROKER_URL"]):
        raise ValueError("CELERY_BROKER_URL has to be without options that Celery doesn't know")
    if not re.fullmatch(PUBLIC_URL, str(settings["PUBLIC_URL"] or "http://localhost")):
        raise ValueError("PUBLIC_URL has to be like https://desk.example, as browsers write it")
    hosts = settings["TRUSTED_HOSTS"]
    is_list = isinstance(hosts, list) and all(isinstance(name, str) for name in hosts)
    if hosts is not None and not is_list:
        raise ValueError('TRUSTED_HOSTS has to be a list of names, such as ["desk.example"]')
    key = settings["SECRET_KEY"]
    if not isinstance(key, str | bytes) or len(key) < 16:
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
    public = urlsplit(settings["PUBLIC_URL"] or "")
    if settings["TRUSTED_HOSTS"] and public.hostname:
        settings["TRUSTED_HOSTS"] = [*settings["TRUSTED_HOSTS"], public.hostname]
    if public.scheme == "https":
        settings.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_NAME="__Host-desk")
