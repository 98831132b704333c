"""CORS as the first article has it: one hook, three headers, an answer for everybody."""

from flask import Flask, Response

import echo
import uploads


def create_app(upload_folder: str) -> Flask:
    """Build the app that answers ``?version=article``; its uploads are those of chapter 01."""
    app = Flask(__name__)
    app.config["UPLOAD_FOLDER"] = upload_folder
    uploads.init_app(app)
    app.add_url_rule("/uploads", view_func=uploads.upload, methods=["POST"])
    app.register_blueprint(echo.bp)

    @app.after_request  # Trap: files skip the hook
    def after_request(response: Response) -> Response:
        # Trap: any site can read your API
        # Trap: * doesn't work with cookies
        # Trap: headers.add may send a header twice
        response.headers.add("Access-Control-Allow-Origin", "*")
        response.headers.add("Access-Control-Allow-Headers", "Content-Type,Authorization")
        # Trap: PATCH is not in the list
        response.headers.add("Access-Control-Allow-Methods", "GET,PUT,POST,DELETE")
        return response

    return app
