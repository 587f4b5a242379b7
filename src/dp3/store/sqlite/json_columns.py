"""JSON columns: objects kept as readable text."""

from typing import Any

import msgspec

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def to_json(value: dict[str, Any]) -> str:
    """A JSON-friendly object as text."""
    return msgspec.json.encode(value).decode()


def from_json(text: str) -> dict[str, Any]:
    """What `to_json` was given."""
    return _decode(text)
