"""An app that answers every HTTP error as the documentation of Flask shows it."""

from flask import Flask, abort, json
from werkzeug.exceptions import HTTPException

app = Flask(__name__)


@app.errorhandler(HTTPException)
def handle_exception(e):
    response = e.get_response()
    response.data = json.dumps({"code": e.code, "name": e.name, "description": e.description})
    response.content_type = "application/json"
    return response


@app.get("/api/invoices/<int:number>")
def get_invoice(number):
    if number > 100:
        abort(404, "There is no such invoice")
    return {"number": number}
