"""A shop that DispatcherMiddleware puts below /shop, beside a site of its own.

It answers every HTTP error as the documentation of Flask shows it.
"""

from flask import Flask, abort, json, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware

app = Flask(__name__)
site = Flask("site")


@app.errorhandler(HTTPException)
def handle_exception(e):
    response = e.get_response()
    response.data = json.dumps({"code": e.code, "name": e.name, "description": e.description})
    response.content_type = "application/json"
    return response


@app.get("/api/books/<int:number>")
def book(number):
    if number > 100:
        abort(404, "There is no such book")
    return {"number": number, "url": url_for("book", number=number)}


@site.get("/")
def home():
    return "<h1>The site</h1>"


application = DispatcherMiddleware(site, {"/shop": app})
