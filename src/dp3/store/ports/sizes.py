"""Sizes of what is stored."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from dp3.store.ports.leases import Lease


class AttributeSize(NamedTuple):
    """Stored bytes of one attribute over all entities that have it: how many, smallest, largest, all."""

    entities: int
    min: int
    max: int
    total: int

    def plus(self, other: "AttributeSize") -> "AttributeSize":
        """The size of both together."""
        smallest, largest = min(self.min, other.min), max(self.max, other.max)
        return AttributeSize(self.entities + other.entities, smallest, largest, self.total + other.total)


class SizeReport(NamedTuple):
    """Sizes of the attributes of a type, measured at `calculated` (µs) in `duration` µs."""

    calculated: int
    duration: int
    attributes: dict[str, AttributeSize]


class Sizes(Protocol):
    """Sizes of what is stored."""

    def attributes_between(self, first: int, last: int) -> dict[tuple[str, str], int]:
        """(type, attribute) → how many entities with a key from `first` to `last` (both included) have data
        of it."""
        ...

    def between(self, first: int, last: int) -> dict[tuple[str, str], AttributeSize]:
        """(type, attribute) → stored bytes of entities with a key from `first` to `last`."""
        ...

    def put(self, lease: Lease, reports: Mapping[str, SizeReport]) -> None:
        """Replace the sizes of all types. Raises `LeaseLost`, `StoreFull`."""
        ...

    def reports(self) -> dict[str, SizeReport]:
        """Sizes as last measured, by type."""
        ...

    def disk_bytes(self) -> int:
        """Bytes that the state takes on the disk."""
        ...
