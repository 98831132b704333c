"""Chapter 04: what it costs that an exception is the response, for errors and for success.

Errors that Flask itself finds are chapter 05's.
"""

from typing import Any

from flask import Flask, request

import calls
import scripts
from calls import BARE, ERRORS, USERS, Version

scripts.use_chapter("04_http_exception_subclass")


def technique() -> Flask:
    import exceptions  # type: ignore[import-not-found]

    app = Flask("bench")
    exceptions.init_app(app)

    @app.get("/j/users/<int:user_id>")
    def show_user(user_id: int) -> Any:
        if user_id not in USERS:
            raise exceptions.NotFound()
        return exceptions.Success(members={"user": USERS[user_id]})

    return app


def response() -> Flask:
    """Build the app whose view makes the response, so that Flask needn't run the exception."""
    from exceptions import Success

    app = technique()

    def show_user(user_id: int) -> Any:
        return Success(members={"user": USERS[user_id]}).get_response(request.environ)

    app.view_functions["show_user"] = show_user
    return app


def article() -> Flask:
    from article import create_app  # type: ignore[import-not-found]

    app: Flask = create_app()
    return app


CODE = '"error_code"'
ROWS = {
    "bare Flask": BARE,
    "chapter 04": Version(technique, ["Ada", CODE]),
    "chapter 04, get_response()": Version(response, ["Ada"]),
    # Its success has no room for the user.
    "article": Version(article, [CODE, CODE]),
}

if __name__ == "__main__":
    scripts.main(
        lambda _: calls.compare(
            ROWS, {column: ERRORS[column] for column in ("success", "raised 404")}
        )
    )
