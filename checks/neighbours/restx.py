"""Cats with Flask-RESTX: an Api on a blueprint, with a namespace, models and an error handler."""

from flask import Blueprint, Flask
from flask_restx import Api, Namespace, Resource, fields

blueprint = Blueprint("api", __name__, url_prefix="/api")
api = Api(blueprint, title="Cats", doc="/docs")
ns = Namespace("cats")
cat = ns.model("Cat", {"id": fields.Integer, "name": fields.String(required=True)})
CATS = {1: {"id": 1, "name": "Tama"}}


class Asleep(Exception):
    pass


@api.errorhandler(Asleep)
def asleep(error):
    return {"message": "The cat is asleep"}, 409


@ns.route("/<int:number>")
class Cat(Resource):
    @ns.marshal_with(cat)
    def get(self, number):
        if number == 7:
            raise Asleep
        return CATS.get(number) or ns.abort(404, "There is no such cat")

    @ns.expect(cat, validate=True)
    def put(self, number):
        CATS[number] = {"id": number, "name": api.payload["name"]}
        return CATS[number]


api.add_namespace(ns)
app = Flask(__name__)
app.config["RESTX_ERROR_404_HELP"] = False
app.register_blueprint(blueprint)
