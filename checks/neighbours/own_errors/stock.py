"""An app that has packages called errors and exceptions already, with things in them."""

from flask import Flask

from errors import SOLD_OUT
from exceptions import PaymentDeclined

app = Flask(__name__)


@app.errorhandler(PaymentDeclined)
def declined(error):
    return {"declined": str(error), "code": SOLD_OUT}, 402


@app.post("/api/pay/<int:cents>")
def pay(cents):
    if cents > 10_000:
        raise PaymentDeclined("too much")
    return {"paid": cents}
