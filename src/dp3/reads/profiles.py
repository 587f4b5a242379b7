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
from dp3.history.ranges import HistorySource, newest_between, newest_first, segments_between
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
from dp3.store.ports.entities import Entities, EntityHistory, PlainRow, ProfileRows, Token
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

        Attributes in the order of the model, then `#ttl` if there are tokens and `#time_created`. With a
        `span` only intervals and points that share a time with it. With `at` (µs) only what held at that
        moment: plain values stored until then, intervals whose confidence is above 0 then, points of
        timeseries in which it lies; empty if there is none of them and the entity was not there yet."""
        if at is None and span == Span():
            return self._whole_master(etype, str(eid))
        document: Document = {}
        with self._entities.history(etype, str(eid)) as found:
            if found is None:
                return {}
            for spec in self._attrs[etype].values():
                value: Any = None
                if isinstance(spec, AttrSpecPlain):
                    row = _known_at(found.plain(spec.id), at)
                    value = None if row is None else _plain(row)
                elif isinstance(spec, AttrSpecTimeseries):
                    value = self._points(found, spec, span, at)
                elif isinstance(spec, AttrSpecObservations):
                    source = found.observed(spec.id, self._params[etype, spec.id])
                    value = self._intervals(_seen(source, span, at))
                if value:
                    document[spec.id] = value
            if at is not None and at < found.created and not document:
                return {}
            return document | _metadata(found.ttl, found.created)

    def _whole_master(self, etype: str, eid: str) -> Document:
        """All that there is, read at once."""
        rows = self._entities.profile(etype, eid)
        if rows is None:
            return {}
        plain = {row.attr: row for row in rows.plain}
        history = _by_attr(rows)
        document: Document = {}
        for number, spec in self._attrs[etype].items():
            if isinstance(spec, AttrSpecPlain):
                if number in plain:
                    document[spec.id] = _plain(plain[number])
            elif number in history and isinstance(spec, AttrSpecTimeseries):
                chunks = [(t1, v) for t1, _, _, v, _ in history[number]]
                document[spec.id] = _points(spec, chunks, *Span().bounds())
            elif number in history:
                segments = segments_of(history[number], self._params[etype, spec.id])
                document[spec.id] = [_interval(segment, decode_value(segment.v)) for segment in segments]
        return document | _metadata(rows.ttl, rows.created)

    def attribute(
        self,
        etype: str,
        eid: int | str,
        spec: AttrSpecType,
        span: Span = Span(),
        at: int | None = None,
        limit: int | None = None,
    ) -> Document:
        """Type, current value and history of one attribute; nothing known gives null and no history.

        Observations that start after now are shown only if `span` has an end. With `at` (µs) the value at
        that moment, and the history that held then. With `limit` the newest ones, newest first: so many, and
        those that begin at the same time as the last of them."""
        answer: Document = {"attr_type": spec.t.value, "current_value": None, "history": []}
        t = self._clock.now_us() if at is None else at
        if isinstance(spec, AttrSpecReadOnly):
            values = self._as_of.values(etype, str(eid), t)
            return answer if values is None else answer | {"current_value": values[spec.id]}
        with self._entities.history(etype, str(eid)) as found:
            if found is None:
                return answer
            if isinstance(spec, AttrSpecTimeseries):
                points = self._points(found, spec, span, at)
                answer["history"] = (
                    points if limit is None else newest_first(points, limit, lambda point: point["t1"])
                )
            elif isinstance(spec, AttrSpecObservations):
                source = found.observed(spec.id, self._params[etype, spec.id])
                answer |= self._observed(source, span, at, t, limit)
            elif (plain := _known_at(found.plain(spec.id), at)) is not None:
                answer["current_value"] = decode_value(plain.v)
        return answer

    def _observed(
        self, source: HistorySource, span: Span, at: int | None, t: int, limit: int | None
    ) -> Document:
        first, last = span.bounds(t)
        if at is not None:
            holding = segments_between(source, at, at)
            shown = _valid(holding, at, source.params)
            if limit is not None:
                shown = newest_first(shown, limit, lambda one: one.t1)
        elif limit is not None:
            holding = segments_between(source, t, t)
            shown = newest_between(source, first, last, limit)
        else:
            found = segments_between(source, first, last)
            shown = overlapping(found, first, last)
            holding = found if first <= t <= last else segments_between(source, t, t)
        return {
            "current_value": self._current(holding, t, source.params),
            "history": self._intervals(shown),
        }

    def _current(self, segments: Sequence[Segment[Token]], t: int, params: Params) -> Any:
        if params.multi_value:
            return [self._entities.decode_value(one.v) for one in winners_at(segments, t, params)] or None
        winner = winner_at(segments, t, params)
        return None if winner is None else self._entities.decode_value(winner.v)

    def _intervals(self, segments: Iterable[Segment[Token]]) -> list[Document]:
        return [_interval(segment, self._entities.decode_value(segment.v)) for segment in segments]

    def _points(
        self, found: EntityHistory, spec: AttrSpecTimeseries, span: Span, at: int | None
    ) -> list[Document]:
        """The bounds of a data-point may not cover all its points if these are intervals."""
        first, last = span.bounds() if at is None else (at, at)
        bounds = (FIRST_US, LAST_US) if spec.timeseries_type == "irregular_intervals" else (first, last)
        return _points(spec, found.chunks(spec.id, *bounds), first, last)


def _seen(source: HistorySource, span: Span, at: int | None) -> list[Segment[Token]]:
    """The segments that share a time with a span, or that hold at a moment."""
    if at is not None:
        return _valid(segments_between(source, at, at), at, source.params)
    first, last = span.bounds()
    return overlapping(segments_between(source, first, last), first, last)


def _known_at(row: PlainRow | None, at: int | None) -> PlainRow | None:
    """The row if it had been stored at a moment (µs)."""
    return row if row is None or at is None or row.written <= at else None


def _by_attr(rows: ProfileRows) -> dict[int, list[Row]]:
    """The history by the numbers of attributes; each data-point of a timeseries by itself, without any
    confidence."""
    grouped: dict[int, list[Row]] = defaultdict(list)
    for _, _, attr, t1, t2, c, v in rows.history:
        grouped[attr].append((t1, t2, c or 0, v, 1))
    for attr, v, segments in rows.packed:
        grouped[attr] += [(t1, t2, c_sum or 0, v, n) for t1, t2, c_sum, n in segments]
    return grouped


def _plain(row: PlainRow) -> Document:
    return {"v": decode_value(row.v), "ts_last_update": to_datetime(row.written)}


def _valid(segments: Iterable[Segment[Token]], at: int, params: Params) -> list[Segment[Token]]:
    return [segment for segment in segments if confidence_at(segment, at, params)[0]]


def _interval(segment: Segment[Any], value: Any) -> Document:
    return {
        "t1": to_datetime(segment.t1),
        "t2": to_datetime(segment.t2),
        "v": value,
        "c": mean_confidence(segment),
    }


def _points(
    spec: AttrSpecTimeseries, chunks: Iterable[tuple[int, bytes]], first: int, last: int
) -> list[Document]:
    time_step = spec.timeseries_params.time_step
    step = None if time_step is None else duration_us(time_step)
    decoded = (Chunk(t1, decode_value(v)) for t1, v in chunks)
    points = points_between(decoded, spec.timeseries_type, step, first, last)
    return [{"t1": to_datetime(p.t1), "t2": to_datetime(p.t2), "v": p.v} for p in points]


def _metadata(ttl: Mapping[str, int], created: int) -> Document:
    tokens = {name: to_datetime(expiry) for name, expiry in ttl.items()}
    return ({"#ttl": tokens} if tokens else {}) | {"#time_created": to_datetime(created)}
