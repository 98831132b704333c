import pytest
from flask import Flask
from flask.testing import FlaskClient

import article
from app import create_app


@pytest.fixture
def app() -> Flask:
    # PROPAGATE_EXCEPTIONS: a bug is a 500, as in production, and isn't raised in the test.
    return create_app({"TESTING": True, "PROPAGATE_EXCEPTIONS": False})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def article_client() -> FlaskClient:
    return article.create_app().test_client()
