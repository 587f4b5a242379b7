"""From whatever a hook left in a record to wire values."""

from typing import Any

from dp3.model.canonical import MAX_DEPTH, json_value

MAX_PARTS = 100_000
"""Elements that one value may have in all its containers; one that occurs twice counts twice."""

_CONTAINERS = (dict, list, tuple)


def wire_value(value: Any, *, relation: bool = False) -> Any:
    """The wire form of a value, without the `record` of links in it.

    In the value of a `relation` every `record` beside an `eid` is left out, elsewhere those that are
    objects. Raises `ValueError` for what has no JSON form, for a value that contains itself and for one that
    is too large; objects of foreign classes may raise anything.
    """
    if isinstance(value, _CONTAINERS):
        return json_value(_Copy(relation).of(value))
    return json_value(value)


class _Copy:
    """Copies containers, bounded in depth and size: hooks can build cycles, and worse."""

    def __init__(self, relation: bool) -> None:
        self._relation = relation
        self._open: set[int] = set()
        self._parts = 0

    def of(self, value: Any) -> Any:
        """A copy of a container; anything else is taken as it is."""
        if not isinstance(value, _CONTAINERS):
            return value
        self._enter(value)
        copy = self._of_dict(value) if isinstance(value, dict) else [self.of(item) for item in value]
        self._open.remove(id(value))
        return copy

    def _enter(self, value: Any) -> None:
        if id(value) in self._open:
            raise ValueError("value contains itself")
        if len(self._open) == MAX_DEPTH:
            raise ValueError(f"value is nested more than {MAX_DEPTH} levels deep")
        self._parts += len(value)
        if self._parts > MAX_PARTS:
            raise ValueError(f"value has more than {MAX_PARTS} parts")
        self._open.add(id(value))

    def _of_dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        if self._has_record(value):
            return {key: self.of(item) for key, item in value.items() if key != "record"}
        return {key: self.of(item) for key, item in value.items()}

    def _has_record(self, value: dict[Any, Any]) -> bool:
        if "eid" not in value or "record" not in value:
            return False
        return self._relation or isinstance(value["record"], dict)
