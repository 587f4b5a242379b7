"""The primitive data types: one table says everything that the platform knows of a type.

A new type is one row of `PRIMITIVE_TYPES`. If its values are objects of a class, `canonical.py` has the text
of that class too. Parsing, validation, entity ids, timeseries, hooks, the index of current values, queries
and the comparison of models all read the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from math import isfinite
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field
from pydantic_core import PydanticKnownError

from dp3.clock import to_us
from dp3.model.canonical import (
    INT64_MAX,
    INT64_MIN,
    canonical_ipv4,
    canonical_ipv6,
    canonical_mac,
    canonical_time,
    checked_text,
    copied,
    ipv6_to_text,
    json_value,
    parse_json_container,
    time_from_text,
    time_to_text,
)
from dp3.model.durations import AwareDatetime
from dp3.model.errors import Reject
from dp3.model.mac import MACAddress

Converter = Callable[[Any], Any]

IndexValue: TypeAlias = int | float | str | bytes
"""The form of one value in the index of current values, which compares as the value does."""

Family: TypeAlias = Literal["bool", "number", "text", "address", "time", "free"]
"""Types of one family compare with each other; `free` values are of any family."""

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


@dataclass(frozen=True, slots=True)
class Codec:
    """The compiled form of one data type.

    `annotation` is what pydantic validates a value with (lax mode). `accept` takes a JSON-decoded value to
    its wire form or raises `Reject`; it never accepts what `annotation` refuses, nor with another result.
    `to_wire` raises `ValueError` for what is not a value of the type; `from_wire` trusts its input and shares
    nothing with it that can be changed, because hooks may change what they get.
    """

    annotation: Any
    accept: Converter
    to_wire: Converter
    from_wire: Converter


@dataclass(frozen=True, slots=True)
class PrimitiveType:
    """A row of the table.

    `cls` is the class of typed values. `to_hook` takes a wire value to a fresh value for hooks, or raises any
    exception if it is of another type. `to_index` takes it to its key in the index of current values, or
    raises `ValueError` or `TypeError` if it is of another type; `free` types have no single key. `eid` is the
    codec of entity ids of this name, None if there are none. Types with `series` can be series of a
    timeseries. Values of a type are, unchanged, values of the types in `fits`.
    """

    cls: type
    codec: Codec
    family: Family
    to_hook: Converter
    to_index: Callable[[Any], IndexValue] | None = None
    eid: Codec | None = None
    series: bool = False
    fits: tuple[str, ...] = ()

    @property
    def free(self) -> bool:
        """True if values may be containers."""
        return self.family == "free"


def identity(value: Any) -> Any:
    """The value itself."""
    return value


# -- accepting JSON ----------------------------------------------------------------------------------------
def _accept_bool(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise Reject


def _accept_str(value: Any) -> str:
    if type(value) is not str:
        raise Reject
    if value.isascii():
        return value
    try:
        return checked_text(value)
    except ValueError:
        raise Reject from None


def _int_acceptor(low: int, high: int) -> Converter:
    def accept_int(value: Any) -> int:
        if type(value) is int and low <= value <= high:
            return value
        raise Reject

    return accept_int


def _accept_float(value: Any) -> float:
    if type(value) is float and isfinite(value):
        return value + 0.0  # turns -0.0, which equals 0.0, into 0.0
    if type(value) is int and INT64_MIN <= value <= INT64_MAX:
        return float(value)
    raise Reject


def _text_acceptor(canonical: Callable[[str], str]) -> Converter:
    def accept_text(value: Any) -> str:
        if type(value) is str:
            return canonical(value)
        raise Reject

    return accept_text


def _free(value: Any) -> Any:
    return json_value(value)


def _accept_free(value: Any) -> Any:
    try:
        return json_value(value)
    except ValueError as error:
        raise Reject(str(error)) from None


def _accept_json(value: Any) -> Any:
    if type(value) is dict or type(value) is list:
        return _accept_free(value)
    raise Reject


def _json_container(value: Any) -> Any:
    """A JSON object or array; text is parsed first."""
    parsed = value
    if isinstance(value, str | bytes):
        try:
            parsed = parse_json_container(value if isinstance(value, str) else value.decode())
        except ValueError as error:
            raise PydanticKnownError("json_invalid", {"error": str(error)}) from None
    container = json_value(parsed)
    if not isinstance(container, dict | list):
        raise ValueError("Input should be a JSON object or array, or the text of one")
    return container


def _checked_ipv6(address: IPv6Address) -> IPv6Address:
    checked_text(address.scope_id or "")
    return address


# -- keys of the index -------------------------------------------------------------------------------------
def _bool_key(wire: Any) -> IndexValue:
    return int(_exactly(bool, wire))


def _number_key(wire: Any) -> IndexValue:
    return wire if type(wire) is float else int(_exactly(int, wire))


def _text_key(wire: Any) -> IndexValue:
    return str(_exactly(str, wire))


def _time_key(wire: Any) -> IndexValue:
    return to_us(datetime.fromisoformat(wire))


def _ipv4_key(wire: Any) -> IndexValue:
    return IPv4Address(_exactly(str, wire)).packed


def _ipv6_key(wire: Any) -> IndexValue:
    address = IPv6Address(_exactly(str, wire))
    return address.packed + (f"%{address.scope_id}".encode() if address.scope_id else b"")


def _mac_key(wire: Any) -> IndexValue:
    return MACAddress(_exactly(str, wire)).packed


def _exactly(kind: type, wire: Any) -> Any:
    if type(wire) is kind:
        return wire
    raise TypeError(f"expected {kind.__name__}, got {type(wire).__name__}")


# -- rows --------------------------------------------------------------------------------------------------
def _plain(annotation: Any, accept: Converter, read: Converter = identity) -> Codec:
    """The codec of a type whose typed and wire forms are the same."""
    return Codec(annotation, accept, accept, read)


def _textual(
    cls: type, canonical: Callable[[str], str], write: Converter, read: Converter, annotation: Any
) -> Codec:
    """The codec of a class whose values are text on the wire."""

    def to_wire(value: Any) -> Any:
        if isinstance(value, cls):
            return write(value)
        raise Reject(f"expected {cls.__name__}, got {type(value).__name__}")

    return Codec(annotation, _text_acceptor(canonical), to_wire, read)


def _of_text_only(name: str, read: Converter) -> Converter:
    """Refuses numbers for addresses, which their classes would take."""

    def read_text(wire: Any) -> Any:
        if type(wire) is str:
            return read(wire)
        raise Reject(f"expected text of {name}, got {type(wire).__name__}")

    return read_text


Text = Annotated[str, AfterValidator(checked_text)]
Int32 = Annotated[int, Field(ge=INT32_MIN, le=INT32_MAX)]
Int64 = Annotated[int, Field(ge=INT64_MIN, le=INT64_MAX)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
IPv6 = Annotated[IPv6Address, AfterValidator(_checked_ipv6)]
Json = Annotated[Any, AfterValidator(_json_container)]
Special = Annotated[Any, AfterValidator(_free)]

_BOOL = _plain(bool, _accept_bool)
_TEXT = _plain(Text, _accept_str)
_INT32 = _plain(Int32, _int_acceptor(INT32_MIN, INT32_MAX))
_INT64 = _plain(Int64, _int_acceptor(INT64_MIN, INT64_MAX))
_FLOAT = _plain(FiniteFloat, _accept_float)
_IPV4 = _textual(IPv4Address, canonical_ipv4, str, IPv4Address, IPv4Address)
_IPV6 = _textual(IPv6Address, canonical_ipv6, ipv6_to_text, IPv6Address, IPv6)
_MAC = _textual(MACAddress, canonical_mac, str, MACAddress, MACAddress)
_TIME = _textual(datetime, canonical_time, time_to_text, time_from_text, AwareDatetime)
_FREE = _plain(Special, _accept_free, copied)
_JSON = _plain(Json, _accept_json, copied)
_ipv4_to_hook, _ipv6_to_hook = _of_text_only("ipv4", IPv4Address), _of_text_only("ipv6", IPv6Address)

PRIMITIVE_TYPES: Mapping[str, PrimitiveType] = MappingProxyType(
    {
        "tag": PrimitiveType(bool, _BOOL, "bool", identity, _bool_key, fits=("binary",)),
        "binary": PrimitiveType(bool, _BOOL, "bool", identity, _bool_key, fits=("tag",)),
        "string": PrimitiveType(str, _TEXT, "text", identity, _text_key, eid=_TEXT),
        "int": PrimitiveType(
            int, _INT32, "number", identity, _number_key, eid=_INT64, series=True, fits=("int64",)
        ),
        "int64": PrimitiveType(int, _INT64, "number", identity, _number_key, series=True),
        "float": PrimitiveType(float, _FLOAT, "number", identity, _number_key, series=True),
        "ipv4": PrimitiveType(IPv4Address, _IPV4, "address", _ipv4_to_hook, _ipv4_key, eid=_IPV4),
        "ipv6": PrimitiveType(IPv6Address, _IPV6, "address", _ipv6_to_hook, _ipv6_key, eid=_IPV6),
        "mac": PrimitiveType(MACAddress, _MAC, "address", MACAddress, _mac_key, eid=_MAC),
        "time": PrimitiveType(datetime, _TIME, "time", time_from_text, _time_key, series=True),
        "special": PrimitiveType(object, _FREE, "free", copied),
        "json": PrimitiveType(object, _JSON, "free", copied),
    }
)
"""Data type by the name that configurations use."""

EID_CODECS: Mapping[str, Codec] = MappingProxyType(
    {name: row.eid for name, row in PRIMITIVE_TYPES.items() if row.eid is not None}
)
"""Types of entity ids by name. Numbers may have 64 bits there."""
