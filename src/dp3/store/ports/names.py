"""Numbers of entity types and attributes, made when first asked for and never used again for another."""

from typing import Protocol


class Names(Protocol):
    """Numbers of entity types and attributes. Both raise `StoreFull` when a number can not be made."""

    def etype_id(self, etype: str) -> int:
        """The number of an entity type, made when first asked for and never used again for another."""
        ...

    def attr_id(self, etype: str, attr: str) -> int:
        """The number of an attribute, or of another path below a type, likewise."""
        ...
