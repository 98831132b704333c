"""deploy/receive.py, with the accounts of a database that isn't ready yet."""

import os
import runpy
import sqlite3
from contextlib import closing

import logins


def accounts() -> set[str]:
    with closing(sqlite3.connect(os.environ["DATABASE"])) as database:
        return {name for (name,) in database.execute("SELECT name FROM accounts")}


logins.accounts = accounts
runpy.run_module("deploy.receive", run_name="__main__")
