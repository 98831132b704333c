"""Somebody else's site, on a port of its own. Whoever looks at its kitten is logged out."""

from flask import Flask, abort, render_template

from pages import addresses


def create_app() -> Flask:
    app = Flask(__name__)

    @app.get("/<victim>")
    def kitten(victim: str) -> str:
        if victim not in ("app", "article"):
            abort(404)
        return render_template("kitten.html", address=addresses()[victim])

    return app
