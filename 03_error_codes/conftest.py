import pytest
from flask import Flask
from flask.testing import FlaskClient

import article
from app import create_app

AS_IN_PRODUCTION = {"PROPAGATE_EXCEPTIONS": False}  # a bug is a 500 rather than a failed test


@pytest.fixture
def app() -> Flask:
    return create_app(AS_IN_PRODUCTION)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def article_client() -> FlaskClient:
    return article.create_app(AS_IN_PRODUCTION).test_client()
