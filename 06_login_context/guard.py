"""What every request has to pass, and what every answer carries.

Settings: ``CORS_ORIGINS``, if ``CORS_CREDENTIALS``, may also write (chapter 02).
"""

from flask import Flask, Response, abort, current_app, request

from context import current_bot
from exceptions import AccessForbidden

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


def friends() -> list[str]:
    """Return the origins whose pages may read and write with this browser's cookie."""
    if not current_app.config["CORS_CREDENTIALS"]:
        return []
    origins = current_app.config["CORS_ORIGINS"]
    return [origins] if isinstance(origins, str) else list(origins)


def check_origin() -> None:
    """Refuse writes that a page of another origin sends with this browser's cookie."""
    if not request.host:  # not a name that a host can have
        abort(400)
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    safe = request.method in ("GET", "HEAD", "OPTIONS")
    if safe or (origin is None and site in (None, "none", "same-origin")):
        return
    if origin != f"{request.scheme}://{request.host}" and origin not in friends():
        raise AccessForbidden("This page may not write here.")


def check_login() -> None:
    """Ask for a login (1008): all of the API except login itself, and uploads.

    The stream asks for itself, because it also has to know when the login ends.
    """
    if request.method == "OPTIONS":
        return
    is_login = f"{request.path}/".startswith("/j/login/")
    is_api = request.path.startswith("/j/")
    if (is_api and not is_login) or request.path == "/uploads":
        _ = current_bot.self  # finds it, or raises


def add_headers(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Not no-referrer: that makes the Origin of our own form "null".
    response.headers["Referrer-Policy"] = "same-origin"
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = POLICY
    if request.path.startswith(("/j/", "/scan/")):
        response.headers["Cache-Control"] = "no-store"
    return response


def init_app(app: Flask) -> None:
    app.before_request(check_origin)
    app.before_request(check_login)
    app.after_request(add_headers)
