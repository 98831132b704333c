"""An app that has packages called errors and exceptions already, with things in them."""

from errors.codes import SOLD_OUT
from flask import Flask

from errors import pages
from exceptions import PaymentDeclined

app = Flask(__name__)
app.register_blueprint(pages)


@app.errorhandler(PaymentDeclined)
def declined(error):
    return {"declined": str(error)}, 402


@app.post("/api/pay/<int:cents>")
def pay(cents):
    if cents > 10_000:
        raise PaymentDeclined("too much")
    return {"paid": cents}


@app.get("/api/stock/<name>")
def stock(name):
    return {"stock": SOLD_OUT}


@app.get("/")
def index():
    return "<h1>The shop</h1>"
