"""Async views, an async hook and an async error handler."""

import asyncio

from flask import Flask, abort, g

app = Flask(__name__)


class Busy(Exception):
    pass


@app.before_request
async def look_up_tenant():
    await asyncio.sleep(0)
    g.tenant = "ada"


@app.errorhandler(Busy)
async def busy(error):
    await asyncio.sleep(0)
    return {"busy": True}, 503


@app.get("/api/rates/<currency>")
async def rate(currency):
    await asyncio.sleep(0)
    if currency == "xxx":
        raise Busy
    if currency != "eur":
        abort(404, "There is no such currency")
    return {"currency": currency, "tenant": g.tenant}


@app.get("/")
async def index():
    return "<h1>Rates</h1>"
