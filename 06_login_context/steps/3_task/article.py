"""The obvious way: a task as plain as it can be. It works for as long as its worker does."""

from collections.abc import Callable, Mapping
from typing import Any

from celery import shared_task  # type: ignore[import-untyped]
from flask import Flask

import context
import logins
import pages
from tasks import fetch_contacts
from wx import Bot


# Trap: a task dies with the process that runs it
@shared_task  # type: ignore[untyped-decorator]
def retrieve_data(login_id: str) -> None:
    fetch_contacts(login_id)


def create_app(config: Mapping[str, Any], open_bot: Callable[[str | None], Bot]) -> Flask:
    """Build the app that answers ``?version=article``, with the settings of ours."""
    app = Flask(__name__)
    app.config.from_mapping(config)
    logins.init_app(app)
    context.init_app(app, open_bot)
    pages.init_app(app, logins.create, logins.end, retrieve_data)
    return app
