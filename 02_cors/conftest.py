import pytest
from flask import Flask
from flask.testing import FlaskClient

import article
from app import create_app


@pytest.fixture
def app() -> Flask:
    # A bug is a 500, as in production.
    return create_app({"TESTING": True, "PROPAGATE_EXCEPTIONS": False})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def article_client() -> FlaskClient:
    return article.create_app({"TESTING": True, "PROPAGATE_EXCEPTIONS": False}).test_client()
