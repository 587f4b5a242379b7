"""From chunks of timeseries, as data-points bring them, to single points.

Series are in wire form: `{series id: [wire values]}`, times among them RFC 3339 text.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from dp3.clock import to_us
from dp3.model.timeseries import IMPLICIT_SERIES
from dp3.model.wire import encode_value

TimeseriesType: TypeAlias = Literal["regular", "irregular", "irregular_intervals"]
Series: TypeAlias = Mapping[str, list[Any]]


class Chunk(NamedTuple):
    """One timeseries data-point: its `t1` (µs) and its series, all of the same length.

    There is no `t2`: intervals need not be ordered, so a chunk's bounds may not cover its points.
    """

    t1: int
    series: Series


class Point(NamedTuple):
    """A time or an interval of a timeseries (µs, both inclusive) with the values of the user's series."""

    t1: int
    t2: int
    v: dict[str, Any]


def points_between(
    chunks: Iterable[Chunk], timeseries_type: TimeseriesType, step: int | None, t_from: int, t_to: int
) -> list[Point]:
    """Points of all chunks that overlap `t_from` … `t_to` (µs, both inclusive).

    Sorted by (t1, t2, encoded v), so it does not matter how points were spread over chunks. `step` (µs) is
    the time step of a regular timeseries, otherwise unused. Raises `ValueError` when a regular timeseries
    has no positive `step`, or a chunk lacks a time series or has series of different lengths.
    """
    points = (point for chunk in chunks for point in _split(chunk, timeseries_type, step, t_from, t_to))
    return sorted(points, key=lambda point: (point.t1, point.t2, encode_value(point.v)))


def _split(
    chunk: Chunk, timeseries_type: TimeseriesType, step: int | None, t_from: int, t_to: int
) -> Iterator[Point]:
    time_series = IMPLICIT_SERIES[timeseries_type]
    _check_series(chunk.series, time_series)
    values = {name: series for name, series in chunk.series.items() if name not in time_series}
    times = _irregular_times(chunk, time_series) if time_series else _regular_times(chunk, step)
    for i, (t1, t2) in enumerate(times):
        if t2 >= t_from and t1 <= t_to:
            yield Point(t1, t2, {name: series[i] for name, series in values.items()})


def _check_series(series: Series, required: Iterable[str]) -> None:
    lengths = {name: len(values) for name, values in series.items()}
    missing = [name for name in required if name not in lengths]
    if missing or len(set(lengths.values())) > 1:
        raise ValueError(
            f"a chunk needs series of equal lengths, among them {list(required)}, got lengths {lengths}"
        )


def _regular_times(chunk: Chunk, step: int | None) -> Iterator[tuple[int, int]]:
    if step is None or step <= 0:
        raise ValueError(f"a regular timeseries needs a time step above 0 µs, got {step}")
    length = max(map(len, chunk.series.values()), default=0)
    return ((t1, t1 + step) for t1 in range(chunk.t1, chunk.t1 + length * step, step))


def _irregular_times(chunk: Chunk, time_series: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    columns = [[_us(text) for text in chunk.series[name]] for name in time_series]
    return zip(columns[0], columns[-1], strict=True)


def _us(text: str) -> int:
    return to_us(datetime.fromisoformat(text))
