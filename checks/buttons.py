"""Send what the buttons of a chapter's page send, and print what each of them would show.

It runs in a chapter's folder and asks the chapter's own version, not the article's. The answers are
printed as JSON, by the titles of the buttons, without what differs from one run to the next.
"""

import json
import re
import sys
import tempfile
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

sys.path.insert(0, "")
from app import create_app  # type: ignore[import-not-found]

PAGE = f"http://127.0.0.1:81{Path.cwd().name[:2]}"
VARYING = {"date", "etag", "expires", "last-modified", "x-request-id"}
# What a page sees of an answer from another origin, besides the headers that the answer names.
ALWAYS_READABLE = {
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "expires",
    "last-modified",
    "pragma",
}

Button = dict[str, str | None]


class Buttons(HTMLParser):
    """Collects the buttons of a page: their attributes, by their titles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, Button] = {}
        self.attributes: Button = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes = dict(attrs) if tag == "button" else {}

    def handle_data(self, data: str) -> None:
        if "data-request" in self.attributes:
            self.found[data.strip()] = self.attributes
            self.attributes = {}


def is_allowed(headers: Headers, with_cookies: bool) -> bool:
    """Tell whether a browser lets the page have an answer from another origin."""
    origin = headers.get("Access-Control-Allow-Origin")
    if with_cookies:
        return origin == PAGE and headers.get("Access-Control-Allow-Credentials") == "true"
    return origin in (PAGE, "*")


def names(headers: Headers, header: str) -> set[str]:
    return {name.strip().lower() for name in headers.get(header, "").split(",")}


def passes_preflight(url: str, method: str, has_json: bool, with_cookies: bool) -> bool:
    """Ask for permission, as a browser does, unless a plain form could send the same request."""
    if method in ("GET", "HEAD", "POST") and not has_json:
        return True
    headers = {"Origin": PAGE, "Access-Control-Request-Method": method}
    if has_json:
        headers["Access-Control-Request-Headers"] = "content-type"
    answer = send(url, "OPTIONS", headers)
    methods = names(answer.headers, "Access-Control-Allow-Methods") | {"get", "head", "post"}
    return (
        answer.status_code < 300
        and is_allowed(answer.headers, with_cookies)
        and method.lower() in methods
        and (
            not has_json or "content-type" in names(answer.headers, "Access-Control-Allow-Headers")
        )
    )


def send(url: str, method: str, headers: dict[str, str], **body: object) -> TestResponse:
    parts = urlsplit(url)
    answer: TestResponse = client.open(
        path=parts.path,
        query_string=parts.query,
        base_url=f"{parts.scheme}://{parts.netloc}",
        method=method,
        headers={"Accept": "*/*"} | headers,
        follow_redirects=method == "GET",
        buffered=True,
        **body,
    )
    return answer


def click(button: Button) -> object:
    """Return what the page shows after a click: status, headers and body, or why there is none."""
    method, path = str(button["data-request"]).split(" ")
    url = urljoin(PAGE, path)
    is_foreign = not f"{url}/".startswith(f"{PAGE}/")
    with_cookies = "data-cookies" in button

    headers = {}
    if is_foreign or method not in ("GET", "HEAD"):
        headers["Origin"] = PAGE
    if accept := button.get("data-accept"):
        headers["Accept"] = accept
    body: dict[str, object] = {}
    if sent := button.get("data-json"):
        body = {"data": sent, "content_type": "application/json"}
    if file := button.get("data-file"):
        content = str(button["data-content"]).encode()
        body = {"data": {"file": (BytesIO(content), file)}}

    if is_foreign and not passes_preflight(url, method, "content_type" in body, with_cookies):
        return "not sent"
    try:
        answer = send(url, method, headers, **body)
    except Exception as error:  # a server would answer 500
        return repr(error)
    if is_foreign and not is_allowed(answer.headers, with_cookies):
        return "hidden"

    readable = ALWAYS_READABLE | names(answer.headers, "Access-Control-Expose-Headers")
    shown = []
    for name, value in answer.headers:
        if is_foreign and name.lower() not in readable:
            continue
        if name.lower() in VARYING:
            value = "varies"
        elif name.lower() == "allow":  # Werkzeug keeps a set, in any order
            value = ", ".join(sorted(value.split(", ")))
        shown.append((name, value))
    text = re.sub(r"\b[0-9a-f]{32}\b", "<id>", answer.get_data(as_text=True))
    return [answer.status_code, sorted(shown), text]


with tempfile.TemporaryDirectory() as temporary:
    app = create_app({"UPLOAD_FOLDER": f"{temporary}/uploads", "PROPAGATE_EXCEPTIONS": False})
    client = app.test_client()
    buttons = Buttons(send(f"{PAGE}/", "GET", {}).get_data(as_text=True)).found
    print(json.dumps({title: click(button) for title, button in buttons.items()}))
