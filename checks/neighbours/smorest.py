"""Pets with flask-smorest: schemas, a blueprint of class-based views, and its OpenAPI page."""

from flask import Flask
from flask.views import MethodView
from flask_smorest import Api, Blueprint, abort
from marshmallow import Schema, fields

app = Flask(__name__)
app.config["API_TITLE"] = "Pets"
app.config["API_VERSION"] = "v1"
app.config["OPENAPI_VERSION"] = "3.0.2"
app.config["OPENAPI_URL_PREFIX"] = "/"
api = Api(app)
blp = Blueprint("pets", "pets", url_prefix="/api/pets", description="Pets of the shop")
PETS = [{"name": "Rex", "age": 3}]


class PetSchema(Schema):
    name = fields.String(required=True)
    age = fields.Integer(load_default=0)


@blp.route("/")
class Pets(MethodView):
    @blp.response(200, PetSchema(many=True))
    def get(self):
        return PETS

    @blp.arguments(PetSchema)
    @blp.response(201, PetSchema)
    def post(self, pet):
        if pet["name"] == "Rex":
            abort(409, message="There is a Rex already")
        return pet


api.register_blueprint(blp)


@app.get("/")
def index():
    return "<h1>Pets</h1>"
