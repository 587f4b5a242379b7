"""Values of timeseries attributes: one list per series, and the rules for their times."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from dp3.clock import to_datetime, to_us
from dp3.model.canonical import time_from_text, time_to_text
from dp3.model.composite import construct, list_of, model_with_fields
from dp3.model.errors import Reject
from dp3.model.primitives import PRIMITIVE_TYPES, Codec, Converter

IMPLICIT_SERIES: Mapping[str, tuple[str, ...]] = {
    "regular": (),
    "irregular": ("time",),
    "irregular_intervals": ("time_first", "time_last"),
}
"""Timeseries type → the series that say when its rows are, which every such attribute has; all others are
the user's."""

SERIES_DATA_TYPES = tuple(name for name, row in PRIMITIVE_TYPES.items() if row.series)

_MAX_US = to_us(datetime.max)


class SeriesValues(BaseModel):
    """Base of all timeseries values; every series is an attribute that holds a list."""

    model_config = ConfigDict(protected_namespaces=())


TimesCheck = Callable[[int, int | None, Any], int]
"""(t1, t2 or None, values) → t2, all µs; raises if the times do not fit the values."""

_Rule = Callable[[int, int | None, int, Sequence[int], Sequence[int]], int]
"""(t1, t2 or None, number of rows, first and last time of each row) → t2, all µs; raises `AssertionError`
with the documented text. The rows of `irregular` have one time, those of `regular` none."""


def _rule(timeseries_type: str, step_us: int) -> _Rule:
    if timeseries_type == "regular":
        return _regular(step_us)
    return _irregular if timeseries_type == "irregular" else _intervals


def _regular(step_us: int) -> _Rule:
    def check(t1: int, t2: int | None, rows: int, _first: Sequence[int], _last: Sequence[int]) -> int:
        end = t1 + rows * step_us
        if end > _MAX_US:
            raise AssertionError("'t1' + values_len*time_step lies after the year 9999")
        if t2 is not None and t2 != end:
            raise AssertionError("Difference of t1 and t2 is invalid. Must be values_len*time_step.")
        return end

    return check


def _irregular(t1: int, t2: int | None, rows: int, times: Sequence[int], _: Sequence[int]) -> int:
    end = _check_ends(t1, t2, times, times, ("time", "time"))
    if not all(a <= b for a, b in pairwise(times)):
        raise AssertionError("'time' series is not ordered")
    return end


def _intervals(t1: int, t2: int | None, rows: int, first: Sequence[int], last: Sequence[int]) -> int:
    end = _check_ends(t1, t2, first, last, ("time_first", "time_last"))
    for i, (begin, until) in enumerate(zip(first, last, strict=True)):
        if begin > until:
            raise AssertionError(f"'time_first' is above 'time_last' at index {i}")
    return end


def _check_ends(
    t1: int, t2: int | None, first: Sequence[int], last: Sequence[int], names: tuple[str, str]
) -> int:
    end = t1 if t2 is None else t2
    if not first:
        raise AssertionError(f"'{names[0]}' series is empty")
    if t1 > first[0]:
        raise AssertionError(f"'t1' is above first item in '{names[0]}' series ({_show(first[0])})")
    if last[-1] > end:
        raise AssertionError(f"'t2' is below last item in '{names[1]}' series ({_show(last[-1])})")
    return end


def _show(us: int) -> str:
    return time_to_text(to_datetime(us))


def compile_series(series: Mapping[str, str]) -> Codec:
    """The codec of `v`; `series` maps all series, implicit ones included, to data types."""
    parts = {name: PRIMITIVE_TYPES[data_type].codec for name, data_type in series.items()}
    fields: dict[str, Any] = {name: (list_of(part.annotation), ...) for name, part in parts.items()}
    model = model_with_fields("SeriesValues", SeriesValues, fields)
    return Codec(
        Annotated[model, AfterValidator(_equal_lengths)],
        _acceptor(parts),
        _writer(model, parts),
        _reader(model, parts),
    )


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


def wire_times_check(timeseries_type: str, step_us: int) -> TimesCheck:
    """The check of times beside a wire value, raises `Reject`; `step_us` matters for `regular` only."""
    rule, names = _rule(timeseries_type, step_us), IMPLICIT_SERIES[timeseries_type]

    def accept_times(t1: int, t2: int | None, wire: Any) -> int:
        if t2 is not None and t2 < t1:
            raise Reject("'t2' is before 't1'")
        columns = [[to_us(time_from_text(v)) for v in wire[name]] for name in names] or [[]]
        try:
            return rule(t1, t2, _rows(wire), columns[0], columns[-1])
        except AssertionError as error:
            raise Reject(str(error)) from None

    return accept_times


def typed_times_check(timeseries_type: str, step_us: int) -> TimesCheck:
    """The check of times beside a typed value, raises `AssertionError` with the documented text."""
    rule, names = _rule(timeseries_type, step_us), IMPLICIT_SERIES[timeseries_type]

    def check_times(t1: int, t2: int | None, value: BaseModel) -> int:
        lists = value.__dict__
        columns = [[to_us(v) for v in lists[name]] for name in names] or [[]]
        return rule(t1, t2, _rows(lists), columns[0], columns[-1])

    return check_times
