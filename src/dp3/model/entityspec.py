"""Entity types, their ids, and the context in which links to them are resolved."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from dp3.model.durations import NonNegativeDuration
from dp3.model.errors import did_you_mean, shown
from dp3.model.mac import MACAddress
from dp3.model.primitives import EID_CODECS, PRIMITIVE_TYPES, Codec, Converter
from dp3.model.type_text import ID_REGEX, TypeText

AnyEidT = str | int | IPv4Address | IPv6Address | MACAddress
"""Entity ids at run time: exactly the type that the entity specification names."""

eid_data_types: Mapping[str, Any] = {name: PRIMITIVE_TYPES[name].cls for name in EID_CODECS}
"""Name of each type of entity ids → its Python class."""


class EidDataType(TypeText):
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
        """The conversions of ids."""
        return EID_CODECS[self.root]


def _listing() -> str:
    return ", ".join(EID_CODECS)


class _Lifetime(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImmortalLifetime(_Lifetime):
    """Entities stay until they are deleted."""

    type: Literal["immortal"] = "immortal"


class TimeToLiveLifetime(_Lifetime):
    """Entities live for `on_create`, then as long as their tokens say; `mirror_data`: data extends it too."""

    type: Literal["ttl"] = "ttl"
    on_create: NonNegativeDuration
    mirror_data: bool = True


class WeakLifetime(_Lifetime):
    """Entities live as long as others link to them."""

    type: Literal["weak"] = "weak"


EntityLifetime = Annotated[ImmortalLifetime | TimeToLiveLifetime | WeakLifetime, Field(discriminator="type")]


class EntitySpec(BaseModel):
    """One entity type as configured.

    Besides the configured keys it offers the conversions of its ids. `accept_eid` takes a JSON value to the
    wire form or raises `Reject` unless it is obviously fine; `eid_adapter` validates as for data-points.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=ID_REGEX)
    id_data_type: EidDataType = Field(default_factory=lambda: EidDataType("string"))
    name: str
    snapshot: bool
    lifetime: EntityLifetime = ImmortalLifetime()
    description: str = ""

    def model_post_init(self, context: Any) -> None:
        """Look up the conversions once; afterwards they are plain attributes."""
        _ = self.accept_eid, self.eid_to_wire, self.eid_from_wire, self.eid_adapter

    @cached_property
    def accept_eid(self) -> Converter:
        """JSON value → wire id; raises `Reject` for anything that needs coercion or is wrong."""
        return self.id_data_type.codec.accept

    @cached_property
    def eid_to_wire(self) -> Converter:
        """Typed id → wire id; raises `ValueError` for a value of another type."""
        return self.id_data_type.codec.to_wire

    @cached_property
    def eid_from_wire(self) -> Converter:
        """Wire id → typed id."""
        return self.id_data_type.codec.from_wire

    @cached_property
    def eid_adapter(self) -> TypeAdapter[AnyEidT]:
        """Validates ids with the rules of data-points."""
        return TypeAdapter(self.id_data_type.codec.annotation)

    @property
    def eid_type(self) -> type:
        """The Python class of ids."""
        return self.id_data_type.data_type  # type: ignore[no-any-return]

    def parse_eid_text(self, text: str) -> int | str:
        """The wire id that a path or query text stands for; raises pydantic's `ValidationError`."""
        return self.eid_to_wire(self.eid_adapter.validate_python(text))  # type: ignore[no-any-return]

    def validate_eid(self, v: Any) -> AnyEidT:
        """The typed id made by the constructor of its class (so `1.7` is the int id 1).

        Raises `ValueError` if that fails or the result cannot be stored.
        """
        try:
            return _checked(self.eid_type(v), self.eid_adapter)
        except (TypeError, OverflowError) as error:
            raise ValueError(f"{shown(v)} is not an id of type {self.id_data_type}: {error}") from None


def _checked(eid: AnyEidT, adapter: TypeAdapter[AnyEidT]) -> AnyEidT:
    return eid if isinstance(eid, IPv4Address | MACAddress) else adapter.validate_python(eid)


_Context = tuple["EntitySpec | None", Mapping[str, "EntitySpec"]]
"""The entity type whose attributes are being built, and all of them."""

_current: ContextVar[_Context] = ContextVar("dp3_entity_context")


@contextmanager
def entity_context(self_spec: EntitySpec | None, entities: Mapping[str, EntitySpec]) -> Iterator[None]:
    """Let data types and attribute specifications built inside link to `entities`."""
    token = _current.set((self_spec, entities))
    try:
        yield
    finally:
        _current.reset(token)


def get_entity_context() -> dict[str, Any]:
    """The innermost `entity_context` as `{"self": …, "entities": …}`; `ValueError` outside of one."""
    context = _current.get(None)
    if context is None:
        raise ValueError("Missing entity context: build the specification inside `with entity_context(…)`")
    return {"self": context[0], "entities": context[1]}


def linkable_entities() -> Mapping[str, EntitySpec]:
    """The entity types of the innermost context; none outside of one."""
    context = _current.get(None)
    return {} if context is None else context[1]
