"""What tests of contacts and messages ask of a desk, and the process that receives messages."""

import os
import subprocess
import sys
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

import logins
import tasks
from conftest import HERE, Desk


def fetched(app: Flask, client: FlaskClient) -> FlaskClient:
    with client.session_transaction() as session, app.app_context():
        tasks.retrieve_data(session["login"], logins.account_of(session["login"]))
    return client


def get(client: FlaskClient, url: str) -> Any:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json


def start_receiver(desk: Desk, bot: str = "bots.QuickBot", **env: str) -> subprocess.Popen[bytes]:
    """Start ``deploy/receive.py`` for *desk*; its log is receive.log in the desk's folder."""
    env |= {"FLASK_BOT_CLASS": bot, "FLASK_SECRET_KEY": "a key for the tests alone"}
    env |= {"PYTHONPATH": str(HERE / "tests"), "REDIS_URL": desk.url}
    env |= {"FLASK_UPLOAD_FOLDER": str(desk.folder / "uploads")}
    command = [sys.executable, "-m", "deploy.receive"]
    with (desk.folder / "receive.log").open("ab") as log:
        return subprocess.Popen(command, cwd=HERE, env=os.environ | env, stdout=log, stderr=log)
