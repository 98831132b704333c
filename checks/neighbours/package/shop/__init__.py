"""A package with a factory, as in Flask's tutorial: settings, and a blueprint."""

from flask import Flask


def create_app():
    app = Flask(__name__, instance_relative_config=True)
    app.config.from_mapping(SECRET_KEY="dev")

    from . import customers

    app.register_blueprint(customers.bp)

    @app.get("/")
    def index():
        return "<h1>The shop</h1>"

    return app
