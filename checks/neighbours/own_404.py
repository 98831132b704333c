"""A site with a page of its own for what isn't there, and an API."""

from flask import Flask, abort

app = Flask(__name__)


@app.errorhandler(404)
def page_not_found(error):
    return "<h1>We have looked everywhere</h1>", 404


@app.get("/api/books/<int:number>")
def get_book(number):
    if number > 100:
        abort(404)
    return {"number": number}


@app.get("/")
def index():
    return "<h1>Books</h1>"
