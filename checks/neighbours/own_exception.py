"""An app with a handler for every exception, as the documentation of Flask shows it."""

from flask import Flask
from werkzeug.exceptions import HTTPException

app = Flask(__name__)


@app.errorhandler(Exception)
def handle_exception(e):
    if isinstance(e, HTTPException):
        return e
    app.logger.exception("A bug")
    return "<h1>Something went wrong</h1>", 500


@app.get("/api/shares/<int:guests>")
def shares(guests):
    return {"slices": 12 // guests}


@app.get("/shares/<int:guests>")
def page(guests):
    return f"<h1>{12 // guests} slices</h1>"
