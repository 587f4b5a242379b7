"""Entries of the log from before a change of the model: what they say of changed places does not count."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from dp3.engine.ingest.batch import Item
from dp3.model.wire import WirePoint, encode_value
from dp3.store.ports.models import Outdated

REASON = "it was sent before the meaning of {} was changed by `dp3 schema-update`"

_Ends = Mapping[bytes, Mapping[int, int]]
"""Encoded value (empty: all) → lane → last offset."""


class Sorted(NamedTuple):
    """Items, without what is outdated; and that, with the reason."""

    current: list[Item]
    outdated: list[tuple[Item, str]]


class OutdatedPoints:
    """Recognises data-points that a former model gave another meaning."""

    def __init__(self, rows: Iterable[Outdated]) -> None:
        places: dict[str, dict[str, dict[bytes, dict[int, int]]]] = {}
        self._last: dict[int, int] = defaultdict(int)
        for etype, attr, v, lane, offset in rows:
            places.setdefault(etype, {}).setdefault(attr, {}).setdefault(v, {})[lane] = offset
            self._last[lane] = max(self._last[lane], offset)
        self._places = places

    def sort(self, items: list[Item]) -> Sorted:
        """Separate what is outdated. A repeated reading does it alike, so it numbers data-points alike."""
        if not items or items[0].entry.offset > self._last[items[0].entry.lane]:
            return Sorted(items, [])
        found = Sorted([], [])
        for item in items:
            self._sort_one(item, found)
        return found

    def _sort_one(self, item: Item, found: Sorted) -> None:
        task = item.task
        places = self._places.get(task.etype, {})
        if _is_before(item, b"", places.get("", {})):
            if task.system_task is None:
                found.outdated.append((item, REASON.format(task.etype)))
            return
        old: list[WirePoint] = []
        left: list[WirePoint] = []
        for point in task.points:
            (old if _is_old(item, point, places.get(point.attr, {})) else left).append(point)
        if not old:
            found.current.append(item)
            return
        names = ", ".join(dict.fromkeys(f"{task.etype}.{point.attr}" for point in old))
        alone = msgspec.structs.replace(task, points=old, ttl_tokens=None, delete=False)
        found.outdated.append((item._replace(task=alone), REASON.format(names)))
        if left or task.ttl_tokens or task.delete:
            found.current.append(item._replace(task=msgspec.structs.replace(task, points=left)))


def _is_old(item: Item, point: WirePoint, ends: _Ends) -> bool:
    return bool(ends) and (_is_before(item, b"", ends) or _is_before(item, encode_value(point.v), ends))


def _is_before(item: Item, v: bytes, ends: _Ends) -> bool:
    return item.entry.offset <= ends.get(v, {}).get(item.entry.lane, 0)
