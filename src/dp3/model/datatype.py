"""Data types as attributes have them."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, NoReturn

from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from dp3.model.codec import EID_CODECS, PRIMITIVE_CODECS, Codec
from dp3.model.composite import Link, LinkTarget, compile_type
from dp3.model.context import linkable_entities
from dp3.model.errors import did_you_mean, shown
from dp3.model.mac import MACAddress
from dp3.model.type_text import LinkTo, ListOf, OneOf, Primitive, TypeExpr, parse_type

__all__ = [
    "AnyEidT",
    "DataType",
    "EidDataType",
    "Link",
    "ReadOnly",
    "eid_data_types",
    "is_primitive_element_type",
    "primitive_data_types",
]

AnyEidT = str | int | IPv4Address | IPv6Address | MACAddress
"""Entity ids at run time: exactly the type that the entity specification names."""

primitive_data_types: Mapping[str, Any] = {name: codec.annotation for name, codec in PRIMITIVE_CODECS.items()}
"""Name of each primitive data type → what pydantic validates its values with."""

eid_data_types: Mapping[str, Any] = {
    "string": str,
    "int": int,
    "ipv4": IPv4Address,
    "ipv6": IPv6Address,
    "mac": MACAddress,
}
"""Name of each type of entity ids → its Python class."""


def _refuse(value: Any) -> NoReturn:
    raise ValueError("Cannot instantiate a read-only attribute datapoint.")


ReadOnly = Annotated[Any, BeforeValidator(_refuse)]
"""The value of a mirror attribute in a data-point: always refused."""


def is_primitive_element_type(text: str) -> bool:
    """Whether the text names a primitive data type."""
    return text in primitive_data_types


class _TextType:
    """A type that is written as text, usable as a pydantic field."""

    root: str

    def __init__(self, root: str) -> None:
        raise NotImplementedError

    def __str__(self) -> str:
        return self.root

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.root == other.root

    def __hash__(self) -> int:
        return hash(self.root)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def _validate(cls, value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls(value)
        raise ValueError(f"Input should be the text of a data type, got {shown(value)}")


class EidDataType(_TextType):
    """The type of an entity's ids: `string`, `int`, `ipv4`, `ipv6` or `mac`; else `ValueError`."""

    def __init__(self, root: str) -> None:
        if root not in EID_CODECS:
            near = did_you_mean(root, EID_CODECS)
            raise ValueError(f"Data type '{root}' is not supported for ids: use {_listing()}{near}")
        self.root = root

    @property
    def data_type(self) -> Any:
        """The Python class of the ids."""
        return eid_data_types[self.root]

    @property
    def type_info(self) -> str:
        """The text that schema tracking compares."""
        return self.root

    @property
    def codec(self) -> Codec:
        """How ids are validated and converted."""
        return EID_CODECS[self.root]


def _listing() -> str:
    return ", ".join(EID_CODECS)


class DataType(_TextType):
    """The data type of an attribute, parsed from its text and compiled.

    Link targets are looked up in `entities`, by default in those of the enclosing `entity_context`.
    Raises `ValueError` if the text is not a known type or a link target is not defined.
    """

    def __init__(self, root: str, entities: Mapping[str, LinkTarget] | None = None) -> None:
        self.root = root
        self.expr: TypeExpr = parse_type(root)
        self._entities = linkable_entities() if entities is None else entities
        self.codec: Codec = compile_type(self.expr, self._entities)

    @property
    def data_type(self) -> Any:
        """What pydantic validates values with."""
        return self.codec.annotation

    @property
    def type_info(self) -> str:
        """The text that schema tracking compares: the type without optional blanks."""
        return str(self.expr)

    @property
    def iterable(self) -> bool:
        """Whether values are lists (arrays and sets)."""
        return isinstance(self.expr, ListOf)

    @property
    def hashable(self) -> bool:
        """Whether values can be dictionary keys."""
        kind = self.expr.type if isinstance(self.expr, OneOf) else self.expr
        return isinstance(kind, Primitive) and kind.name not in ("special", "json")

    @property
    def elem_type(self) -> "DataType | None":
        """The type of the elements of an array or set, else None."""
        if isinstance(self.expr, ListOf):
            return DataType(str(self.expr.elem), self._entities)
        return None

    @property
    def is_link(self) -> bool:
        """Whether values are links (not lists of them)."""
        return isinstance(self.expr, LinkTo)

    @property
    def link_to(self) -> str | None:
        """The entity type that values link to, else None."""
        return self.expr.etype if isinstance(self.expr, LinkTo) else None

    @property
    def mirror_link(self) -> bool:
        """Whether the link makes a mirror attribute on its target."""
        return self.mirror_as is not None

    @property
    def mirror_as(self) -> str | None:
        """The id of the mirror attribute, if any."""
        return self.expr.mirror if isinstance(self.expr, LinkTo) else None

    def get_linked_entity(self) -> str:
        """The entity type that values link to; `ValueError` if the type is not a link."""
        return self._link().etype

    def link_has_data(self) -> bool:
        """Whether links carry data; `ValueError` if the type is not a link."""
        return self._link().data is not None

    def _link(self) -> LinkTo:
        if isinstance(self.expr, LinkTo):
            return self.expr
        raise ValueError(f"Data type '{self.root}' is not a link")
