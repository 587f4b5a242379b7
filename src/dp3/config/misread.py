"""Numbers in YAML files that are not what they look like.

YAML 1.1 reads digits with colons in base 60, and digits after a 0 in base 8. Who writes `1:30` or `010`
without quotes rarely wants that.
"""

import re
from typing import Any

import yaml

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")


def misread(node: yaml.ScalarNode) -> str | None:
    """A sentence about a number that probably means another one, with what to write; None for all else.

    `02` is 2 in either base, and `1:30:00` as many seconds as its hours, minutes and seconds have.
    """
    if node.tag not in _NUMBERS or node.style in ("'", '"'):
        return None
    written = str(node.value)
    if ":" in written:
        return None if written.count(":") == 2 else _base_60(written, yaml.safe_load(written))
    if _OCTAL.fullmatch(written):
        return _octal(written, yaml.safe_load(written), int(written, 10))
    return None


def _base_60(written: str, read: Any) -> str:
    is_duration = written.count(":") == 1 and isinstance(read, int) and read >= 0
    duration = f", {read}s or {read}m for a duration" if is_duration else ""
    return (
        f'{written} is the number {read} in YAML (base 60); write {read}{duration}, or "{written}" for text'
    )


def _octal(written: str, read: int, looks_like: int) -> str | None:
    if read == looks_like:
        return None
    text = f'"{written}" for text'
    return f"{written} is the number {read} in YAML (octal); write {read} or {looks_like}, or {text}"
