"""A shop that DispatcherMiddleware puts below /shop, beside a site of its own."""

from flask import Flask, url_for
from werkzeug.middleware.dispatcher import DispatcherMiddleware

app = Flask(__name__)
site = Flask("site")


@app.get("/api/books/<int:number>")
def book(number):
    return {"number": number, "url": url_for("book", number=number)}


@site.get("/")
def home():
    return "<h1>The site</h1>"


application = DispatcherMiddleware(site, {"/shop": app})
