import pytest
from flask import Flask
from flask.testing import FlaskClient

import article
from app import create_app


@pytest.fixture
def app() -> Flask:
    return create_app({"TESTING": True})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def article_client() -> FlaskClient:
    return article.create_app({"TESTING": True}).test_client()
