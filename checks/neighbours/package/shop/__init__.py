"""A package with a factory, as in Flask's tutorial: settings, and a blueprint."""

from flask import Flask


def create_app(test_config=None):
    app = Flask(__name__, instance_relative_config=True)
    app.config.from_mapping(SECRET_KEY="dev")
    if test_config is not None:
        app.config.update(test_config)

    from . import customers

    app.register_blueprint(customers.bp)

    @app.get("/")
    def index():
        return "<h1>The shop</h1>"

    return app
