"""A scan with what begins later tells all that the whole history tells of its moment and later ones."""

import product
import pytest
from history_strategies import any_params, histories, thorough
from hypothesis import given
from hypothesis import strategies as st

from dp3.history import Params, segments_of, winner_until, winners_until
from dp3.history.scan import (
    SEPARATED,
    Scan,
    advanced,
    decode_scan,
    empty_scan,
    encode_scan,
    segments_since,
)
from dp3.history.segments import SegmentRow
from dp3.model.wire import CONFIDENCE_UNIT
from kit.history import Observation

UNIT = CONFIDENCE_UNIT

some_histories = st.one_of(histories(), histories(ticks=12, longest=4), histories(ticks=5, longest=3))
some_params = st.one_of(any_params(), any_params(longest=25))
moments = st.lists(st.integers(-3, 40), min_size=1, max_size=4).map(sorted)


def row(v: str, t1: int, t2: int, c: float = 1) -> SegmentRow[str]:
    return t1, t2, round(c * UNIT), v, 1


def tokens(history: list[Observation]) -> list[SegmentRow[str]]:
    return [(t1, t2, c, v.hex(), n) for t1, t2, c, v, n in map(product.row_of, history)]


def what_is_seen(segments: list, at: int, params: Params) -> object:
    """Winners and their next change, and all intervals that have not ended."""
    lasting = [segment.row for segment in segments if segment.t2 >= at]
    if params.multi_value:
        winners, change = winners_until(segments, at, params)
        return [winner.row for winner in winners], change, lasting
    winner, change = winner_until(segments, at, params)
    return winner and winner.row, change, lasting


def scanned(rows: list[SegmentRow[str]], params: Params, *moments: int) -> Scan[str]:
    """The scan at the last of the moments, which it got to by way of the others."""
    scan: Scan[str] = empty_scan(params)
    for at in moments:
        scan = advanced(scan, [one for one in rows if scan.at <= one[0] < at], at)
    return scan


def expect_the_same(rows: list[SegmentRow[str]], params: Params, *moments: int) -> None:
    scan, whole = scanned(rows, params, *moments), segments_of(rows, params)
    segments = segments_since(scan, [one for one in rows if one[0] >= scan.at])
    for at in range(scan.at, scan.at + 60):
        assert what_is_seen(segments, at, params) == what_is_seen(whole, at, params)


@thorough
@given(some_histories, some_params, moments, st.data())
def test_a_scan_and_the_rows_after_it_tell_what_the_whole_history_tells(
    history: list[Observation], params: Params, moments: list[int], data: st.DataObject
) -> None:
    """Wherever the scan was on its way, and whichever of the later rows belong to it."""
    rows = left = tokens(history)
    scan: Scan[str] = empty_scan(params)
    for at in moments:
        joins = [one[0] < at or data.draw(st.booleans()) for one in left]
        scan = advanced(scan, [one for one, joining in zip(left, joins, strict=True) if joining], at)
        scan = decode_scan(scan.at, encode_scan(scan))
        left = [one for one, joining in zip(left, joins, strict=True) if not joining]
    segments, whole = segments_since(scan, left), segments_of(rows, params)
    for at in range(moments[-1], moments[-1] + 20):
        assert what_is_seen(segments, at, params) == what_is_seen(whole, at, params)


@thorough
@given(some_histories, some_params, moments)
def test_it_does_not_matter_by_which_moments_a_scan_came(
    history: list[Observation], params: Params, moments: list[int]
) -> None:
    rows = tokens(history)
    parts = scanned(rows, params, *moments).parts
    assert sorted(parts) == sorted(scanned(rows, params, moments[-1]).parts)


@thorough
@given(some_histories, some_params, moments)
def test_a_scan_keeps_nothing_that_is_over(
    history: list[Observation], params: Params, moments: list[int]
) -> None:
    scan = scanned(tokens(history), params, *moments)
    for _, before, length, *_ in scan.parts:
        assert before - length <= params.pre + params.post
        assert before > 0


@pytest.mark.parametrize(
    ("params", "rows", "at"),
    [
        pytest.param(
            Params(5, 5), [row("A", 0, 1, 0.2), row("A", 9, 9)], 8, id="what is over is joined by what comes"
        ),
        pytest.param(
            Params(post=5),
            [row("A", 0, 100, 0.2), row("C", 3, 3), row("A", 104, 105)],
            101,
            id="what is long over separates",
        ),
        pytest.param(
            Params(post=10),
            [row("A", 0, 1), row("C", 3, 3, 0), row("A", 5, 6)],
            4,
            id="what nobody believes separates",
        ),
        pytest.param(
            Params(post=5),
            [row("A", 8, 9), row("C", 10, 20), row("A", 13, 14), row("C", 5, 10)],
            5,
            id="a late row moves a start, so what is over joins",
        ),
        pytest.param(
            Params(post=100),
            [row("X", 0, 5, 0.8), row("Y", 2, 6, 0.9), row("Y", 50, 51, 0.1)],
            40,
            id="what was dominated comes back",
        ),
    ],
)
def test_cases_that_break_simpler_scans(params: Params, rows: list[SegmentRow[str]], at: int) -> None:
    expect_the_same(rows, params, at)
    for earlier in range(at + 1):
        expect_the_same(rows, params, earlier, at)


def test_a_sum_can_not_be_split_so_a_late_row_needs_an_earlier_scan() -> None:
    params, late = Params(post=5), row("B", 2, 3, 0.9)
    rows = [row("A", 0, 1, 0.2), row("A", 4, 5)]
    assert [s.row for s in segments_of(rows, params)] == [(0, 5, round(1.2 * UNIT), "A", 2)]
    scan = scanned(rows, params, 2)
    told = [s.row for s in segments_since(scan, [late, *(one for one in rows if one[0] >= 2)])]
    assert told == [s.row for s in segments_of([*rows, late], params)]
    assert (4, 5, UNIT, "A", 1) in told


def test_without_a_separator_neighbours_join() -> None:
    params, separator = Params(post=5), row("B", 2, 3)
    rows = [row("A", 0, 1), row("A", 4, 5)]
    separated = scanned([*rows, separator], params, 4)
    assert [(part[0], part[-1]) for part in separated.parts] == [("A", SEPARATED), ("B", 1)]
    expect_the_same(rows, params, 4)
    expect_the_same([*rows, separator], params, 4)
