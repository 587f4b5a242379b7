"""What every log does, whatever it is built on. Each rule holds within and across segments."""

import threading
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dp3.clock import FakeClock
from dp3.log.port import Append, Appended, Entry, IdempotencyConflict, Lane, Log, OutboxSlice, Producer

DAY_S = 24 * 3600
EVERYTHING = 1 << 40
SOURCE = Producer(3, Lane.MAIN)

OpenLog = Callable[..., Log]


def an_append(text: str = "task", partition: int = 0, key: str | None = None, digest: bytes = b"d") -> Append:
    return Append([{partition: tasks(text)}], (key, digest) if key is not None else None)


def tasks(*items: str) -> bytes:
    return msgspec.msgpack.encode(list(items))


def a_part(key: int, *items: str, producer: Producer = SOURCE, partition: int = 0) -> OutboxSlice:
    return OutboxSlice(producer, key, {partition: tasks(*items)})


def append(log: Log, *appends: Append) -> list[Appended]:
    outcomes = log.append(appends)
    assert all(isinstance(outcome, Appended) for outcome in outcomes)
    return outcomes  # type: ignore[return-value]


def texts(entries: list[Entry]) -> list[list[str]]:
    return [
        [item for part in entry.slices.values() for item in msgspec.msgpack.decode(part)] for entry in entries
    ]


# -- appending and reading -----------------------------------------------------------------------------
def test_new_log_is_empty(log: Log) -> None:
    for lane in Lane:
        assert log.head(lane) == (0, 0, 0)
        assert log.read(lane, 0, EVERYTHING) == []
        assert log.read_back(lane, None, EVERYTHING) == []
        assert log.append_time_after(lane, 0) is None
        assert log.bytes_until(lane, 0) == 0


def test_entries_are_read_in_order_of_append_with_dense_offsets(log: Log) -> None:
    append(log, an_append("a"), an_append("b"))
    append(log, an_append("c"))
    append(log, an_append("d"))
    entries = log.read(Lane.MAIN, 0, EVERYTHING)
    assert [entry.offset for entry in entries] == [1, 2, 3, 4]
    assert texts(entries) == [["a"], ["b"], ["c"], ["d"]]


def test_outcome_names_offset_and_append_time_of_the_entry(log: Log) -> None:
    for number in range(3):
        (outcome,) = append(log, an_append(str(number)))
        (entry,) = log.read(Lane.MAIN, number, EVERYTHING)
        assert outcome == (entry.offset, entry.append_time, False)


def test_slices_come_back_as_they_were(log: Log) -> None:
    slices = {5: tasks("a"), 0: tasks("b", "c"), 63: tasks()}
    log.append([Append([slices])])
    (entry,) = log.read(Lane.MAIN, 0, EVERYTHING)
    assert entry.slices == slices


def test_appending_nothing_adds_nothing(log: Log) -> None:
    assert log.append([]) == []
    assert log.head(Lane.MAIN) == (0, 0, 0)


def test_reading_begins_after_an_offset(log: Log) -> None:
    for text in "abcd":
        append(log, an_append(text))
    assert texts(log.read(Lane.MAIN, 2, EVERYTHING)) == [["c"], ["d"]]
    assert log.read(Lane.MAIN, 4, EVERYTHING) == []
    assert log.read(Lane.MAIN, 400, EVERYTHING) == []


def test_reading_stops_at_about_the_wanted_bytes_but_gives_at_least_one(log: Log) -> None:
    for _ in range(6):
        append(log, an_append("x" * 1000))
    size = log.read(Lane.MAIN, 0, 1)[0].size
    assert len(log.read(Lane.MAIN, 0, 1)) == 1
    assert len(log.read(Lane.MAIN, 0, 3 * size)) == 3
    assert len(log.read_back(Lane.MAIN, None, 1)) == 1
    assert len(log.read_back(Lane.MAIN, None, 3 * size)) == 3


