from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return create_app({"TESTING": True, "UPLOAD_FOLDER": tmp_path / "uploads"})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
