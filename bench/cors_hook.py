"""Chapter 02: what the CORS headers cost a response."""

from flask import Flask

import calls
from calls import Request, Version

calls.use_chapter("02_cors")

ORIGIN = "http://127.0.0.1:8102"
SETTINGS = {"CORS_ORIGINS": [ORIGIN], "CORS_CREDENTIALS": True}


def add_view(app: Flask) -> Flask:
    @app.get("/view")
    def view() -> dict[str, str]:
        return {"name": "Ada"}

    return app


def bare() -> Flask:
    return add_view(Flask("bench"))


def technique() -> Flask:
    import cors  # type: ignore[import-not-found]

    app = bare()
    app.config.from_mapping(SETTINGS)
    cors.init_app(app)
    return app


def whole() -> Flask:
    from app import create_app  # type: ignore[import-not-found]

    return add_view(create_app({"UPLOAD_FOLDER": calls.new_folder(), **SETTINGS}))


def article() -> Flask:
    from article import create_app  # type: ignore[import-not-found]

    return add_view(create_app(str(calls.new_folder())))


def flask_cors() -> Flask:
    from flask_cors import CORS

    app = bare()
    CORS(app, origins=[ORIGIN], supports_credentials=True)
    return app


PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "PUT"}
COLUMNS = {
    "allowed origin": Request("GET", "/view", 200, {"Origin": ORIGIN}),
    "no Origin": Request("GET", "/view", 200),
    "preflight": Request("OPTIONS", "/view", 200, PREFLIGHT),
}
ALLOWED = f"Access-Control-Allow-Origin: {ORIGIN}"
METHODS = "Access-Control-Allow-Methods: "
ROWS = {
    "bare Flask": Version(bare, ["Ada", "Ada", "Allow: "]),
    "chapter 02": Version(technique, [ALLOWED, "Vary: Origin", METHODS]),
    "chapter 02, whole app": Version(whole, [ALLOWED, "Vary: Origin", METHODS]),
    "article": Version(article, ["Access-Control-Allow-Origin: *", METHODS, METHODS]),
    "flask-cors": Version(flask_cors, [ALLOWED, "Ada", METHODS]),
}

if __name__ == "__main__":
    calls.compare(ROWS, COLUMNS)
