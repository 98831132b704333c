from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import article
from app import create_app


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return create_app({"TESTING": True, "UPLOAD_FOLDER": tmp_path / "uploads"})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def article_client(tmp_path: Path) -> FlaskClient:
    settings = {"TESTING": False, "UPLOAD_FOLDER": str(tmp_path / "article")}
    return article.create_app(settings).test_client()
