"""The customers of the shop."""

from flask import Blueprint, abort

from .db import get_db

bp = Blueprint("customers", __name__, url_prefix="/api/customers")


@bp.get("/<int:number>")
def show(number):
    row = get_db().execute("SELECT number FROM customers WHERE number = ?", [number]).fetchone()
    if row is None:
        abort(404, f"Customer {number} doesn't exist")
    return {"number": row[0]}
