"""Chapter 02: what the CORS headers cost a response."""

from flask import Flask

from calls import Request, Version, compare
from scripts import Table

CHAPTER = "02_cors"
ORIGIN = "http://127.0.0.1:8100"


def bare() -> Flask:
    app = Flask("bench")

    @app.get("/view")
    def view() -> dict[str, str]:
        return {"name": "Ada"}

    return app


def ours() -> Flask:
    import cors  # type: ignore[import-not-found]

    app = bare()
    app.config.from_mapping(CORS_ORIGINS=[ORIGIN], CORS_CREDENTIALS=True)
    cors.init_app(app)
    return app


def repaired_hook() -> Flask:
    from tests.test_hook import add_cors_headers  # type: ignore[import-not-found]

    app = bare()
    app.after_request(add_cors_headers)
    return app


def article() -> Flask:
    from article import create_app  # type: ignore[import-not-found]

    app = bare()
    [hook] = create_app().after_request_funcs[None]
    app.after_request(hook)
    return app


def flask_cors() -> Flask:
    from flask_cors import CORS

    app = bare()
    CORS(app, origins=[ORIGIN], supports_credentials=True)
    return app


PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
COLUMNS = {
    "allowed origin": Request("GET", "/view", "200", {"Origin": ORIGIN}),
    "no Origin": Request("GET", "/view", "200"),
    "preflight": Request("OPTIONS", "/view", "20", PREFLIGHT),  # 200 or 204
}
ALLOWED = f"Access-Control-Allow-Origin: {ORIGIN}"
METHODS = "Access-Control-Allow-Methods: "
ROWS = {
    "bare Flask": Version(bare, ["Ada", "Ada", "Allow: "]),
    "chapter 02": Version(ours, [ALLOWED, "Vary: Origin", METHODS], CHAPTER),
    "the repaired hook": Version(repaired_hook, [ALLOWED, "Vary: Origin", METHODS], CHAPTER),
    "article": Version(article, ["Access-Control-Allow-Origin: *", METHODS, METHODS], CHAPTER),
    "flask-cors": Version(flask_cors, [ALLOWED, "Ada", METHODS]),
}


def measure() -> Table:
    return compare(ROWS, COLUMNS)
