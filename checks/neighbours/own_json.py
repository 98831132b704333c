"""An app with a JSON provider of its own, which takes no arguments but the value."""

import json
from datetime import date

from flask import Flask, request
from flask.json.provider import JSONProvider

app = Flask(__name__)


class CompactJSON(JSONProvider):
    def dumps(self, obj):
        return json.dumps(obj, separators=(",", ":"), ensure_ascii=False, default=str)

    def loads(self, s):
        return json.loads(s)


app.json = CompactJSON(app)


@app.get("/api/day")
def day():
    return {"day": date(2026, 11, 30), "weekday": "星期一"}


@app.post("/api/echo")
def echo():
    return request.get_json()
