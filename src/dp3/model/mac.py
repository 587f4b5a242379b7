"""Hardware addresses."""

import re
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

MAC_TEXT = re.compile(r"[0-9a-fA-F]{2}(?:(?::[0-9a-fA-F]{2}){5}|(?:-[0-9a-fA-F]{2}){5})")


class MACAddress:
    """A 48-bit hardware address.

    Made from 17 characters of text (`aa:bb:cc:dd:ee:ff`, any case, `:` or `-` throughout; `str` or `bytes`),
    from 6 raw bytes or from another `MACAddress`. Raises `TypeError` for any other type and `ValueError` for
    a wrong text. Equality and hash are those of the bytes.
    """

    __slots__ = ("mac",)

    mac: bytes

    def __init__(self, mac: "str | bytes | MACAddress") -> None:
        if isinstance(mac, MACAddress):
            self.mac = mac.mac
        elif isinstance(mac, bytes) and len(mac) == 6:
            self.mac = mac
        elif isinstance(mac, str | bytes):
            self.mac = _parse(mac)
        else:
            raise TypeError(f"MAC address must be given as text or 6 bytes, got {type(mac).__name__}")

    @property
    def packed(self) -> bytes:
        """The 6 bytes of the address."""
        return self.mac

    def __bytes__(self) -> bytes:
        return self.mac

    def __str__(self) -> str:
        return self.mac.hex(":")

    def __repr__(self) -> str:
        return f"MACAddress({self})"

    def __eq__(self, other: object) -> bool:
        return self.mac == other.mac if isinstance(other, MACAddress) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.mac)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def _validate(cls, value: Any) -> "MACAddress":
        try:
            return cls(value)
        except TypeError as error:
            raise ValueError(str(error)) from None


def _parse(text: str | bytes) -> bytes:
    plain = text.decode("latin-1") if isinstance(text, bytes) else text
    if not MAC_TEXT.fullmatch(plain):
        raise ValueError(f"MAC address must look like aa:bb:cc:dd:ee:ff, got {plain[:40]!r}")
    return bytes.fromhex(plain.replace(plain[2], ""))