def test_bytes_are_those_of_the_tasks_though_large_bodies_take_less_on_the_disk(opened: OpenLog) -> None:
    log = opened()
    for _ in range(20):
        append(log, an_append("x" * 1_000_000))
    assert log.head(Lane.MAIN).bytes > 20_000_000
    assert log.bytes_after(Lane.MAIN, 10) > 10_000_000
    assert log.disk_bytes(Lane.MAIN) < 1_000_000
    assert [entry.offset for entry in log.read(Lane.MAIN, 0, 3_000_000)] == [1, 2, 3]
    assert [entry.offset for entry in log.read_back(Lane.MAIN, None, 1_500_000)] == [20, 19]
    assert {entry.size for entry in log.read(Lane.MAIN, 0, EVERYTHING)} == {log.head(Lane.MAIN).bytes // 20}


def test_reading_back_gives_the_newest_first(log: Log) -> None:
    for text in "abcd":
        append(log, an_append(text))
    assert texts(log.read_back(Lane.MAIN, None, EVERYTHING)) == [["d"], ["c"], ["b"], ["a"]]
    assert texts(log.read_back(Lane.MAIN, 3, EVERYTHING)) == [["b"], ["a"]]
    assert log.read_back(Lane.MAIN, 1, EVERYTHING) == []


def test_lanes_do_not_mix(log: Log) -> None:
    append(log, an_append("main"))
    log.append_outbox([a_part(1, "derived")], 0)
    assert texts(log.read(Lane.MAIN, 0, EVERYTHING)) == [["main"]]
    assert texts(log.read(Lane.DERIVED, 0, EVERYTHING)) == [["derived"]]


def test_log_keeps_everything_when_opened_again(opened: OpenLog, limits: dict[str, float]) -> None:
    first = opened(**limits)
    for text in "abc":
        append(first, an_append(text))
    entries = first.read(Lane.MAIN, 0, EVERYTHING)
    first.close()
    again = opened(**limits)
    assert again.read(Lane.MAIN, 0, EVERYTHING) == entries
    assert append(again, an_append("d"))[0].offset == 4


def test_two_open_logs_see_each_others_entries(opened: OpenLog, limits: dict[str, float]) -> None:
    one, other = opened(**limits), opened(**limits)
    for number in range(0, 6, 2):
        append(one, an_append(str(number)))
        append(other, an_append(str(number + 1)))
    for log in (one, other):
        assert texts(log.read(Lane.MAIN, 0, EVERYTHING)) == [[str(number)] for number in range(6)]


def test_threads_append_and_read_at_once_without_losing_or_reordering(log: Log) -> None:
    def work(name: str) -> None:
        for number in range(10):
            append(log, an_append(f"{name}{number}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    seen: list[Entry] = []
    while len(seen) < 40:
        seen += log.read(Lane.MAIN, seen[-1].offset if seen else 0, 50)
    for thread in threads:
        thread.join()
    assert [entry.offset for entry in seen] == list(range(1, 41))
    flat = [text for (text,) in texts(seen)]
    for name in "abcd":
        assert [text for text in flat if text[0] == name] == [f"{name}{number}" for number in range(10)]


def test_calls_after_close_fail(opened: OpenLog) -> None:
    log = opened()
    log.close()
    log.close()
    with pytest.raises(RuntimeError, match="closed"):
        log.append([an_append()])
    with pytest.raises(RuntimeError, match="closed"):
        log.read(Lane.MAIN, 0, EVERYTHING)
    with pytest.raises(RuntimeError, match="closed"):
        log.version()


# -- order and time ------------------------------------------------------------------------------------
@pytest.mark.parametrize("step_s", [0, -100, 5, 400 * DAY_S])
def test_append_time_is_what_the_clock_said(log: Log, clock: FakeClock, step_s: float) -> None:
    said = []
    for number in range(1, 5):
        said.append(clock.now_us())
        append(log, an_append())
        log.append_outbox([a_part(number, "x")], 0)
        clock.advance(step_s)
    for lane in Lane:
        assert [entry.append_time for entry in log.read(lane, 0, EVERYTHING)] == said


@pytest.mark.parametrize("step_s", [0, -100, 5])
def test_orders_increase_whatever_the_clock_does(log: Log, clock: FakeClock, step_s: float) -> None:
    for number in range(1, 5):
        append(log, an_append(), an_append())
        log.append_outbox([a_part(number, "x")], 0)
        clock.advance(step_s)
    for lane, parity in ((Lane.MAIN, 0), (Lane.DERIVED, 1)):
        orders = [entry.order for entry in log.read(lane, 0, EVERYTHING)]
        assert orders == sorted(set(orders))
        assert {order % 2 for order in orders} == {parity}
        assert log.head(lane).order == orders[-1]


def test_an_entry_is_of_a_higher_order_than_all_that_was_in_the_log(log: Log) -> None:
    orders = []
    for number in range(1, 6):
        append(log, an_append())
        orders.append(log.head(Lane.MAIN).order)
        log.append_outbox([a_part(number, "x")], 0)
        orders.append(log.head(Lane.DERIVED).order)
    assert orders == sorted(set(orders))


def test_derived_entry_is_of_a_higher_order_than_what_caused_it(log: Log) -> None:
    log.append_outbox([a_part(1, "x")], 10_000)
    assert log.head(Lane.DERIVED).order > 10_000


def test_order_after_an_offset_is_that_of_the_next_entry(log: Log) -> None:
    append(log, an_append(), an_append(), an_append())
    orders = [entry.order for entry in log.read(Lane.MAIN, 0, EVERYTHING)]
    assert [log.order_after(Lane.MAIN, offset) for offset in range(4)] == [*orders, None]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.integers(-50, 50), max_size=8), wanted=st.integers(-500, 500))
def test_offset_at_a_time_is_that_of_the_first_entry_appended_then_or_later(
    opened: OpenLog, clock: FakeClock, steps: list[int], wanted: int
) -> None:
    log = opened(segment_bytes=40)
    for step in steps:
        append(log, an_append("x"))
        clock.advance(step)
    moment = clock.now_us() + wanted * 1_000_000
    entries = log.read(Lane.MAIN, 0, EVERYTHING)
    first = next((entry.offset for entry in entries if entry.append_time >= moment), None)
    assert log.offset_at(Lane.MAIN, moment) == first
    log.close()


def test_append_time_after_an_offset_is_that_of_the_next_entry(log: Log, clock: FakeClock) -> None:
    times = []
    for _ in range(3):
        times.append(append(log, an_append())[0].append_time)
        clock.advance(1)
    assert [log.append_time_after(Lane.MAIN, offset) for offset in range(4)] == [*times, None]


# -- sizes ---------------------------------------------------------------------------------------------
def test_head_is_the_last_offset_and_the_bytes_of_all_entries(log: Log) -> None:
    for size in (10, 1000, 100_000):
        append(log, an_append("x" * size))
    sizes = [entry.size for entry in log.read(Lane.MAIN, 0, EVERYTHING)]
    assert log.head(Lane.MAIN)[:2] == (3, sum(sizes))
    assert sizes[2] > 100_000


def test_bounds_are_the_last_offsets_in_both_lanes_with_an_order_or_one_below(log: Log) -> None:
    entries: list[Entry] = []
    for number in range(40):
        if number % 3:
            append(log, an_append("x" * 300))
        else:
            log.append_outbox([a_part(number + 1, "x" * 300)], 0)
        entries = [entry for lane in Lane for entry in log.read(lane, 0, EVERYTHING)]
    orders = range(max(entry.order for entry in entries) + 3)
    expected = {
        order: tuple(
            max((entry.offset for entry in entries if entry.lane is lane and entry.order <= order), default=0)
            for lane in Lane
        )
        for order in orders
    }
    assert log.bounds(orders) == expected
    assert {order: log.bounds([order])[order] for order in orders} == expected


def test_what_waits_above_offsets_is_told_of_all_at_once(log: Log, clock: FakeClock) -> None:
    for size in range(30):
        clock.advance(1)
        append(log, an_append("x" * 20 * size))
    expected = {
        offset: (log.bytes_after(Lane.MAIN, offset), log.append_time_after(Lane.MAIN, offset))
        for offset in range(33)
    }
    assert log.waiting(Lane.MAIN, expected.keys()) == expected
    assert log.waiting(Lane.DERIVED, [0, 5]) == {0: (0, None), 5: (0, None)}


def test_bytes_until_an_offset_are_those_of_the_entries_up_to_it(log: Log) -> None:
    for size in (10, 1000, 100_000):
        append(log, an_append("x" * size))
    sizes = [entry.size for entry in log.read(Lane.MAIN, 0, EVERYTHING)]
    assert [log.bytes_until(Lane.MAIN, offset) for offset in range(5)] == [
        0,
        sizes[0],
        sizes[0] + sizes[1],
        sum(sizes),
        sum(sizes),
    ]
    assert [log.bytes_after(Lane.MAIN, offset) for offset in range(5)] == [
        sum(sizes),
        sizes[1] + sizes[2],
        sizes[2],
        0,
        0,
    ]


# -- version -------------------------------------------------------------------------------------------
def test_version_differs_after_every_append_and_only_then(opened: OpenLog, limits: dict[str, float]) -> None:
    log, other = opened(**limits), opened(**limits)
    seen = {log.version()}
    for number in range(1, 4):
        for add in (
            lambda: append(log, an_append()),
            lambda: append(other, an_append()),
            lambda number=number: other.append_outbox([a_part(number, "x")], 0),
        ):
            add()
            assert log.version() not in seen
            seen.add(log.version())
            assert log.version() in seen


# -- outbox --------------------------------------------------------------------------------------------
def test_repeated_drain_adds_nothing(log: Log) -> None:
    parts = [a_part(1, "a"), a_part(2, "b")]
    assert log.append_outbox(parts, 0) is not None
    assert log.append_outbox(parts, 0) is None
    assert texts(log.read(Lane.DERIVED, 0, EVERYTHING)) == [["a", "b"]]


def test_drain_that_overlaps_the_last_one_adds_only_what_is_new(log: Log) -> None:
    log.append_outbox([a_part(1, "a"), a_part(2, "b")], 0)
    log.append_outbox([a_part(2, "b"), a_part(3, "c")], 0)
    assert texts(log.read(Lane.DERIVED, 0, EVERYTHING)) == [["a", "b"], ["c"]]


def test_part_that_is_there_twice_is_taken_once(log: Log) -> None:
    log.append_outbox([a_part(1, "a"), a_part(1, "a")], 0)
    assert texts(log.read(Lane.DERIVED, 0, EVERYTHING)) == [["a"]]


def test_keys_of_producers_are_independent(log: Log) -> None:
    producers = [Producer(1, Lane.MAIN), Producer(1, Lane.DERIVED), Producer(2, Lane.MAIN)]
    for producer in producers:
        assert log.append_outbox([a_part(5, "x", producer=producer)], 0) is not None
    for producer in producers:
        assert log.append_outbox([a_part(5, "x", producer=producer)], 0) is None


def test_producer_keys_are_remembered_by_everybody_for_ever(opened: OpenLog, clock: FakeClock) -> None:
    log = opened(segment_bytes=1)
    log.append_outbox([a_part(7, "first")], 0)
    for number in range(5):
        clock.advance(DAY_S)
        log.append_outbox([a_part(number + 1, "other", producer=Producer(9, Lane.MAIN))], 0)
    log.remove_before(Lane.DERIVED, 6)
    log.close()
    assert opened().append_outbox([a_part(7, "first")], 0) is None


def test_draining_nothing_adds_nothing(log: Log) -> None:
    assert log.append_outbox([], 0) is None
    assert log.head(Lane.DERIVED) == (0, 0, 0)


# -- idempotency ---------------------------------------------------------------------------------------
def test_repeated_key_adds_nothing_and_gets_the_first_answer(log: Log, clock: FakeClock) -> None:
    (first,) = append(log, an_append("a", key="k"))
    append(log, an_append("b"))
    clock.advance(DAY_S - 1)
    assert append(log, an_append("a", key="k")) == [first._replace(repeated=True)]
    assert texts(log.read(Lane.MAIN, 0, EVERYTHING)) == [["a"], ["b"]]


def test_key_repeated_within_one_call_adds_one_entry(log: Log) -> None:
    outcomes = append(log, an_append("a", key="k"), an_append("b"), an_append("a", key="k"))
    assert [outcome.offset for outcome in outcomes] == [1, 2, 1]
    assert [outcome.repeated for outcome in outcomes] == [False, False, True]
    assert log.head(Lane.MAIN).offset == 2


def test_key_of_another_request_is_a_conflict_for_that_append_only(log: Log) -> None:
    append(log, an_append("a", key="k", digest=b"1"))
    before, conflict, after = log.append(
        [an_append("b"), an_append("c", key="k", digest=b"2"), an_append("d", key="l")]
    )
    assert isinstance(conflict, IdempotencyConflict)
    assert "'k'" in str(conflict)
    assert (before, after) == tuple(log_outcomes(log, 1))
    assert texts(log.read(Lane.MAIN, 0, EVERYTHING)) == [["a"], ["b"], ["d"]]


def log_outcomes(log: Log, after: int) -> list[Appended]:
    return [Appended(entry.offset, entry.append_time) for entry in log.read(Lane.MAIN, after, EVERYTHING)]


def test_key_may_be_used_again_after_a_day(log: Log, clock: FakeClock) -> None:
    append(log, an_append("a", key="k", digest=b"1"))
    clock.advance(DAY_S + 1)
    (again,) = append(log, an_append("b", key="k", digest=b"2"))
    assert again.offset == 2
    assert append(log, an_append("b", key="k", digest=b"2"))[0].offset == 2


def test_key_is_known_while_the_clock_is_wrong(log: Log, clock: FakeClock) -> None:
    (first,) = append(log, an_append("a", key="k"))
    for seconds in (365 * DAY_S, -730 * DAY_S, 365 * DAY_S):
        clock.jump(seconds)
        append(log, an_append("b"))
        clock.advance(60)
        assert append(log, an_append("a", key="k")) == [first._replace(repeated=True)]
    clock.advance(DAY_S + 1)
    assert not append(log, an_append("a", key="k"))[0].repeated


def test_key_may_be_used_again_when_a_clock_that_was_set_ahead_has_proved_right(
    log: Log, clock: FakeClock
) -> None:
    append(log, an_append("a", key="k"))
    clock.jump(2 * DAY_S)
    assert append(log, an_append("a", key="k"))[0].repeated
    clock.advance(900)
    assert not append(log, an_append("a", key="k"))[0].repeated


def test_key_is_known_to_everybody(opened: OpenLog, limits: dict[str, float]) -> None:
    one, other = opened(**limits), opened(**limits)
    append(other, an_append("warm", key="w"))
    append(one, an_append("a", key="k"))
    append(one, an_append("b"))
    assert append(other, an_append("a", key="k"))[0].repeated
    assert append(opened(**limits), an_append("a", key="k"))[0].repeated


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls=st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([b"1", b"2"])), max_size=4)))
def test_idempotency_agrees_with_a_dictionary(
    opened: OpenLog, clock: FakeClock, calls: list[list[tuple[str, bytes]]]
) -> None:
    log = opened(segment_bytes=40)
    clock.advance(2 * DAY_S)
    known: dict[str, tuple[bytes, int]] = {}
    for call in calls:
        outcomes = log.append([an_append(key, key=key, digest=digest) for key, digest in call])
        for (key, digest), outcome in zip(call, outcomes, strict=True):
            if isinstance(outcome, IdempotencyConflict):
                assert known[key][0] != digest
                continue
            assert outcome.repeated == (key in known)
            assert known.setdefault(key, (digest, outcome.offset)) == (digest, outcome.offset)
    log.close()


