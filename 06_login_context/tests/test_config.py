"""Settings that can't work are refused at start-up, by name, and nothing secret is printed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from traceback import format_exception_only

import pytest

from config import DEFAULTS
from conftest import Desk
from deploy.secret_key import shared_key
from make_celery import broker_url

REFUSED: dict[str, list[object]] = {
    "LOGIN_TTL": [0, "120", True, "2m", 10**19],
    "VISIBILITY_TIMEOUT": [-1],
    "CODES_PER_MINUTE": [0, "many"],
    "BOT_CLASS": ["wx.NoBot", "nomodule.Bot", "os", 5, None],
    "PUBLIC_URL": [
        "desk.example",
        8,
        "https://",
        "https://Desk.example",
        "https://bücher.example",
        "https://desk.example:port",
        "https://ada:secret@desk.example",
        "https://desk.example:443",
        "http://desk.example:80/app",
    ],
    "PROXIES": [-1, "one"],
    "TRUSTED_HOSTS": ["desk.example", 5, [5]],
    "LOGINS_PER_ACCOUNT": [0],
    "MESSAGES_PER_MINUTE": [0],
    "MESSAGES_KEPT": [0, "all"],
    "UPLOAD_LIMIT": [0, "16m"],
    "MAX_CONTENT_LENGTH": [0, "64k", None],
    "SSE_MAX_STREAMS": ["many"],
    "SSE_QUEUE": [0],
    "SSE_HEARTBEAT": [0, 0.5],
    "SSE_HISTORY": [0],
    "PERMANENT_SESSION_LIFETIME": ["month", 0, None, timedelta(hours=1)],
    "SECRET_KEY": [1234567890123456, 1234567890.12345678, ["a"] * 16, "short"],
    "REDIS_URL": [
        "localhost:6379",
        6379,
        "redis://h/notanumber",
        "redis://:hunter2@h:port",
        "redis://:hun/ter2@h:6379",
        "redis://",
    ],
    "CELERY_BROKER_URL": [
        "nowhere",
        "foo://:hunter2@h",
        "redis://:hunter2@h/celery",
        "redis://:hunter2@h/0?protocol=3",
    ],
}
TAKEN: dict[str, list[object]] = {
    "PERMANENT_SESSION_LIFETIME": [3600],
    "PUBLIC_URL": [None, "https://desk.example/app/", "http://[::1]:8106", "http://a-1.b:8000"],
    "TRUSTED_HOSTS": [None, [], ["desk.example", ".desk.lan"]],
    "PROXIES": [0, 2],
    "CELERY_BROKER_URL": [
        "redis://h",
        "redis://:hunter2@h:6379/0",
        "rediss://user:hun%2Fter@redis-1.example:6379/15?ssl_cert_reqs=required",
        "redis://[::1]:6379/1",
        "unix:///a%20b/socket?db=1",
    ],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in REFUSED.items() for v in vs])
def test_start_up_refuses_what_cannot_work_by_name(desk: Desk, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} has to "):
        desk.app(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", 123456789),
        ("SECRET_KEY", "123456789"),
        ("REDIS_URL", "redis://:123456789@h:port"),
        ("REDIS_URL", "redis://:123456789/x@h"),  # the slash would have to be %2F
        ("CELERY_BROKER_URL", "redis://:123456789@h/celery"),
    ],
)
def test_a_refusal_does_not_print_what_may_be_secret(desk: Desk, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name) as refusal:
        desk.app(**{name: value})
    assert "123456789" not in "".join(format_exception_only(refusal.value))
    assert refusal.value.__cause__ is None and refusal.value.__context__ is None


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in TAKEN.items() for v in vs])
def test_start_up_takes_what_works(desk: Desk, name: str, value: object) -> None:
    assert desk.app(**{name: value}).config[name] == value


def test_the_reason_why_a_bot_cannot_be_imported_is_kept(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as refusal:
        desk.app(BOT_CLASS="nomodule.Bot")
    assert "nomodule" in str(refusal.value.__cause__)


def test_the_environment_goes_before_the_defaults_and_the_argument_before_both(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_LOGIN_TTL", "30")
    assert desk.app().config["LOGIN_TTL"] == 30
    assert desk.app(LOGIN_TTL=40).config["LOGIN_TTL"] == 40


def test_the_lifetime_of_a_login_is_a_number_of_seconds(desk: Desk) -> None:
    assert desk.app().permanent_session_lifetime == timedelta(days=31)
    app = desk.app(PERMANENT_SESSION_LIFETIME=3600)  # as FLASK_PERMANENT_SESSION_LIFETIME gives it
    assert app.permanent_session_lifetime == timedelta(hours=1)


def test_every_number_is_checked(desk: Desk) -> None:
    numbers = {name for name, value in DEFAULTS.items() if type(value) is int}
    assert numbers <= REFUSED.keys()


def test_public_urls_host_is_always_trusted(desk: Desk) -> None:
    public = {"PUBLIC_URL": "https://desk.example:8443/app"}
    assert desk.app(**public).config["TRUSTED_HOSTS"] is None  # guard.py knows PUBLIC_URL
    trusted = desk.app(**public, TRUSTED_HOSTS=["desk.lan"]).config["TRUSTED_HOSTS"]
    assert trusted == ["desk.lan", "desk.example"]


def test_the_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(shared_key, [tmp_path / "instance"] * 64))
    assert len(keys) == 1 and len(keys.pop()) == 64
    assert (tmp_path / "instance/secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "instance").iterdir()] == ["secret_key"]


@pytest.mark.parametrize(
    ("redis", "celery"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("unix:///a%20b/s", "redis+socket:///a%20b/s?virtual_host=0"),
        ("unix:///s?db=3", "redis+socket:///s?virtual_host=3"),
    ],
)
def test_the_broker_is_the_same_server_in_celerys_words(redis: str, celery: str) -> None:
    assert broker_url(redis) == celery
