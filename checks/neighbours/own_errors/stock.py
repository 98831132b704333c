"""An app that has packages called errors and exceptions already, with things in them.

It's below /shop by a middleware of its own, as many blogs have it.
"""

from flask import Flask, url_for

from errors import SOLD_OUT
from exceptions import PaymentDeclined

app = Flask(__name__)


class PrefixMiddleware:
    def __init__(self, wsgi_app, prefix):
        self.wsgi_app = wsgi_app
        self.prefix = prefix

    def __call__(self, environ, start_response):
        if not environ["PATH_INFO"].startswith(self.prefix):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"This address doesn't belong to the app."]
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(self.prefix)
        environ["SCRIPT_NAME"] = self.prefix
        return self.wsgi_app(environ, start_response)


app.wsgi_app = PrefixMiddleware(app.wsgi_app, prefix="/shop")


@app.errorhandler(PaymentDeclined)
def declined(error):
    return {"declined": str(error), "code": SOLD_OUT}, 402


@app.post("/api/pay/<int:cents>")
def pay(cents):
    if cents > 10_000:
        raise PaymentDeclined("too much")
    return {"paid": cents, "more": url_for("pay", cents=cents)}
