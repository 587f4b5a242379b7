"""Entity types."""

from functools import cached_property
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from dp3.model.codec import Converter
from dp3.model.datatype import AnyEidT, EidDataType
from dp3.model.durations import NonNegativeDuration
from dp3.model.errors import shown
from dp3.model.mac import MACAddress
from dp3.model.type_text import ID_REGEX


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
