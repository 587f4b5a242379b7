"""Values in the form that PostgreSQL takes and gives.

Its texts have no NUL. So in texts `\\x00` is stored as `\\x01\\x01` and `\\x01` as `\\x01\\x02`: different
texts stay different and in their order. Integers are always `bigint`, so that a statement is prepared once.
Sums of them, which are `numeric` there, are integers here.
"""

import re
from typing import Any

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.numeric import Int8Dumper, IntLoader
from psycopg.types.string import StrDumperUnknown

_ESCAPED_IN_JSON = re.compile(r"((?:^|[^\\])(?:\\\\)*)\\u0001\\u000([12])")


def escaped(text: str) -> str:
    """A text as it is stored."""
    if "\0" in text or "\x01" in text:
        return text.replace("\x01", "\x01\x02").replace("\0", "\x01\x01")
    return text


def unescaped(text: str) -> str:
    """The inverse of `escaped`."""
    return text.replace("\x01\x01", "\0").replace("\x01\x02", "\x01") if "\x01" in text else text


class _TextDumper(StrDumperUnknown):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(escaped(obj))


class _IntDumper(Int8Dumper):
    """Takes what no `bigint` is, too: the statement then fails."""


class _TextLoader(Loader):
    def load(self, data: Buffer) -> str:
        return unescaped(bytes(data).decode())


class _JsonLoader(Loader):
    """JSON that a statement has made stays a text, in which stored texts are told as JSON tells them."""

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode()
        if "\\u0001" not in text:
            return text
        while (after := _ESCAPED_IN_JSON.sub(_unescaped_in_json, text)) != text:
            text = after
        return text.replace("\\u0001!", "\\u0001")


def _unescaped_in_json(match: re.Match[str]) -> str:
    return match[1] + ("\\u0000" if match[2] == "1" else "\\u0001!")


def prepare_connection(connection: Connection[Any]) -> None:
    """Have a connection take and give values in these forms."""
    adapters = connection.adapters
    adapters.register_dumper(str, _TextDumper)
    adapters.register_dumper(int, _IntDumper)
    for name in ("text", "varchar", "bpchar", "name"):
        adapters.register_loader(name, _TextLoader)
    adapters.register_loader("json", _JsonLoader)
    adapters.register_loader("numeric", IntLoader)
