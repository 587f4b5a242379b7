"""Rules of splitting chunks of timeseries into points."""

from itertools import pairwise
from typing import Any

import pytest
from history_strategies import thorough
from hypothesis import given
from hypothesis import strategies as st

from dp3.clock import EPOCH, to_datetime
from dp3.history import Chunk, Point, points_between

SECOND = 1_000_000
ALWAYS = (-(10**18), 10**18)


def text(us: int) -> str:
    return to_datetime(us).isoformat().replace("+00:00", "Z")


def times(*moments: int) -> list[str]:
    return [text(us) for us in moments]


def test_a_regular_point_lasts_one_step() -> None:
    chunk = Chunk(100, {"load": [0.5, 0.7], "users": [1, 2]})
    assert points_between([chunk], "regular", 10, *ALWAYS) == [
        Point(100, 110, {"load": 0.5, "users": 1}),
        Point(110, 120, {"load": 0.7, "users": 2}),
    ]


def test_an_irregular_point_is_a_moment() -> None:
    chunk = Chunk(0, {"load": [1, 2], "time": ["1970-01-01T00:00:01Z", "1970-01-01T00:00:01.500000Z"]})
    assert points_between([chunk], "irregular", None, *ALWAYS) == [
        Point(1 * SECOND, 1 * SECOND, {"load": 1}),
        Point(1_500_000, 1_500_000, {"load": 2}),
    ]


def test_an_interval_has_its_own_bounds() -> None:
    chunk = Chunk(0, {"load": [1, 2], "time_first": times(5, 7), "time_last": times(6, 9)})
    assert points_between([chunk], "irregular_intervals", None, *ALWAYS) == [
        Point(5, 6, {"load": 1}),
        Point(7, 9, {"load": 2}),
    ]


def test_a_users_series_may_be_called_time_in_a_regular_timeseries() -> None:
    assert points_between([Chunk(0, {"time": ["x"]})], "regular", 1, *ALWAYS) == [Point(0, 1, {"time": "x"})]


def test_points_are_kept_when_they_overlap_the_range_with_both_bounds_included() -> None:
    chunk = Chunk(0, {"i": [0, 1, 2, 3, 4]})
    kept = points_between([chunk], "regular", 10, 20, 30)
    assert [point.v["i"] for point in kept] == [1, 2, 3]
    assert [point.v["i"] for point in points_between([chunk], "regular", 10, 21, 29)] == [2]


def test_points_outside_the_bounds_of_their_chunk_are_found() -> None:
    chunk = Chunk(5, {"i": [0, 1, 2], "time_first": times(5, 1, 6), "time_last": times(6, 90, 7)})
    assert [p.v["i"] for p in points_between([chunk], "irregular_intervals", None, 80, 80)] == [1]


@pytest.mark.parametrize("series", [{}, {"load": []}])
def test_an_empty_regular_chunk_has_no_points(series: dict[str, list[Any]]) -> None:
    assert points_between([Chunk(0, series)], "regular", 10, *ALWAYS) == []


def test_an_irregular_chunk_without_user_series_still_has_its_moments() -> None:
    assert points_between([Chunk(0, {"time": times(3)})], "irregular", None, *ALWAYS) == [Point(3, 3, {})]


@pytest.mark.parametrize("step", [None, 0, -1])
def test_a_regular_timeseries_without_a_step_is_an_error(step: int | None) -> None:
    with pytest.raises(ValueError, match=f"time step above 0 µs, got {step}"):
        points_between([Chunk(0, {"load": [1]})], "regular", step, *ALWAYS)


@pytest.mark.parametrize("series", [{"load": [1]}, {"load": [1], "time": []}])
def test_a_chunk_with_missing_times_is_an_error(series: dict[str, list[Any]]) -> None:
    with pytest.raises(ValueError, match=r"equal lengths, among them \['time'\], got lengths \{'load': 1"):
        points_between([Chunk(0, series)], "irregular", None, *ALWAYS)


rows = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5), st.integers(0, 2)), max_size=12)


@thorough
@given(rows, st.lists(st.integers(0, 12), max_size=3), st.randoms(use_true_random=False))
def test_it_does_not_matter_how_points_came_in_chunks(
    rows: list[tuple[int, int, int]], cuts: list[int], random: Any
) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    bounds = [0, *sorted(cuts), len(rows)]
    chunks = [a_chunk(shuffled[i:j]) for i, j in pairwise(bounds)]
    expected = sorted((first, first + length, v) for first, length, v in rows if first + length >= 5)
    found = points_between(chunks, "irregular_intervals", None, 5, 30)
    assert [(point.t1, point.t2, point.v["v"]) for point in found] == expected


def a_chunk(rows: list[tuple[int, int, int]]) -> Chunk:
    return Chunk(
        0,
        {
            "v": [v for _, _, v in rows],
            "time_first": times(*(first for first, _, _ in rows)),
            "time_last": times(*(first + length for first, length, _ in rows)),
        },
    )


@thorough
@given(st.datetimes(min_value=EPOCH.replace(year=1900, tzinfo=None)))
def test_times_of_series_are_exact(moment: Any) -> None:
    wire = moment.isoformat() + "Z"
    [point] = points_between([Chunk(0, {"time": [wire]})], "irregular", None, *ALWAYS)
    assert text(point.t1) == wire
