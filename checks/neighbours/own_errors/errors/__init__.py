"""The pages that explain what went wrong, as a blueprint."""

from flask import Blueprint

pages = Blueprint("errors", __name__, url_prefix="/help")


@pages.get("/<code>")
def explain(code):
    return f"<h1>What {code} means</h1>"
