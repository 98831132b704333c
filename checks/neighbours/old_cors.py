"""An old app that has flask-cors already, with its default of ``*``, on a blueprint."""

from flask import Blueprint, Flask, abort
from flask_cors import CORS

app = Flask(__name__)
api = Blueprint("api", __name__, url_prefix="/api")
cors = CORS(api)


@api.get("/news")
def news():
    return {"news": ["We are open"]}


@api.post("/news")
def add_news():
    abort(403)


app.register_blueprint(api)
