"""Master records and timeseries as snapshot hooks get them: typed. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dp3.clock import to_datetime
from dp3.engine.jobs.snapshots.records import RecordPlan
from dp3.history import history_params, mean_confidence, segments_of
from dp3.history.segments import SegmentRow
from dp3.model.attrspec import AttrSpecObservations, AttrSpecPlain, AttrSpecTimeseries, AttrSpecType
from dp3.model.canonical import copied
from dp3.model.primitives import PRIMITIVE_TYPES, Converter
from dp3.model.task import HASH
from dp3.store.ports.entities import Entities, Profile, StoredChunk, Token

Document = dict[str, Any]

_MISFITS = (ValueError, TypeError, KeyError, AttributeError)


def chunk_reader(spec: AttrSpecTimeseries, entities: Entities) -> Callable[[Token], Any]:
    """Value of a timeseries → `{series: [typed values]}`."""
    decode = entities.decode_value
    series = {name: str(one.data_type) for name, one in spec.series.items()}
    readers = {name: PRIMITIVE_TYPES[data_type].codec.from_wire for name, data_type in series.items()}

    def read(token: Token) -> dict[str, list[Any]]:
        value: Mapping[str, list[Any]] = decode(token)
        return {name: [convert(item) for item in value[name]] for name, convert in readers.items()}

    return read


def chunks(rows: Iterable[StoredChunk], read: Callable[[Token], Any]) -> list[Document]:
    """The history of a timeseries attribute: `{"t1", "t2", "v": {series: […]}}`, by time."""
    return [_interval(t1, t2, read(v)) for _, t1, t2, v in sorted(rows)]


class MasterReader:
    """Makes master documents of one entity type: `attrs` are its attributes by their numbers in the state."""

    def __init__(self, plan: RecordPlan, attrs: Mapping[int, AttrSpecType], entities: Entities) -> None:
        self._etype = plan.etype
        self._eid = _lenient(plan.fields["eid"].read)
        self._attrs = attrs
        self._decode = entities.decode_value
        self._read: dict[int, Converter] = {}
        for number, spec in attrs.items():
            if isinstance(spec, AttrSpecTimeseries):
                self._read[number] = chunk_reader(spec, entities)
            else:
                self._read[number] = _single(plan, spec)

    def document(self, eid: int | str, profile: Profile) -> Document:
        """`_id`, `#hash`, `#time_created`, `#ttl`, then attributes in the order of the model. Plain ones are
        `{"v", "ts_last_update"}`, observations lists of `{"t1", "t2", "v", "c"}`."""
        document: Document = {
            "_id": self._eid(eid),
            "#hash": HASH(f"{self._etype}:{eid}"),
            "#time_created": to_datetime(profile.created),
        }
        if profile.ttl:
            document["#ttl"] = {name: to_datetime(until) for name, until in profile.ttl.items()}
        plain = {attr: (written, v) for attr, _, written, v in profile.plain}
        observed = dict(profile.observed)
        timeseries: dict[int, list[StoredChunk]] = defaultdict(list)
        for chunk in profile.chunks:
            timeseries[chunk[0]].append(chunk)
        for number, spec in self._attrs.items():
            if number in plain and isinstance(spec, AttrSpecPlain):
                written, v = plain[number]
                value = self._read[number](self._decode(v))
                document[spec.id] = {"v": value, "ts_last_update": to_datetime(written)}
            elif number in observed and isinstance(spec, AttrSpecObservations):
                document[spec.id] = self._intervals(spec, observed[number], self._read[number])
            elif number in timeseries and isinstance(spec, AttrSpecTimeseries):
                document[spec.id] = chunks(timeseries[number], self._read[number])
        return document

    def _intervals(
        self, spec: AttrSpecObservations, rows: Iterable[SegmentRow[Token]], read: Converter
    ) -> list[Document]:
        return [
            _interval(segment.t1, segment.t2, read(self._decode(segment.v))) | {"c": mean_confidence(segment)}
            for segment in segments_of(rows, history_params(spec))
        ]


def _interval(t1: int, t2: int, v: Any) -> Document:
    return {"t1": to_datetime(t1), "t2": to_datetime(t2), "v": v}


def _single(plan: RecordPlan, spec: AttrSpecType) -> Converter:
    """Wire value of one data-point → typed value; in wire form if it does not fit the model any more."""
    convert = plan.fields[spec.id].read
    if isinstance(spec, AttrSpecObservations) and spec.multi_value:
        several = convert

        def convert(value: Any) -> Any:
            return several([value])[0]

    return _lenient(convert)


def _lenient(convert: Converter) -> Converter:
    """Values that do not fit are taken as they are."""

    def read(value: Any) -> Any:
        try:
            return convert(value)
        except _MISFITS:
            return copied(value)

    return read
