"""An app whose API is a blueprint with a handler of its own for every HTTP error."""

from flask import Blueprint, Flask, abort
from werkzeug.exceptions import HTTPException

app = Flask(__name__)
api = Blueprint("api", __name__, url_prefix="/api")


@api.errorhandler(HTTPException)
def as_json(error):
    return {"status": error.code, "title": error.name}, error.code


@api.get("/letters/<int:number>")
def get_letter(number):
    if number > 100:
        abort(404)
    return {"number": number}


app.register_blueprint(api)


@app.get("/")
def index():
    return "<h1>Letters</h1>"
