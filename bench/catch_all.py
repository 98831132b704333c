"""Chapter 05: what one handler for every error costs, and the id that each response gets."""

from typing import Any

from flask import Flask

import calls
import scripts
from calls import BARE, USERS, Version

scripts.use_chapter("05_catch_all")


def add_view(app: Flask) -> Flask:
    from exceptions import NotFound, Success  # type: ignore[import-not-found]

    @app.get("/j/users/<int:user_id>")
    def show_contact(user_id: int) -> Any:
        if user_id not in USERS:
            raise NotFound()
        return Success(members={"user": USERS[user_id]})

    return app


def technique() -> Flask:
    import handlers  # type: ignore[import-not-found]

    app = add_view(Flask("bench"))
    handlers.init_app(app)
    return app


def only_id() -> Flask:
    """Build the bare app, and give each response its id."""
    import handlers

    app = calls.build_bare()
    app.after_request(handlers.send_request_id)
    return app


def article() -> Flask:
    from article import create_app  # type: ignore[import-not-found]

    return add_view(create_app())


CODE = '"error_code"'
ROWS = {
    "bare Flask": BARE,
    "bare Flask, with ids": Version(only_id, ["X-Request-ID"]),
    "chapter 05": Version(technique, ["Ada", CODE, CODE, CODE]),
    "article": Version(article, ["Ada", CODE, CODE, CODE]),
}

if __name__ == "__main__":
    scripts.main(lambda _: calls.compare(ROWS, calls.ERRORS))
