"""CORS: which other origins may read this app's answers (https://fetch.spec.whatwg.org).

Settings: ``CORS_ORIGINS``, a list of origins, or ``"*"`` for a public API without cookies
(default ``["http://localhost:5173"]``); ``CORS_CREDENTIALS``, whether these origins may also
read answers to requests with cookies (default false).
"""

import re

from flask import Flask, Response, current_app, request

# As browsers write it: lower case, no default port, no path, no trailing slash.
ORIGIN = re.compile(
    r"(?!http://.*:80$|https://.*:443$)"
    r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[1-9][0-9]*)?"
)
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Content-Type, Authorization",
    "Access-Control-Max-Age": "600",  # seconds
}


def add_cors_headers(response: Response) -> Response:
    """Let the page that asked read *response*, if its origin is allowed."""
    allowed = current_app.config["CORS_ORIGINS"]
    origin = request.headers.get("Origin")
    if allowed == "*":
        origin = "*"
    else:
        # Always, or a cache gives one origin another's answer.
        response.headers["Vary"] = ", ".join([*response.headers.getlist("Vary"), "Origin"])
        if origin is None or origin not in allowed:
            return response
    response.headers["Access-Control-Allow-Origin"] = origin
    if current_app.config["CORS_CREDENTIALS"]:
        response.headers["Access-Control-Allow-Credentials"] = "true"
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers.update(PREFLIGHT)
    return response


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
            if not isinstance(origin, str) or not ORIGIN.fullmatch(origin):
                raise ValueError(f"CORS_ORIGINS: {origin!r} is not an origin as browsers send it")
    else:
        raise ValueError(f'CORS_ORIGINS is {origins!r}, neither a list of origins nor "*"')
    app.after_request(add_cors_headers)
