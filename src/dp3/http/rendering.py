"""The form of times in answers: with zone (`…Z`), or naive for clients that append one themselves.

Times that the platform tells are date-times until they are encoded. Values of type `time` are text as other
values are, and only the model can tell which.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from starlette.responses import Response

from dp3.config.sections import Timestamps
from dp3.http.answers import Answer, Json
from dp3.model.attrspec import AttrSpecTimeseries, AttrSpecType
from dp3.model.spec import ModelSpec
from dp3.model.type_text import DictOf, LinkTo, ListOf, OneOf, Primitive, TypeExpr
from dp3.reads.query.places import TIME_CREATED

TimesIn: TypeAlias = "Literal[True] | Mapping[str, TimesIn] | Callable[[Mapping[str, Any]], TimesIn] | None"
"""The places of values of type `time` in a content, lists left out: the content itself (True), below these
keys, or (a function) where the content says; None for nowhere."""

_NOWHERE: Mapping[str, TimesIn] = MappingProxyType({})

_NO_TIMES = frozenset({int, float, bool, type(None)})
"""Most values are of these types, and need no look at where they are."""

_is_time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z").fullmatch


class Rendering:
    """Makes answers of JSON. Routes say where values of type `time` may be in it: `master`, `snapshot` …"""

    def __init__(self, model: ModelSpec, timestamps: Timestamps) -> None:
        self._naive = timestamps == "naive"
        self._values = {
            etype: {attr: times for attr, spec in specs.items() if (times := _times_in(spec))}
            for etype, specs in model.entity_attributes.items()
        }
        self._snapshots = {etype: {**values, TIME_CREATED: True} for etype, values in self._values.items()}
        self._masters = {
            etype: {attr: {"v": times} for attr, times in values.items()}
            for etype, values in self._values.items()
        }

    def json(self, content: Any, times: TimesIn = None) -> Json:
        """An answer with this content. Every date-time in it is a time, and what `times` leads to."""
        return Json(self._rendered(content, times))

    def answer(self, content: Mapping[str, Any], times: TimesIn = None) -> Answer:
        """The same for an object of fixed keys, in which there is room for warnings."""
        return Answer(self._rendered(content, times))

    def _rendered(self, content: Any, times: TimesIn) -> Any:
        return without_zones(content, times) if self._naive else content

    def counted(self, etype: str, attr: str, counts: Mapping[str, int]) -> Response:
        """An answer with counts of the values of an attribute, which are its keys."""
        if self._naive and self._values[etype].get(attr) is True:
            return Json({_naive_text(text): count for text, count in counts.items()})
        return Json(counts)

    def snapshot(self, etype: str) -> TimesIn:
        """The places in a snapshot."""
        return self._snapshots[etype]

    def master(self, etype: str) -> TimesIn:
        """The places in a master record."""
        return self._masters[etype]

    def attribute(self, etype: str, attr: str) -> TimesIn:
        """The places in an answer about one attribute."""
        times = self._values[etype].get(attr)
        return times and {"current_value": times, "history": {"v": times}}

    def data_point(self, etype: str) -> TimesIn:
        """The places in a data-point of this entity type."""
        return partial(_in_data_point, self._values.get(etype, {}))

    def dead_letter(self) -> TimesIn:
        """The places in a dead letter."""
        return {"task": lambda task: {"data_points": self.data_point(task["etype"])}}


def without_zones(content: Any, times: TimesIn = None) -> Any:
    """A copy of the content in which date-times, and the texts of those at these places, have no zone."""
    if isinstance(content, dict):
        given = times(content) if callable(times) else times
        below = given if isinstance(given, Mapping) else _NOWHERE
        return {
            key: value if type(value) in _NO_TIMES else without_zones(value, below.get(key))
            for key, value in content.items()
        }
    if isinstance(content, list):
        return [without_zones(value, times) for value in content]
    if isinstance(content, datetime):
        return content.astimezone(UTC).replace(tzinfo=None)
    return _naive_text(content) if times is True and isinstance(content, str) else content


def _naive_text(text: str) -> str:
    """Modules may have set a text that is no time."""
    return text[:-1] if _is_time(text) else text


def _in_data_point(values: Mapping[str, TimesIn], point: Mapping[str, Any]) -> TimesIn:
    return {"v": values.get(point["attr"])}


def _times_in(spec: AttrSpecType) -> TimesIn:
    """The places in values of an attribute, be it one, a list of them or a chunk of a timeseries."""
    if isinstance(spec, AttrSpecTimeseries):
        return _some({name: _in_type(series.data_type.expr) for name, series in spec.series.items()})
    return _in_type(spec.data_type.expr)


def _in_type(expr: TypeExpr) -> TimesIn:
    match expr:
        case Primitive(name="time"):
            return True
        case ListOf(elem=inner) | OneOf(type=inner):
            return _in_type(inner)
        case LinkTo(data=data) if data is not None:
            return _some({"data": _in_type(data)})
        case DictOf(keys=keys):
            return _some({key.name: _in_type(key.type) for key in keys})
    return None


def _some(times: Mapping[str, TimesIn]) -> TimesIn:
    found = {name: below for name, below in times.items() if below}
    return found or None