# -- removal -------------------------------------------------------------------------------------------
def filled(opened: OpenLog, clock: FakeClock) -> Log:
    log = opened(segment_bytes=1)
    for text in "abcde":
        append(log, an_append(text))
        clock.advance(DAY_S)
    return log


def test_removal_takes_only_entries_below_the_offset(opened: OpenLog, clock: FakeClock) -> None:
    log = filled(opened, clock)
    assert log.remove_before(Lane.MAIN, 3) == 2
    assert texts(log.read(Lane.MAIN, 2, EVERYTHING)) == [["c"], ["d"], ["e"]]
    assert (log.begin(Lane.MAIN), log.order_after(Lane.MAIN, 0)) == (3, log.order_after(Lane.MAIN, 2))
    assert texts(log.read_back(Lane.MAIN, None, EVERYTHING)) == [["e"], ["d"], ["c"]]
    assert log.remove_before(Lane.MAIN, 3) == 0


def test_removal_spares_what_is_younger_than_the_idempotency_window(
    opened: OpenLog, clock: FakeClock
) -> None:
    log = opened(segment_bytes=1)
    for text in "abc":
        append(log, an_append(text, key=text))
    assert log.remove_before(Lane.MAIN, 3) == 0
    assert append(log, an_append("a", key="a"))[0].repeated


