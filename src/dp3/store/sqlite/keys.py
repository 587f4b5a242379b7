"""Index keys as SQLite compares them: numbers, then texts by code point, then bytes."""

from dp3.store.ports.snapshots import Key

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

FIRST_TEXT = ""
"""Above all numbers."""

FIRST_BYTES = b""
"""Above all texts."""


def storable(key: Key) -> Key:
    """A key as it is stored and asked for: integers that SQLite does not have become the nearest float."""
    if type(key) is int and not INT_MIN <= key <= INT_MAX:
        return float(key) if abs(key) < 2**1023 else (float("inf") if key > 0 else float("-inf"))
    return key


def kind_of(key: Key) -> type:
    """`float` for all numbers, `str` or `bytes`: keys of different kinds are never equal."""
    return float if isinstance(key, int | float) else type(key)


def prefix_end(prefix: str) -> str | bytes:
    """The smallest key above all texts that begin with `prefix`."""
    for length in range(len(prefix), 0, -1):
        code = ord(prefix[length - 1])
        if code < 0x10FFFF:
            return prefix[: length - 1] + chr(0xE000 if code == 0xD7FF else code + 1)
    return FIRST_BYTES
