"""Master records and single attributes of a profile, from its rows.

Values are wire values and times aware UTC date-times, so an answer can be rendered without its model.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dp3.clock import FIRST_US, LAST_US, Clock, duration_us, to_datetime
from dp3.history import (
    Chunk,
    Params,
    Segment,
    confidence_at,
    history_params,
    mean_confidence,
    overlapping,
    points_between,
    segments_of,
    winner_at,
    winners_at,
)
from dp3.history.segments import SegmentRow
from dp3.model.attrspec import (
    AttrSpecObservations,
    AttrSpecPlain,
    AttrSpecReadOnly,
    AttrSpecTimeseries,
    AttrSpecType,
)
from dp3.model.spec import ModelSpec
from dp3.model.wire import decode_value
from dp3.reads.as_of import AsOf, Document
from dp3.store.ports.entities import Entities, PlainRow, ProfileRows
from dp3.store.ports.models import Names

Row: TypeAlias = SegmentRow[bytes]


@dataclass(frozen=True, slots=True)
class Span:
    """The time (µs, both ends inclusive) of which history is wanted; None is as far as there is."""

    t_from: int | None = None
    t_to: int | None = None

    def bounds(self, default_to: int = LAST_US) -> tuple[int, int]:
        """Both ends, with open ones filled in."""
        return (
            FIRST_US if self.t_from is None else self.t_from,
            default_to if self.t_to is None else self.t_to,
        )


class Profiles:
    """Answers about single entities. Attributes that are no longer in the model are not shown."""

    def __init__(self, entities: Entities, names: Names, model: ModelSpec, clock: Clock, as_of: AsOf) -> None:
        self._entities = entities
        self._clock = clock
        self._as_of = as_of
        self._attrs: Mapping[str, Mapping[int, AttrSpecType]] = {
            etype: {
                names.attr_id(etype, name): spec
                for name, spec in specs.items()
                if not isinstance(spec, AttrSpecReadOnly)
            }
            for etype, specs in model.entity_attributes.items()
        }
        self._params = {
            place: history_params(spec)
            for place, spec in model.attributes.items()
            if isinstance(spec, AttrSpecObservations)
        }

    def master(self, etype: str, eid: int | str, span: Span = Span(), at: int | None = None) -> Document:
        """The master record of an entity, empty if it does not exist.

        Attributes in the order of the model, then `#ttl` if there are tokens and `#time_created`. Only
        timeseries are limited to `span`. With `at` (µs) only what held at that moment: plain values stored
        until then, intervals whose confidence is above 0 then, points of timeseries in which it lies; empty
        if there is none of them and the entity was not there yet."""
        rows = self._entities.profile(etype, str(eid))
        if rows is None:
            return {}
        plain = {row.attr: row for row in _known_at(rows.plain, at)}
        history = _by_attr(rows)
        document: Document = {}
        for number, spec in self._attrs[etype].items():
            if isinstance(spec, AttrSpecPlain):
                if (row := plain.get(number)) is not None:
                    document[spec.id] = _plain(row)
            elif number in history:
                intervals = self._whole_history(etype, spec, history[number], span, at)
                if intervals or at is None:
                    document[spec.id] = intervals
        if at is not None and at < rows.created and not document:
            return {}
        return document | _metadata(rows)

    def attribute(
        self, etype: str, eid: int | str, spec: AttrSpecType, span: Span = Span(), at: int | None = None
    ) -> Document:
        """Type, current value and history of one attribute; nothing known gives null and no history.

        Observations that start after now are shown only if `span` has an end. With `at` (µs) the value at
        that moment, and the history that held then."""
        answer: Document = {"attr_type": spec.t.value, "current_value": None, "history": []}
        if isinstance(spec, AttrSpecReadOnly):
            values = self._as_of.values(etype, str(eid), self._clock.now_us() if at is None else at)
            return answer if values is None else answer | {"current_value": values[spec.id]}
        rows = self._entities.profile(etype, str(eid), spec.id)
        if rows is None:
            return answer
        if isinstance(spec, AttrSpecTimeseries):
            answer["history"] = _points(spec, _of_one_attr(rows), span, at)
        elif isinstance(spec, AttrSpecObservations):
            answer |= self._observed(self._params[etype, spec.id], _of_one_attr(rows), span, at)
        elif plain := _known_at(rows.plain, at):
            answer["current_value"] = decode_value(plain[0].v)
        return answer

    def _observed(self, params: Params, rows: Iterable[Row], span: Span, at: int | None) -> Document:
        t = self._clock.now_us() if at is None else at
        segments = segments_of(rows, params)
        wanted = overlapping(segments, *span.bounds(t)) if at is None else _valid(segments, at, params)
        return {
            "current_value": _current(segments, t, params),
            "history": [_interval(segment) for segment in wanted],
        }

    def _whole_history(
        self, etype: str, spec: AttrSpecType, rows: Iterable[Row], span: Span, at: int | None
    ) -> list[Document]:
        if isinstance(spec, AttrSpecTimeseries):
            return _points(spec, rows, span, at)
        params = self._params[etype, spec.id]
        segments = segments_of(rows, params)
        return [_interval(s) for s in (segments if at is None else _valid(segments, at, params))]


def _known_at(rows: Sequence[PlainRow], at: int | None) -> Sequence[PlainRow]:
    """The rows that had been stored at a moment (µs), all of them if that is None."""
    return rows if at is None else [row for row in rows if row.written <= at]


def _by_attr(rows: ProfileRows) -> dict[int, list[Row]]:
    """The history by the numbers of attributes; each data-point of a timeseries by itself, without any
    confidence."""
    grouped: dict[int, list[Row]] = defaultdict(list)
    for _, _, attr, t1, t2, c, v in rows.history:
        grouped[attr].append((t1, t2, c or 0, v, 1))
    for attr, v, segments in rows.packed:
        grouped[attr] += [(t1, t2, c_sum or 0, v, n) for t1, t2, c_sum, n in segments]
    return grouped


def _of_one_attr(rows: ProfileRows) -> list[Row]:
    """The history, if there are rows of no other attribute."""
    return next(iter(_by_attr(rows).values()), [])


def _plain(row: PlainRow) -> Document:
    return {"v": decode_value(row.v), "ts_last_update": to_datetime(row.written)}


def _valid(segments: Iterable[Segment[bytes]], at: int, params: Params) -> list[Segment[bytes]]:
    return [segment for segment in segments if confidence_at(segment, at, params)[0]]


def _interval(segment: Segment[bytes]) -> Document:
    return {
        "t1": to_datetime(segment.t1),
        "t2": to_datetime(segment.t2),
        "v": decode_value(segment.v),
        "c": mean_confidence(segment),
    }


def _current(segments: list[Segment[bytes]], t: int, params: Params) -> Any:
    if params.multi_value:
        return [decode_value(winner.v) for winner in winners_at(segments, t, params)] or None
    winner = winner_at(segments, t, params)
    return None if winner is None else decode_value(winner.v)


def _points(spec: AttrSpecTimeseries, rows: Iterable[Row], span: Span, at: int | None) -> list[Document]:
    chunks = (Chunk(t1, decode_value(v)) for t1, _, _, v, _ in rows)
    time_step = spec.timeseries_params.time_step
    step = None if time_step is None else duration_us(time_step)
    points = points_between(
        chunks, spec.timeseries_type, step, *(span if at is None else Span(at, at)).bounds()
    )
    return [{"t1": to_datetime(p.t1), "t2": to_datetime(p.t2), "v": p.v} for p in points]


def _metadata(rows: ProfileRows) -> Document:
    ttl = {name: to_datetime(expiry) for name, expiry in rows.ttl.items()}
    return ({"#ttl": ttl} if ttl else {}) | {"#time_created": to_datetime(rows.created)}
