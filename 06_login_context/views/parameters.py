"""What a request sends, or a ParameterException (1000) that names what is wrong."""

import re
from typing import Any

from flask import request

from exceptions import ParameterException


def json_object() -> dict[str, Any]:
    """Return the JSON object that the request sends."""
    data = request.get_json(silent=True)
    if not isinstance(data, dict):
        raise ParameterException({"body": ["A JSON object is needed."]})
    return data


def number(name: str, default: int, most: int) -> int:
    """Return the number from 1 to *most* that the URL has as *name*."""
    text = request.args.get(name, str(default))
    if not re.fullmatch("[1-9][0-9]{0,6}", text) or int(text) > most:
        raise ParameterException({name: [f"A number from 1 to {most} is needed."]})
    return int(text)
