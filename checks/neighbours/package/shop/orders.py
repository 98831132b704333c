"""The orders of the shop."""

# mypy: ignore-errors

from flask import Blueprint, abort

from .db import get_db

bp = Blueprint("orders", __name__, url_prefix="/api/orders")


@bp.get("/<int:number>")
def show(number):
    row = get_db().execute("SELECT number FROM orders WHERE number = ?", [number]).fetchone()
    if row is None:
        abort(404, f"Order {number} doesn't exist")
    return {"number": row[0]}
