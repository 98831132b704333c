"""A view that answers with what Flask sees of the request."""

from typing import Any

from flask import Blueprint, request, url_for

bp = Blueprint("echo", __name__, url_prefix="/j/echo")


@bp.route("/", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def echo() -> dict[str, Any]:
    """Return method, host, origin, the view's full URL, cookie names and body."""
    return {
        "method": request.method,
        "host": request.host,
        "origin": request.headers.get("Origin"),
        "url": url_for("echo.echo", _external=True),
        "cookies": sorted(request.cookies),
        "body": request.get_data(as_text=True),
    }
