"""Pets with flask-smorest: a schema, and a blueprint of class-based views."""

from flask import Flask
from flask.views import MethodView
from flask_smorest import Api, Blueprint, abort
from marshmallow import Schema, fields

app = Flask(__name__)
app.config.update(API_TITLE="Pets", API_VERSION="v1", OPENAPI_VERSION="3.0.2")
api = Api(app)
blp = Blueprint("pets", "pets", url_prefix="/api/pets", description="Pets of the shop")


class PetSchema(Schema):
    name = fields.String(required=True)
    age = fields.Integer(load_default=0)


@blp.route("/")
class Pets(MethodView):
    @blp.response(200, PetSchema(many=True))
    def get(self):
        return [{"name": "Rex", "age": 3}]

    @blp.arguments(PetSchema)
    @blp.response(201, PetSchema)
    def post(self, pet):
        if pet["name"] == "Rex":
            abort(409, message="There is a Rex already")
        return pet


api.register_blueprint(blp)
