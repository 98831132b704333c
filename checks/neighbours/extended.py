"""An app with two extensions: flask-cors with its default of ``*``, and Sentry.

The transport only collects what would be sent.
"""

import sentry_sdk
from flask import Blueprint, Flask, abort
from flask_cors import CORS
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.transport import Transport

REPORTS = []


class Collect(Transport):
    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event is not None:
            REPORTS.append(event)


sentry_sdk.init(
    dsn="https://key@sentry.example/1",
    transport=Collect,
    integrations=[FlaskIntegration()],
    auto_enabling_integrations=False,  # or it looks for forty other libraries each time
)
app = Flask(__name__)
api = Blueprint("api", __name__, url_prefix="/api")
cors = CORS(api)


@api.get("/share/<int:guests>")
def share(guests):
    return {"slices": 12 // guests}


@api.post("/share")
def add_guest():
    abort(403)


app.register_blueprint(api)
