"""Data types of attributes: parsed, compiled, and what can be asked of them."""

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

from pydantic import BeforeValidator

from dp3.model.composite import compile_type
from dp3.model.entityspec import EntitySpec, linkable_entities
from dp3.model.primitives import PRIMITIVE_TYPES, Codec
from dp3.model.type_text import LinkTo, ListOf, OneOf, Primitive, TypeExpr, TypeText, parse_type

primitive_data_types: Mapping[str, Any] = {
    name: row.codec.annotation for name, row in PRIMITIVE_TYPES.items()
}
"""Name of each primitive data type → what pydantic validates its values with."""


def _refuse(value: Any) -> NoReturn:
    raise ValueError("Cannot instantiate a read-only attribute datapoint.")


ReadOnly = Annotated[Any, BeforeValidator(_refuse)]
"""The value of a mirror attribute in a data-point: always refused."""


def is_primitive_element_type(text: str) -> bool:
    """True if the text names a primitive data type."""
    return text in primitive_data_types


class DataType(TypeText):
    """The data type of an attribute, parsed from its text and compiled.

    Link targets are looked up in `entities`, by default in those of the enclosing `entity_context`.
    Raises `ValueError` if the text is not a known type or a link target is not defined.
    """

    def __init__(self, root: str, entities: Mapping[str, EntitySpec] | None = None) -> None:
        self.root = root
        self.expr: TypeExpr = parse_type(root)
        self._entities = linkable_entities() if entities is None else entities
        self.codec: Codec = compile_type(self.expr, self._entities)

    @property
    def data_type(self) -> Any:
        """The annotation that pydantic validates values with."""
        return self.codec.annotation

    @property
    def type_info(self) -> str:
        """The text that schema tracking compares: the type without optional blanks."""
        return str(self.expr)

    @property
    def iterable(self) -> bool:
        """True if values are lists (arrays and sets)."""
        return isinstance(self.expr, ListOf)

    @property
    def hashable(self) -> bool:
        """True if values can be dictionary keys."""
        kind = self.expr.type if isinstance(self.expr, OneOf) else self.expr
        return isinstance(kind, Primitive) and not PRIMITIVE_TYPES[kind.name].free

    @property
    def elem_type(self) -> "DataType | None":
        """The type of the elements of an array or set, else None."""
        if isinstance(self.expr, ListOf):
            return DataType(str(self.expr.elem), self._entities)
        return None

    @property
    def is_link(self) -> bool:
        """True if values are links (not lists of them)."""
        return isinstance(self.expr, LinkTo)

    @property
    def link_to(self) -> str | None:
        """The entity type that values link to, else None."""
        return self.expr.etype if isinstance(self.expr, LinkTo) else None

    @property
    def mirror_link(self) -> bool:
        """True if the link makes a mirror attribute on its target."""
        return self.mirror_as is not None

    @property
    def mirror_as(self) -> str | None:
        """The id of the mirror attribute, if any."""
        return self.expr.mirror if isinstance(self.expr, LinkTo) else None

    def get_linked_entity(self) -> str:
        """The entity type that values link to; `ValueError` if the type is not a link."""
        return self._link().etype

    def link_has_data(self) -> bool:
        """True if links carry data; `ValueError` if the type is not a link."""
        return self._link().data is not None

    def _link(self) -> LinkTo:
        if isinstance(self.expr, LinkTo):
            return self.expr
        raise ValueError(f"Data type '{self.root}' is not a link")
