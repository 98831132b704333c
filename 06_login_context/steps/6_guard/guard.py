# From "A Flask API, one technique at a time", chapter 06. SPDX-License-Identifier: 0BSD
# Needs Flask 3.1 and Werkzeug 3.1, or later.
"""What a request has to pass before a view runs: closed by default, open by name.

Settings: ``PUBLIC_URL`` (where browsers find this app, if a proxy hides that), ``TRUSTED_HOSTS``
(Flask's own), and chapter 02's ``CORS_ORIGINS``, whose pages may write if ``CORS_CREDENTIALS``.
See https://www.w3.org/TR/fetch-metadata/ and RFC 6265, section 8.5 (cookies know no ports).
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, request

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


def is_address(host: str) -> bool:
    """Tell whether *host*, as it stands in a URL, is an IP address."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def check_host() -> None:
    """Refuse a name that isn't ours: with DNS rebinding, the page that asks by it isn't, either.

    An IP address can't be rebound. If ``TRUSTED_HOSTS`` is set, Flask checks the host instead.
    """
    host = re.sub(r":\d+$", "", request.host.lower())
    public = urlsplit(current_app.config.get("PUBLIC_URL") or "").hostname
    if current_app.config["TRUSTED_HOSTS"] or host in ("localhost", public) or is_address(host):
        return
    abort(400, f"{host!r} isn't a name of this app. If it should be, add it to TRUSTED_HOSTS.")


def check_cookies() -> None:
    """Refuse two cookies that log in: another port may have planted one, and it may go first."""
    config = current_app.config
    remember_me = config.get("REMEMBER_COOKIE_NAME", "remember_token")  # of Flask-Login
    for name in (config["SESSION_COOKIE_NAME"], remember_me):
        if len(request.cookies.getlist(name)) > 1:
            abort(400, f"There are two cookies named {name!r}. Delete the cookies of this site.")


def allowed_origins() -> list[str]:
    """Return the origins whose pages may write with this browser's cookie."""
    config = current_app.config
    url = urlsplit(config.get("PUBLIC_URL") or f"{request.scheme}://{request.host}")
    origins = [f"{url.scheme}://{url.netloc.lower()}"]
    if config.get("CORS_CREDENTIALS"):
        friends = config.get("CORS_ORIGINS", [])
        origins += [friends] if isinstance(friends, str) else friends
    return origins


def check_origin() -> None:
    """Refuse a write that a page of another origin sends with this browser's cookie."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    # Over http, browsers send Sec-Fetch-Site to localhost alone. Programs send neither.
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site in ("same-origin", "none") or (site is None and origin is None):
        return
    if origin not in allowed_origins():
        abort(403, "This page may not write here.")


def check_login() -> None:
    """Ask for a login, except where the view is open by name. An unknown URL stays a 404."""
    find_account, public = current_app.extensions["guard"]
    # A browser asks with OPTIONS, and without cookies, what another origin may send. If Flask
    # answers that, no view runs.
    by_flask = getattr(request.url_rule, "provide_automatic_options", False)
    if request.endpoint not in (None, *public) and not (request.method == "OPTIONS" and by_flask):
        find_account()


def add_headers(response: Response) -> Response:
    """Keep frames, foreign scripts and caches out; a view's own policy and Cache-Control stay."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Not no-referrer: that makes the Origin of our own form "null".
    response.headers["Referrer-Policy"] = "same-origin"
    if response.mimetype == "text/html":
        response.headers.setdefault("Content-Security-Policy", POLICY)
    return response


def init_app(app: Flask, find_account: Callable[[], Any], public: Collection[str]) -> None:
    """Check every request, and ask for a login at all endpoints that *public* doesn't name.

    *find_account* is called there. Without a login it has to raise what the client gets.
    """
    app.extensions["guard"] = find_account, public
    for check in (check_host, check_cookies, check_origin, check_login):
        app.before_request(check)
    app.after_request(add_headers)
