"""Sort orders: `attr`, `attr:1` (ascending) or `attr:-1`."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from dp3.model.attrspec import AttrSpecObservations, AttrSpecPlain
from dp3.model.errors import did_you_mean
from dp3.model.primitives import PRIMITIVE_TYPES
from dp3.model.spec import ModelSpec
from dp3.model.type_text import Primitive
from dp3.reads.errors import SortError
from dp3.reads.query.kinds import Comparable
from dp3.reads.query.places import Places
from dp3.store.ports.queries import Order

_format = re.compile(r"([a-zA-Z_][a-zA-Z0-9_-]*)(?::(1|-1))?").fullmatch

MAX_ORDERS = 32
"""Attributes to sort by."""


def parse_sort(model: ModelSpec, etype: str, texts: Sequence[str]) -> list[Order]:
    """The orders, most important first. Raises `SortError`."""
    if len(texts) > MAX_ORDERS:
        raise SortError(f"Up to {MAX_ORDERS} attributes can be sorted by, got {len(texts)}")
    return [_order(model, etype, i, text) for i, text in enumerate(texts)]


def _order(model: ModelSpec, etype: str, i: int, text: str) -> Order:
    match = _format(text)
    if match is None:
        raise SortError(
            f"Sort specification at position {i} has invalid format '{text}'. Expected format 'attribute' or "
            "'attribute:direction' where direction is 1 or -1"
        )
    attr = match[1]
    if attr != "eid":
        _check(model, etype, i, attr)
    return Order(attr, descending=match[2] == "-1")


def _check(model: ModelSpec, etype: str, i: int, attr: str) -> None:
    spec = model.attributes.get((etype, attr))
    if spec is None:
        near = did_you_mean(attr, [*model.attribs(etype), "eid"])
        raise SortError(f"Attribute '{attr}' at position {i} doesn't exist{near}")
    refused = f"Cannot sort by attribute '{attr}' at position {i}: "
    if not isinstance(spec, AttrSpecPlain | AttrSpecObservations):
        raise SortError(f"{refused}only plain and observations attributes are supported")
    if isinstance(spec, AttrSpecObservations) and spec.multi_value:
        raise SortError(f"{refused}multi_value observations attributes are not supported for sorting")
    expr = spec.data_type.expr
    if not isinstance(expr, Primitive) or PRIMITIVE_TYPES[expr.name].free:
        raise SortError(f"{refused}data type '{spec.data_type}' is not supported for sorting")


def sort_documents(documents: list[dict[str, Any]], orders: Sequence[Order], places: Places) -> None:
    """Sorts documents as the store sorts snapshots."""
    for order in reversed(orders):
        documents.sort(key=_position(order.path, places), reverse=order.descending)


def _position(attr: str, places: Places) -> Callable[[dict[str, Any]], tuple[bool, Comparable | None]]:
    """The key to sort by: documents without a value come before all values."""
    of_document = places.at(attr).kind.of_document

    def position(document: dict[str, Any]) -> tuple[bool, Comparable | None]:
        value = document.get(attr)
        return (False, None) if value is None else (True, of_document(value))

    return position
