"""An app whose bugs are reported to Sentry. The transport only collects what would be sent."""

import sentry_sdk
from flask import Flask, abort
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


@app.get("/api/share/<int:guests>")
def share(guests):
    return {"slices": 12 // guests}


@app.get("/old")
def old():
    abort(410, "This page has gone")
