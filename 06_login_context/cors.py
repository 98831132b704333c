# From "A Flask API, one technique at a time", chapter 02. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1 and Werkzeug 3.1, or later.
"""CORS: which other origins may read this app's answers (https://fetch.spec.whatwg.org).

Call ``init_app`` last: what wraps ``app.wsgi_app`` after it answers without these headers.

Settings: ``CORS_ORIGINS``, a list of origins, or ``"*"`` for a public API without cookies (default
``[]``, nobody); ``CORS_CREDENTIALS``, whether pages of these origins may also read answers to
requests that carried cookies (default ``False``).
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask

HeaderList = list[tuple[str, str]]
READABLE = "Location, X-Request-ID"  # response headers that a page sees besides a few basic ones
PREFLIGHT: HeaderList = [
    ("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE"),
    ("Access-Control-Allow-Headers", "Content-Type, Authorization, X-Request-ID"),
    ("Access-Control-Max-Age", "600"),  # seconds
]


class CrossOrigin:
    """WSGI middleware: pages of *origins* may read what *app* answers, and no other pages may.

    *origins* are compared with the ``Origin`` of a request; ``{"*"}`` stands for all of them.
    *credentials*: whether these pages may also read answers to requests that carried cookies.
    """

    def __init__(self, app: WSGIApplication, origins: frozenset[str], credentials: bool) -> None:
        self.app = app
        self.origins = origins
        self.credentials = credentials

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a preflight; for any other request, change the headers of what *app* answers."""
        permission = self.permission(environ.get("HTTP_ORIGIN", ""))
        asks_first = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        if asks_first and environ["REQUEST_METHOD"] == "OPTIONS":
            if permission:
                permission.extend(PREFLIGHT)
            start_response("204 No Content", self.replace([], permission))
            return []

        # After an error an app may call it once more, with exc_info (PEP 3333).
        def start_with_cors(status: str, headers: HeaderList, *exc_info: Any) -> Any:
            return start_response(status, self.replace(headers, permission), *exc_info)

        return self.app(environ, start_with_cors)

    def permission(self, origin: str) -> HeaderList:
        """Return the headers that let a page of *origin* read an answer: none for a stranger."""
        public = "*" in self.origins
        if not public and origin not in self.origins:
            return []
        headers = [
            ("Access-Control-Allow-Origin", "*" if public else origin),
            ("Access-Control-Expose-Headers", READABLE),
        ]
        if self.credentials:
            headers.append(("Access-Control-Allow-Credentials", "true"))
        return headers

    def replace(self, headers: HeaderList, permission: HeaderList) -> HeaderList:
        """Return *headers* with *permission* in place of all CORS headers that *app* has set."""
        kept = [header for header in headers if not header[0].lower().startswith("access-control-")]
        vary = ",".join(value for name, value in headers if name.lower() == "vary")
        fields = [field.strip().lower() for field in vary.split(",")]
        # Even without an Origin, because a cache may give this answer to the front end. Where the
        # app has sent "*", no cache may give it to anybody.
        if "*" not in self.origins and "origin" not in fields and "*" not in fields:
            kept.append(("Vary", "Origin"))
        return kept + permission


def check_origin(origin: str) -> None:
    """Raise ValueError if browsers send *origin* in another form, because it would never match."""
    if not origin.isascii():
        raise ValueError(f"CORS_ORIGINS: {origin!r} needs punycode, as in xn--bcher-kva.example")
    try:
        url, port = urlsplit(origin), urlsplit(origin).port
    except ValueError as error:
        raise ValueError(f"CORS_ORIGINS: {origin!r}: {error}") from None
    if not url.netloc or "*" in origin or origin != f"{url.scheme}://{url.netloc}".lower():
        raise ValueError(f"CORS_ORIGINS: {origin!r} is not just scheme://host:port in lower case")
    if (url.scheme, port) in [("http", 80), ("https", 443)]:
        raise ValueError(f"CORS_ORIGINS: {origin!r} has a port that browsers leave out")


def init_app(app: Flask) -> None:
    """Let pages of ``CORS_ORIGINS`` read what *app* answers; ValueError names a bad setting."""
    setting = app.config.setdefault("CORS_ORIGINS", [])
    origins = frozenset([setting] if isinstance(setting, str) else setting)
    credentials = app.config.setdefault("CORS_CREDENTIALS", False)
    if not isinstance(credentials, bool):
        raise ValueError(f"CORS_CREDENTIALS is {credentials!r}, neither true nor false")
    if origins != {"*"}:
        for origin in origins:
            check_origin(origin)
    elif credentials:
        raise ValueError('CORS_CREDENTIALS needs a list of CORS_ORIGINS: "*" excludes cookies')
    app.wsgi_app = CrossOrigin(app.wsgi_app, origins, credentials)  # type: ignore[method-assign]
