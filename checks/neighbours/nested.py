"""Blueprints in blueprints: /api/v1/orders, with a hook and an error handler on the way."""

from flask import Blueprint, Flask, abort, g, url_for

app = Flask(__name__)
parent = Blueprint("api", __name__, url_prefix="/api")
child = Blueprint("v1", __name__, url_prefix="/v1")


@parent.before_request
def note_version():
    g.version = "v1"


@child.errorhandler(404)
def no_order(error):
    return {"missing": error.description}, 404


@child.get("/orders/<int:number>")
def order(number):
    if number > 100:
        abort(404, f"order {number}")
    url = url_for(".order", number=number)
    return {"number": number, "version": g.version, "url": url}


@child.get("/share/<int:guests>")
def share(guests):
    return {"slices": 12 // guests}


parent.register_blueprint(child)
app.register_blueprint(parent)


@app.get("/")
def index():
    return "<h1>Orders</h1>"
