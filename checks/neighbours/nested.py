"""Blueprints in blueprints, with async views, hooks and a handler of their own for every error."""

import asyncio

from flask import Blueprint, Flask, abort, g, url_for
from werkzeug.exceptions import HTTPException

app = Flask(__name__)
parent = Blueprint("api", __name__, url_prefix="/api")
child = Blueprint("v1", __name__, url_prefix="/v1")


@parent.before_request
async def note_version():
    await asyncio.sleep(0)
    g.version = "v1"


@child.errorhandler(HTTPException)
async def as_json(error):
    await asyncio.sleep(0)
    return {"status": error.code, "title": error.name}, error.code


@child.get("/orders/<int:number>")
async def order(number):
    await asyncio.sleep(0)
    if number > 100:
        abort(404, f"order {number}")
    return {"number": number, "version": g.version, "url": url_for(".order", number=number)}


parent.register_blueprint(child)
app.register_blueprint(parent)
