"""Any values as JSON text."""

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec


def encode_json(content: Any) -> bytes:
    """JSON text. What JSON or UTF-8 can not express (it may be part of a refused request) is replaced."""
    try:
        return msgspec.json.encode(content, enc_hook=str)
    except (UnicodeEncodeError, RecursionError):
        return json.dumps(_printable(content, 0), default=str, allow_nan=False).encode()


def _printable(value: Any, depth: int) -> Any:
    if depth > 100:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _printable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
