"""What every request has to pass, and what every answer carries.

Settings: ``CORS_ORIGINS``, if ``CORS_CREDENTIALS``, may also write (chapter 02).
"""

from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request

from context import current_bot
from errors import AccessForbidden

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


def check_origin() -> None:
    """Refuse writes that a page of another origin sends with this browser's cookie."""
    origin = request.headers.get("Origin")
    if request.method in ("GET", "HEAD", "OPTIONS") or origin is None:
        return
    friends = current_app.config["CORS_ORIGINS"] if current_app.config["CORS_CREDENTIALS"] else []
    if urlsplit(origin).netloc != request.host and origin not in friends:
        raise AccessForbidden("This page may not write here.")


def check_login() -> None:
    """Ask for a login (1008): all of the API except login itself, and uploads."""
    path = request.path
    ours = path.startswith("/j/") and path != "/j/login" and not path.startswith("/j/login/")
    if request.method != "OPTIONS" and (ours or path == "/uploads"):
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
