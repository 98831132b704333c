"""CORS: which other origins may read this app's answers (https://fetch.spec.whatwg.org).

Settings: ``CORS_ORIGINS``, a list of origins, or ``"*"`` for a public API without cookies
(default ``["http://localhost:5173"]``); ``CORS_CREDENTIALS``, whether pages of these origins may
also read answers to requests that carried cookies (default false).
"""

import re
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, request

DEFAULT_PORTS = {("http", 80), ("https", 443)}
READABLE = "Location, X-Request-ID"  # response headers that a page sees besides a few basic ones
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Content-Type, Authorization, X-Request-ID",
    "Access-Control-Max-Age": "600",  # seconds
}


def add_cors_headers(response: Response) -> Response:
    """Let the page that sent this request read *response*, if its origin is allowed."""
    allowed = current_app.config["CORS_ORIGINS"]
    origin = request.headers.get("Origin")
    if allowed == "*":
        origin = "*"
    else:
        # Even without an Origin, because a cache may give this response to your front end.
        # Not with response.vary, which drops every Vary line after the first.
        vary = response.headers.getlist("Vary")
        response.headers["Vary"] = ", ".join([*vary, "Origin"])
        if origin is None or origin not in allowed:
            return response

    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = READABLE
    if current_app.config["CORS_CREDENTIALS"]:
        response.headers["Access-Control-Allow-Credentials"] = "true"
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers.update(PREFLIGHT)
    return response


def wrong_with(origin: object) -> str | None:
    """Return what is wrong with *origin*, or None if browsers send it exactly like this."""
    if not isinstance(origin, str):
        return "it is not a string"
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError as error:
        return str(error)

    if not parts.scheme or not parts.hostname:
        return "it needs a scheme and a host, as in https://desk.example"
    if (parts.scheme, port) in DEFAULT_PORTS:
        return "browsers leave the default port out"
    unusual = re.search(r"[^a-z0-9._:\[\]-]|:(0[0-9]*)?$", parts.netloc)
    if unusual or origin != f"{parts.scheme}://{parts.netloc}":
        return "browsers send scheme, host and port: no path, no slash at the end, no capitals"
    return None


def init_app(app: Flask) -> None:
    """Add the headers to every response of *app*; ValueError names a bad setting."""
    origins = app.config.setdefault("CORS_ORIGINS", ["http://localhost:5173"])
    credentials = app.config.setdefault("CORS_CREDENTIALS", False)
    if credentials not in (True, False):
        raise ValueError(f"CORS_CREDENTIALS is {credentials!r}, neither true nor false")
    if origins == "*":
        if credentials:
            raise ValueError('CORS_CREDENTIALS needs a list of CORS_ORIGINS; "*" excludes cookies')
    elif isinstance(origins, (list, tuple, set, frozenset)):
        for origin in origins:
            problem = wrong_with(origin)
            if problem:
                raise ValueError(f"CORS_ORIGINS: {origin!r} is not an origin: {problem}")
    else:
        raise ValueError(f'CORS_ORIGINS is {origins!r}, neither a list of origins nor "*"')
    app.after_request(add_cors_headers)
