"""A todo list with Flask-RESTful."""

from flask import Flask
from flask_restful import Api, Resource, abort, reqparse

app = Flask(__name__)
api = Api(app)

TODOS = {"milk": {"task": "buy milk"}}
parser = reqparse.RequestParser()
parser.add_argument("task", required=True, help="A todo needs a task", location="json")


class Todo(Resource):
    def get(self, name):
        if name not in TODOS:
            abort(404, message=f"There is no todo {name}")
        return TODOS[name]

    def put(self, name):
        TODOS[name] = {"task": parser.parse_args()["task"]}
        return TODOS[name], 201, {"X-Todos": str(len(TODOS))}


api.add_resource(Todo, "/api/todos/<name>")
