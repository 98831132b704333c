"""A site with error handlers, logging and a JSON provider of its own."""

import json
from logging.config import dictConfig

from flask import Flask, request
from flask.json.provider import JSONProvider
from werkzeug.exceptions import HTTPException

dictConfig(
    {
        "version": 1,
        "formatters": {"short": {"format": "%(levelname)s %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "short"}},
        "root": {"level": "INFO", "handlers": ["console"]},
    }
)
app = Flask(__name__)


class CompactJSON(JSONProvider):
    def dumps(self, obj):  # without the arguments that Flask's own takes
        return json.dumps(obj, separators=(",", ":"), ensure_ascii=False, default=str)

    def loads(self, s):
        return json.loads(s)


app.json = CompactJSON(app)


@app.errorhandler(404)
def page_not_found(error):
    return "<h1>We have looked everywhere</h1>", 404


@app.errorhandler(Exception)
def handle_exception(e):
    if isinstance(e, HTTPException):
        return e
    app.logger.exception("A bug")
    return "<h1>Something went wrong</h1>", 500


@app.get("/shares/<int:guests>")
@app.get("/api/shares/<int:guests>")
def shares(guests):
    return {"slices": 12 // guests, "weekday": "星期一"}


@app.post("/api/echo")
def echo():
    return request.get_json()
