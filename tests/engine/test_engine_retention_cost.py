"""A pass costs as much as what goes: rows looked at and transactions, for histories of many shapes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dp3.history import Params
from dp3.history.retention import KeepRule
from kit.history import Observation
from kit.limits import long_retention_slices
from kit.packed import PackedHistory
from kit.rooms import transactions

AGE = 10_000_000
"""Units that history is kept."""

UNIT = 50_000_000
"""µs: 86 of them are a step of the index by age."""


def seen(v: int, first: int, last: int) -> Observation:
    return Observation(first * UNIT, last * UNIT, 1, b"%d" % v)


@contextmanager
def a_history(
    directory: Path, points: list[tuple[int, Observation]], **params: int
) -> Iterator[PackedHistory]:
    """`pre` and `post` in units; everything is packed."""
    valid = Params(**{name: value * UNIT for name, value in params.items()})
    with closing(PackedHistory(directory, KeepRule(valid, max_age=AGE * UNIT))) as history:
        history.pack(points)
        yield history


def rows_looked_at(history: PackedHistory, limit: int) -> int:
    """By a pass that removes what ended before `limit`; the next one finds nothing."""
    looked = history.clean((limit + AGE) * UNIT).rows
    assert history.clean((limit + AGE) * UNIT).rows == 0
    return looked


def ends(history: PackedHistory, entity: int = 1) -> list[int]:
    return sorted(part.t2 // UNIT for part in history.parts(entity))


@pytest.mark.parametrize("reach", [0, 4, 9])
def test_of_ten_thousand_observations_only_the_rows_of_those_that_go_are_looked_at(
    tmp_path: Path, reach: int
) -> None:
    """Two values in turns."""
    points = [(1, seen(n % 2, 10 * n, 10 * n + 1)) for n in range(10_000)]
    with a_history(tmp_path, points, post=reach) as history:
        assert rows_looked_at(history, 1_000) <= 4
        assert ends(history) == [10 * n + 1 for n in range(100, 10_000)]
        assert rows_looked_at(history, 2_000) <= 6


@pytest.mark.parametrize("reach", [9, 10_000])
def test_of_a_value_without_end_only_a_few_rows_are_looked_at_each_time(tmp_path: Path, reach: int) -> None:
    points = [(1, seen(1, 10 * n, 10 * n + 1)) for n in range(10_000)]
    with a_history(tmp_path, points, post=reach) as history:
        for limit in (1_000, 2_000, 3_000, 50_000):
            before = len(history.rows(1))
            looked = rows_looked_at(history, limit)
            assert looked <= 4 * (before - len(history.rows(1))) + 24
        assert ends(history)[:2] == [49_991, 50_001]


@pytest.mark.parametrize("reach", [0, 9])
@pytest.mark.parametrize("limit", [100, 20_000])
def test_of_thousands_of_values_only_those_that_go_are_looked_at(
    tmp_path: Path, reach: int, limit: int
) -> None:
    points = [(1, seen(n, 10 * n, 10 * n + 1)) for n in range(2_000)]
    with a_history(tmp_path, points, post=reach) as history:
        assert rows_looked_at(history, limit) <= 1.2 * limit / 10 + 4
        assert len(history.rows(1)) == 2_000 - limit // 10


def test_values_that_are_joined_across_all_gaps_are_read_in_few_portions(tmp_path: Path) -> None:
    """Each part of the history is within reach of all others."""
    points = [(1, seen(n, 10 * n, 10 * n + 1)) for n in range(2_000)]
    with a_history(tmp_path, points, post=20_000) as history:
        assert rows_looked_at(history, 20_002) <= 4 * 2_000
        assert history.rows(1) == []


@pytest.mark.parametrize("params", [{}, {"post": 9}, {"multi_value": True}])
def test_of_many_entities_with_an_observation_each_those_that_go_share_transactions(
    tmp_path: Path, params: dict[str, int]
) -> None:
    points = [(n, seen(1, n, n + 1)) for n in range(3_000)]
    with a_history(tmp_path, points, **params) as history:
        with long_retention_slices(), transactions() as noted:
            assert 1_000 <= rows_looked_at(history, 1_001) <= 1_002
        assert len(noted) <= 5
        assert [bool(history.rows(n)) for n in (0, 999, 1_000, 2_999)] == [False, False, True, True]
