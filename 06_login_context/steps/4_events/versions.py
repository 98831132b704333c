"""Teaching apparatus, not for copying: the article's version of this chapter, beside ours.

A request with ``?version=article`` in its query is answered by the app in article.py, any other
request by the chapter's own app. The choice sits in the query rather than in a header, so that a
link, an image or a preflight can make it as well.
"""

from collections.abc import Iterable
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, abort, send_from_directory


def init_app(app: Flask, article: WSGIApplication) -> None:
    """Let *article* answer the requests that ask for it, before *app* sees them."""

    @app.get("/source/<name>")
    def source(name: str) -> Response:
        """Show a file of this chapter as text: the page links to its README and its code."""
        if not name.endswith((".md", ".py")):
            abort(404)
        return send_from_directory(app.root_path, name, mimetype="text/plain")

    ours = app.wsgi_app

    def choose_version(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        chosen = article if query.get("version") == ["article"] else ours
        return chosen(environ, start_response)

    app.wsgi_app = choose_version  # type: ignore[method-assign]
