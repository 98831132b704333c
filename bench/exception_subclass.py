"""Chapter 04: what it costs that an exception is the response, for errors and for success."""

from typing import Any

from flask import Flask, request

import calls
from calls import BARE, USERS, Version

calls.use_chapter("04_http_exception_subclass")


def technique() -> Flask:
    import errors  # type: ignore[import-not-found]
    from exceptions import Success  # type: ignore[import-not-found]

    app = Flask("bench")
    errors.init_app(app)

    @app.get("/j/users/<int:user_id>")
    def show_user(user_id: int) -> Any:
        if user_id not in USERS:
            raise errors.NotFound()
        return Success(data={"user": USERS[user_id]})

    return app


def response() -> Flask:
    """Build the app whose view makes the response, so that Flask needn't run the exception."""
    from exceptions import Success

    app = technique()

    def show_user(user_id: int) -> Any:
        return Success(data={"user": USERS[user_id]}).get_response(request.environ)

    app.view_functions["show_user"] = show_user
    return app


CODE = '"error_code"'
ROWS = {
    "bare Flask": BARE,
    "chapter 04": Version(technique, ["Ada", CODE, CODE, CODE]),
    "chapter 04, get_response()": Version(response, ["Ada"]),
    "chapter 04, whole app": Version(calls.build_chapter, ["Ada", CODE, CODE, CODE]),
    # Its Success has no room for the user.
    "article": Version(calls.build_article, ["success", CODE, calls.HTML, calls.HTML]),
}

if __name__ == "__main__":
    calls.compare(ROWS, calls.ERRORS)
