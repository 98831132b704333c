"""Chapters 03 to 05: what one format for all errors costs, and that an exception is a response."""

from typing import Any

from flask import Flask, abort, request

from calls import Request, Version, compare
from scripts import Table

USERS = {1: {"id": 1, "name": "Ada", "blocked": False}}


def bare() -> Flask:
    """Build the app without any technique: its errors are Werkzeug's."""
    app = Flask("bench")

    @app.get("/j/users/<int:user_id>")
    def show_user(user_id: int) -> Any:
        if user_id not in USERS:
            abort(404)
        return {"user": USERS[user_id]}

    return app


def chapter_03() -> Flask:
    import errors  # type: ignore[import-not-found]

    app = Flask("bench")
    errors.init_app(app)

    @app.get("/j/users/<int:user_id>")
    def show_user(user_id: int) -> Any:
        if user_id not in USERS:
            raise errors.ApiException(errors.not_found)
        return {"user": USERS[user_id]}

    return app


def add_view(app: Flask) -> Flask:
    """Add the view with the exceptions of chapters 04 and 05."""
    from exceptions import NotFound, Success  # type: ignore[import-not-found]

    @app.get("/j/users/<int:user_id>")
    def show_contact(user_id: int) -> Any:
        if user_id not in USERS:
            raise NotFound()
        return Success(members={"user": USERS[user_id]})

    return app


def chapter_04() -> Flask:
    import exceptions

    app = add_view(Flask("bench"))
    exceptions.init_app(app)
    return app


def get_response() -> Flask:
    """Build the app whose view makes the response, so that Flask needn't run the exception."""
    from exceptions import Success

    app = chapter_04()

    def show_contact(user_id: int) -> Any:
        return Success(members={"user": USERS[user_id]}).get_response(request.environ)

    app.view_functions["show_contact"] = show_contact
    return app


def only_id() -> Flask:
    """Build the bare app, and give each response its id."""
    import handlers  # type: ignore[import-not-found]

    app = bare()
    app.after_request(handlers.send_request_id)
    return app


def chapter_05() -> Flask:
    import handlers

    app = add_view(Flask("bench"))
    handlers.init_app(app)
    return app


def article() -> Flask:
    from article import create_app  # type: ignore[import-not-found]

    app: Flask = create_app()
    return app


def article_05() -> Flask:
    return add_view(article())


COLUMNS = {
    "success": Request("GET", "/j/users/1", "200"),
    "raised 404": Request("GET", "/j/users/9", "404"),
    "unknown URL": Request("GET", "/j/nope", "404"),
    "405": Request("PUT", "/j/users/1", "405"),
}
R, CODE, HTML = '"r"', '"error_code"', "<!doctype html>"
CH_03, CH_04, CH_05 = "03_error_codes", "04_http_exception_subclass", "05_catch_all"
ROWS = {
    "bare Flask": Version(bare, ["Ada", HTML, HTML, HTML]),
    "chapter 03": Version(chapter_03, ["Ada", R, R, R], CH_03),
    "article of 03": Version(article, ["Ada", R, HTML, HTML], CH_03),
    "chapter 04": Version(chapter_04, ["Ada", CODE], CH_04),
    "chapter 04, get_response()": Version(get_response, ["Ada"], CH_04),
    "article of 04": Version(article, [CODE, CODE], CH_04),  # its success has no room for the user
    "chapter 05": Version(chapter_05, ["Ada", CODE, CODE, CODE], CH_05),
    "article of 05": Version(article_05, ["Ada", CODE, CODE, CODE], CH_05),
    "bare Flask, with the ids of 05": Version(only_id, ["X-Request-ID"], CH_05),
}


def measure() -> Table:
    return compare(ROWS, COLUMNS)
