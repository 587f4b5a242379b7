"""The benchmark of long histories, in small, and its data."""

import time
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from dp3.bench.devices import Devices
from dp3.bench.history import HOUR_MS, LEAST, READS, check, history, told
from dp3.bench.report import BenchFailed, show
from dp3.bench.sensors import (
    ATTRS,
    LATEST_SLOTS,
    MINUTE_MS,
    SPACING_MS,
    Firsts,
    Observation,
    Round,
    Series,
    intervals,
)

BASE = 1_767_268_800_000


def series(attr: str, length: int = 1_000, entities: int = 10) -> Series:
    return Series(attr, length, entities, BASE)


def said(of: Series, *minutes_and_values: tuple[int, object]) -> list[Observation]:
    """Observations of one minute that end so many minutes after `BASE`."""
    return [
        Observation(BASE + (end - 1) * MINUTE_MS, BASE + end * MINUTE_MS, v) for end, v in minutes_and_values
    ]


def seen(attr: str, *minutes_and_values: tuple[int, object]) -> list[tuple[float, float, object]]:
    shown = intervals(said(series(attr), *minutes_and_values), series(attr))
    return [((one.t1 - BASE) / MINUTE_MS, (one.t2 - BASE) / MINUTE_MS, one.v) for one in shown]


def test_an_observation_in_a_hundred_is_late_by_up_to_an_hour():
    delays = Counter(
        series("constant_5m").arrival(i, slot) - slot for i in range(10) for slot in range(-999, 1)
    )

    assert delays.pop(0) in range(9_890, 9_911)
    assert set(delays) == set(range(1, LATEST_SLOTS + 1))
    assert LATEST_SLOTS * SPACING_MS == HOUR_MS


@pytest.mark.parametrize("attr", ["alternating_5m", "constant_30d", "several_5m", "linked_5m"])
def test_every_observation_is_sent_once_oldest_first_whatever_the_rounds(attr):
    some = series(attr, 200, 3)
    order = [(some, i) for i in range(3)]
    rounds: list[Devices] = [
        Firsts(order),
        *(Round([some], begin, begin + 25) for begin in range(-199, 20, 25)),
    ]

    sent = [point for of in rounds for i in range(3) for point in of.points()(i)]

    until_base = [(point["id"], point["t2"]) for point in sent if point["t2"] <= BASE]
    assert Counter(until_base) == Counter(
        (some.eid(i), BASE + slot * SPACING_MS) for i in range(3) for slot in range(-199, 1)
    )
    begins = [min(point["t1"] for i in range(3) for point in of.points()(i)) for of in rounds[:-2]]
    assert begins == sorted(begins)


def test_values_are_those_of_the_kind():
    values = {attr: [str(series(attr).value(1, slot)) for slot in range(6)] for attr in ATTRS}

    assert {attr: len(set(of)) for attr, of in values.items() if attr.endswith("5m")} == {
        "alternating_5m": 2, "constant_5m": 1, "several_5m": 3, "linked_5m": 2,
    }  # fmt: skip
    assert all(before != after for before, after in pairwise(values["linked_30d"]))


def test_observations_of_one_value_are_one_interval_where_validity_spans_the_gap():
    assert seen("constant_5m", (5, 1), (10, 1), (22, 1)) == [(4, 10, 1), (21, 22, 1)]
    assert seen("constant_30d", (5, 1), (10, 1), (22, 1)) == [(4, 22, 1)]


def test_another_value_in_between_parts_them_unless_there_may_be_several():
    points = [(5, 1), (10, 2), (15, 1)]

    assert seen("alternating_30d", *points) == [(4, 5, 1), (9, 10, 2), (14, 15, 1)]
    assert seen("several_5m", *points) == [(4, 15, 1), (9, 10, 2)]


def shown(*points: tuple[int, object]) -> list[dict]:
    def text(minutes: int) -> str:
        return datetime.fromtimestamp(BASE / 1e3 + minutes * 60, UTC).isoformat()

    return [{"t1": text(end - 1), "t2": text(end), "v": v, "c": 0.9} for end, v in points]