def test_removal_never_takes_the_end_of_the_lane(opened: OpenLog, clock: FakeClock) -> None:
    log = filled(opened, clock)
    head = log.head(Lane.MAIN)
    assert log.remove_before(Lane.MAIN, 1000) == 4
    assert log.head(Lane.MAIN) == head
    assert append(log, an_append("f"))[0].offset == 6


def test_backlog_does_not_change_by_removal(opened: OpenLog, clock: FakeClock) -> None:
    log = filled(opened, clock)
    before = [log.bytes_until(Lane.MAIN, offset) for offset in range(6)]
    log.remove_before(Lane.MAIN, 3)
    assert [log.bytes_until(Lane.MAIN, offset) for offset in range(2, 6)] == before[2:]
    assert [log.bytes_after(Lane.MAIN, offset) for offset in range(2, 6)] == [
        log.head(Lane.MAIN).bytes - until for until in before[2:]
    ]
    assert log.append_time_after(Lane.MAIN, 0) == log.read(Lane.MAIN, 2, 1)[0].append_time


def test_entries_that_were_removed_are_read_as_one_that_says_so(opened: OpenLog, clock: FakeClock) -> None:
    log = filled(opened, clock)
    log.remove_before(Lane.MAIN, 3)
    gone, third, *_ = log.read(Lane.MAIN, 0, EVERYTHING)
    assert (gone.offset, gone.damage, third.offset) == (2, "entries 1 to 2 are missing", 3)


def test_other_processes_know_recent_keys_after_a_removal(opened: OpenLog, clock: FakeClock) -> None:
    here, there = opened(segment_bytes=1), opened(segment_bytes=1)
    append(here, an_append("old"), an_append("as old"))
    clock.advance(3 * DAY_S)
    recent = [append(here, an_append(key, key=key))[0] for key in "abcdefghijkl"]
    assert there.remove_before(Lane.MAIN, 3) == 1
    again = [append(here, an_append(key, key=key))[0] for key in "abcdefghijkl"]
    assert again == [first._replace(repeated=True) for first in recent]


def test_other_processes_go_on_reading_after_a_removal(opened: OpenLog, clock: FakeClock) -> None:
    log = filled(opened, clock)
    other = opened()
    assert len(other.read(Lane.MAIN, 0, EVERYTHING)) == 5
    log.remove_before(Lane.MAIN, 5)
    append(log, an_append("f"))
    assert texts(other.read(Lane.MAIN, 4, EVERYTHING)) == [["e"], ["f"]]
    assert texts(opened().read(Lane.MAIN, 4, EVERYTHING)) == [["e"], ["f"]]
