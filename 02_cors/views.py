"""What both versions serve: an echo, and some responses that a hook never sees."""

from typing import Any

from flask import Blueprint, Flask, Response, abort, current_app, request
from werkzeug.middleware.shared_data import SharedDataMiddleware

bp = Blueprint("j", __name__, url_prefix="/j")


@bp.before_request
def login_required() -> None:
    """Let nobody into the members' list without an Authorization header."""
    if request.path == "/j/members" and request.authorization is None:
        abort(401)


@bp.after_request
def log_page(response: Response) -> Response:
    """Log the page of a list: somebody's hook, which raises for ``?page=two``."""
    current_app.logger.info("page %d", int(request.args.get("page", "1")))
    return response


@bp.route("/echo/", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@bp.route("/members", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def echo() -> dict[str, Any]:
    """Return what Flask sees of the request."""
    return {
        "method": request.method,
        "origin": request.headers.get("Origin"),
        "url": request.url,
        "cookies": sorted(request.cookies),
    }


@bp.get("/public")
def public() -> tuple[str, dict[str, str]]:
    """Return a response with a CORS header of its own, like an old view with flask-cors."""
    return "public", {"Access-Control-Allow-Origin": "*"}


def init_app(app: Flask) -> None:
    """Add the views, and a middleware that serves one file in front of Flask."""
    app.register_blueprint(bp)
    files = {"/files/versions.txt": f"{app.root_path}/requirements.txt"}
    app.wsgi_app = SharedDataMiddleware(app.wsgi_app, files)  # type: ignore[method-assign]