@pytest.mark.parametrize(
    ("current", "points", "problem"),
    [
        (2, [(5, 1), (10, 2)], None),
        (2, [(-70, 9), (5, 1), (10, 2)], None),
        (1, [(5, 1), (10, 2)], "the current value of alternating_30d: 1, expected 2"),
        (2, [(10, 2)], "the last hour of alternating_30d"),
        (2, [(5, 1), (10, 1)], "the last hour of alternating_30d"),
        (2, [(5, 1), (9, 3), (10, 2)], "the last hour of alternating_30d"),
    ],
)
def test_answers_without_the_last_hour_or_the_current_value_make_the_benchmark_void(current, points, problem):
    of = series("alternating_30d")
    answer = {"current_value": current, "history": shown(*points)}

    def judged():
        check(of, said(of, (5, 1), (10, 2)), READS["attr"], answer, BASE - HOUR_MS)

    if problem is None:
        judged()
    else:
        with pytest.raises(BenchFailed, match=problem):
            judged()


def test_all_values_that_hold_must_be_current_and_no_others():
    of, now = series("several_5m"), time.time_ns() // 10**6
    ends = {1: now - 20 * MINUTE_MS, 2: now - 2 * MINUTE_MS, 3: now - MINUTE_MS}
    points = [Observation(t2 - 1, t2, v) for v, t2 in ends.items()]
    moments = {
        v: [datetime.fromtimestamp(t / 1e3, UTC).isoformat() for t in (t2 - 1, t2)] for v, t2 in ends.items()
    }
    history = [{"t1": t1, "t2": t2, "v": v} for v, (t1, t2) in moments.items()]

    check(of, points, READS["attr"], {"current_value": [2, 3], "history": history}, now - HOUR_MS)
    for wrong in ([2], [1, 2, 3]):
        with pytest.raises(BenchFailed, match="the current values of several_5m"):
            check(of, points, READS["attr"], {"current_value": wrong, "history": history}, now - HOUR_MS)


def test_the_longest_histories_are_compared_to_the_shortest_and_the_worst_of_minutes_stands_at_the_top():
    def figures(cost: float) -> dict:
        return dict.fromkeys(
            ("run_cpu_us", "attr_p50_ms", "record_p50_ms", "attr_cpu_us", "record_cpu_us",
             "run_rows", "attr_rows", "record_rows"), cost,
        )  # fmt: skip

    costs = {("constant_5m", 10): 2, ("constant_5m", 100): 3, ("linked_5m", 10): 0, ("linked_5m", 100): 1,
             ("linked_30d", 10): 1, ("linked_30d", 100): 1e6}  # fmt: skip
    found = told({series(*key): figures(cost) for key, cost in costs.items()})

    assert found["longest_to_shortest"]["run"] == {
        "constant_5m": 1.5, "linked_5m": 1 / LEAST, "linked_30d": 1e6,
    }  # fmt: skip
    assert found["run_ratio_5m"] == found["record_rows_ratio_5m"] == 1 / LEAST
    assert found["linked_30d"]["100"]["attr_rows"] == 1e6


def test_groups_of_groups_are_shown_side_by_side(capsys):
    show({"size": 5, "load": {"10": {"rows": 7, "ms": 1.5}, "100": {"rows": 8, "ms": 2.5}}}, as_json=False)

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["│", "size", "│", "5", "│"] in lines
    assert ["│", "rows", "│", "7", "│", "8", "│"] in lines


def test_rows_of_history_that_were_read_are_counted_for_each_question_and_sensor():
    figures = history(["several_5m"], [10, 60], lambda text: None, entities=10, population=20, runs=2)

    short, long = figures["several_5m"]["10"], figures["several_5m"]["60"]
    assert figures["datapoints"] in range(20 + 10 * 70 - 10, 20 + 10 * 70 + 40)
    assert (figures["entities"], figures["population"]) == (10, 20)
    # What each is said to hold, those that came since, and perhaps one that has not come yet.
    for length, of in ((10, short), (60, long)):
        for name in ("attr", "record", "run"):
            assert 0 < of[f"{name}_rows"] <= length + 12
    for of in (short, long):
        assert 0 < of["attr_p50_ms"] <= of["attr_p95_ms"]
        assert of["record_cpu_us"] > 50
        assert 1 < of["record_kib"] < 10_000
