"""Chapter 05: what one handler for every error costs, and the id that each response gets."""

from typing import Any

from flask import Flask

import calls
from calls import BARE, USERS, Version

calls.use_chapter("05_catch_all")


def technique() -> Flask:
    import errors  # type: ignore[import-not-found]
    import handlers  # type: ignore[import-not-found]
    from exceptions import Success  # type: ignore[import-not-found]

    app = Flask("bench")
    errors.init_app(app)
    handlers.init_app(app)

    @app.get("/j/users/<int:user_id>")
    def show_user(user_id: int) -> Any:
        if user_id not in USERS:
            raise errors.NotFound()
        return Success(data={"user": USERS[user_id]})

    return app


def only_id() -> Flask:
    """Build the bare app, and give each response its id."""
    import handlers

    app = calls.build_bare()
    app.after_request(handlers.send_request_id)
    return app


CODE = '"error_code"'
ROWS = {
    "bare Flask": BARE,
    "bare Flask, with ids": Version(only_id, ["X-Request-ID"]),
    "chapter 05": Version(technique, ["Ada", CODE, CODE, CODE]),
    "chapter 05, whole app": Version(calls.build_chapter, ["Ada", CODE, CODE, CODE]),
    "article": Version(calls.build_article, ["Ada", CODE, CODE, CODE]),
}

if __name__ == "__main__":
    calls.compare(ROWS, calls.ERRORS)
