"""Chapter 03: what error codes cost, beside three libraries that format errors as well.

Each library is used in the plainest way: its own view, its own `abort`, and no schemas.
"""

from typing import Any

from flask import Flask

import calls
import scripts
from calls import BARE, USERS, Version

scripts.use_chapter("03_error_codes")


def technique() -> Flask:
    import errors  # type: ignore[import-not-found]

    app = Flask("bench")
    errors.init_app(app)

    @app.get("/j/users/<int:user_id>")
    def show_user(user_id: int) -> dict[str, Any]:
        if user_id not in USERS:
            raise errors.ApiException(errors.not_found)
        return {"user": USERS[user_id]}

    return app


def article() -> Flask:
    from article import create_app  # type: ignore[import-not-found]

    app: Flask = create_app()
    return app


def apiflask() -> Flask:
    from apiflask import APIFlask, abort

    app: Flask = APIFlask("bench")

    @app.get("/j/users/<int:user_id>")
    def show_user(user_id: int) -> dict[str, Any]:
        if user_id not in USERS:
            abort(404, "not_found")
        return {"user": USERS[user_id]}

    return app


def flask_restful() -> Flask:
    from flask_restful import Api, Resource, abort

    class User(Resource):  # type: ignore[misc]
        def get(self, user_id: int) -> dict[str, Any]:
            if user_id not in USERS:
                abort(404, message="not_found")
            return {"user": USERS[user_id]}

    app = Flask("bench")
    api = Api(app, catch_all_404s=True)  # otherwise an unknown URL is answered with HTML
    api.add_resource(User, "/j/users/<int:user_id>")
    return app


def flask_smorest() -> Flask:
    from flask_smorest import Api, Blueprint, abort

    bp = Blueprint("contacts", "bench", url_prefix="/j")

    @bp.route("/users/<int:user_id>")  # type: ignore[untyped-decorator]
    @bp.response(200)  # type: ignore[untyped-decorator]
    def show_user(user_id: int) -> dict[str, Any]:
        if user_id not in USERS:
            abort(404, message="not_found")
        return {"user": USERS[user_id]}

    app = Flask("bench")
    app.config.from_mapping(API_TITLE="bench", API_VERSION="1", OPENAPI_VERSION="3.0.3")
    Api(app).register_blueprint(bp)
    return app


R, MESSAGE = '"r"', '"message"'
ROWS = {
    "bare Flask": BARE,
    "chapter 03": Version(technique, ["Ada", R, R, R]),
    "article": Version(article, ["Ada", R, calls.HTML, calls.HTML]),
    "APIFlask": Version(apiflask, ["Ada", "not_found", MESSAGE, MESSAGE]),
    "Flask-RESTful": Version(flask_restful, ["Ada", "not_found", MESSAGE, MESSAGE]),
    "flask-smorest": Version(flask_smorest, ["Ada", "not_found", '"status"', '"status"']),
}

if __name__ == "__main__":
    scripts.main(lambda _: calls.compare(ROWS, calls.ERRORS))
