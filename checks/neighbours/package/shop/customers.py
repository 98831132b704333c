"""The customers of the shop."""

from flask import Blueprint, abort

bp = Blueprint("customers", __name__, url_prefix="/api/customers")


@bp.get("/<int:number>")
def show(number):
    if number != 7:
        abort(404, f"Customer {number} doesn't exist")
    return {"number": number}
