"""Values of timeseries attributes: one list per series, and the rules for their times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from dp3.clock import to_datetime, to_us
from dp3.model.codec import PRIMITIVE_CODECS, Codec, Converter
from dp3.model.composite import list_of, model_with_fields
from dp3.model.construct import construct
from dp3.model.errors import Reject
from dp3.model.text import time_from_text, time_to_text

IMPLICIT_SERIES: Mapping[str, tuple[str, ...]] = {
    "regular": (),
    "irregular": ("time",),
    "irregular_intervals": ("time_first", "time_last"),
}
"""Timeseries type → the series that say when its rows are, which every such attribute has; all others are
the user's."""

SERIES_DATA_TYPES = ("int", "int64", "float", "time")

_MAX_US = to_us(datetime.max)


class SeriesValues(BaseModel):
    """Base of all timeseries values; every series is an attribute that holds a list."""

    model_config = ConfigDict(protected_namespaces=())


@dataclass(frozen=True, slots=True)
class Times:
    """The first and last times of each row of a chunk (the same for `irregular`), µs; `rows` counts them."""

    rows: int
    first: Sequence[int] = ()
    last: Sequence[int] = ()


TimesRule = Callable[[int, int | None, Times], int]
"""(t1, t2 or None, times of the rows) → t2, all µs; raises `AssertionError` with the documented text."""


def times_rule(timeseries_type: str, step_us: int) -> TimesRule:
    """The rule for the times of a timeseries type; `step_us` matters for `regular` only."""
    if timeseries_type == "regular":
        return _regular(step_us)
    return _irregular if timeseries_type == "irregular" else _intervals


def _regular(step_us: int) -> TimesRule:
    def check(t1: int, t2: int | None, times: Times) -> int:
        end = t1 + times.rows * step_us
        if end > _MAX_US:
            raise AssertionError("'t1' + values_len*time_step lies after the year 9999")
        if t2 is not None and t2 != end:
            raise AssertionError("Difference of t1 and t2 is invalid. Must be values_len*time_step.")
        return end

    return check


def _irregular(t1: int, t2: int | None, times: Times) -> int:
    end = _check_ends(t1, t2, times, "time", "time")
    if not all(a <= b for a, b in pairwise(times.first)):
        raise AssertionError("'time' series is not ordered")
    return end


def _intervals(t1: int, t2: int | None, times: Times) -> int:
    end = _check_ends(t1, t2, times, "time_first", "time_last")
    for i, (first, last) in enumerate(zip(times.first, times.last, strict=True)):
        if first > last:
            raise AssertionError(f"'time_first' is above 'time_last' at index {i}")
    return end


def _check_ends(t1: int, t2: int | None, times: Times, first: str, last: str) -> int:
    end = t1 if t2 is None else t2
    if not times.rows:
        raise AssertionError(f"'{first}' series is empty")
    if t1 > times.first[0]:
        raise AssertionError(f"'t1' is above first item in '{first}' series ({_show(times.first[0])})")
    if times.last[-1] > end:
        raise AssertionError(f"'t2' is below last item in '{last}' series ({_show(times.last[-1])})")
    return end


def _show(us: int) -> str:
    return time_to_text(to_datetime(us))


@dataclass(frozen=True, slots=True)
class SeriesCodec:
    """The compiled form of a timeseries attribute: the codec of `v` and the rules for times."""

    codec: Codec
    accept_times: Callable[[int, int | None, Any], int]
    check_times: Callable[[int, int | None, Any], int]


def compile_series(series: Mapping[str, str], timeseries_type: str, step_us: int) -> SeriesCodec:
    """Compile a timeseries attribute; `series` maps all series, implicit ones included, to data types."""
    parts = {name: PRIMITIVE_CODECS[data_type] for name, data_type in series.items()}
    fields: dict[str, Any] = {name: (list_of(part.annotation), ...) for name, part in parts.items()}
    model = model_with_fields("SeriesValues", SeriesValues, fields)
    codec = Codec(
        Annotated[model, AfterValidator(_equal_lengths)],
        _acceptor(parts),
        _writer(model, parts),
        _reader(model, parts),
    )
    rule = times_rule(timeseries_type, step_us)
    names = IMPLICIT_SERIES[timeseries_type]
    return SeriesCodec(codec, _wire_times_checker(rule, names), _typed_times_checker(rule, names))


def _equal_lengths(value: BaseModel) -> BaseModel:
    try:
        _require_equal_lengths(value.__dict__)
    except ValueError as error:
        raise AssertionError(str(error)) from None
    return value


def _require_equal_lengths(lists: Mapping[str, Sequence[Any]]) -> None:
    if len({len(values) for values in lists.values()}) > 1:
        lengths = ", ".join(f"{name}: {len(values)}" for name, values in lists.items())
        raise ValueError(f"Series values have different lengths: {lengths}")


def _acceptor(parts: Mapping[str, Codec]) -> Converter:
    acceptors = [(name, part.accept) for name, part in parts.items()]

    def accept_series(value: Any) -> dict[str, list[Any]]:
        if type(value) is not dict:
            raise Reject
        wire = {}
        rows = None
        for name, accept in acceptors:
            values = value.get(name)
            if type(values) is not list or (rows is not None and len(values) != rows):
                raise Reject
            rows = len(values)
            wire[name] = [accept(v) for v in values]
        return wire

    return accept_series


def _writer(model: type[BaseModel], parts: Mapping[str, Codec]) -> Converter:
    writers = [(name, part.to_wire) for name, part in parts.items()]

    def to_wire(value: Any) -> dict[str, list[Any]]:
        if isinstance(value, model):
            state = value.__dict__
            wire = {name: [write(v) for v in state[name]] for name, write in writers}
            _require_equal_lengths(wire)
            return wire
        raise Reject(f"expected {model.__name__}, got {type(value).__name__}")

    return to_wire


def _reader(model: type[BaseModel], parts: Mapping[str, Codec]) -> Converter:
    readers = [(name, part.from_wire) for name, part in parts.items()]
    names = frozenset(parts)

    def from_wire(value: Any) -> BaseModel:
        return construct(model, {name: [read(v) for v in value[name]] for name, read in readers}, names)

    return from_wire


def _rows(lists: Any) -> int:
    return len(next(iter(lists.values()), ()))


def _wire_times_checker(rule: TimesRule, names: Sequence[str]) -> Callable[[int, int | None, Any], int]:
    def accept_times(t1: int, t2: int | None, wire: Any) -> int:
        if t2 is not None and t2 < t1:
            raise Reject("'t2' is before 't1'")
        columns = [[to_us(time_from_text(v)) for v in wire[name]] for name in names]
        try:
            return rule(t1, t2, _times(_rows(wire), columns))
        except AssertionError as error:
            raise Reject(str(error)) from None

    return accept_times


def _typed_times_checker(rule: TimesRule, names: Sequence[str]) -> Callable[[int, int | None, Any], int]:
    def check_times(t1: int, t2: int | None, value: BaseModel) -> int:
        lists = value.__dict__
        columns = [[to_us(v) for v in lists[name]] for name in names]
        return rule(t1, t2, _times(_rows(lists), columns))

    return check_times


def _times(rows: int, columns: Sequence[Sequence[int]]) -> Times:
    return Times(rows, columns[0], columns[-1]) if columns else Times(rows)
