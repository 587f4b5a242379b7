"""What is counted with batches, and what is measured of profiles."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.clock import FakeClock
from dp3.store.ports.batches import Batch
from dp3.store.ports.counters import OTHER_SOURCES, EventGroup, HookSums, SourceSums
from dp3.store.ports.history import ScanChanges
from dp3.store.ports.leases import Lease
from dp3.store.ports.sizes import AttributeSize, SizeReport
from dp3.store.ports.snapshots import SnapshotBatch
from dp3.store.ports.state import State
from dp3.store.ports.updates import UpdateBatch, UpdateGroup
from dp3.store.sql.counters import MAX_SOURCE_CHARS
from dp3.store.sqlite import open_state as open_files
from kit.limits import Enter, most_sources
from kit.rows import a_batch, entity_key, entity_row, history_row, packed_row, plain_row, take_lease

MINUTE_US = 60_000_000
SHORT, LONG = timedelta(minutes=5), timedelta(hours=2)
GROUPS = {
    "te": EventGroup((SHORT, LONG), any=False, events=frozenset({"task_processed", "module_error"})),
    "tasks_by_src": EventGroup((SHORT,)),
    "secondary_hooks": EventGroup((LONG,)),
}
HOOK = HookSums("m", "mod.f", "on_new_plain", "a,p", 1, 0, 500, 2, 0, 0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_600_000_200_000_000)


@pytest.fixture
def state(open_state: Callable[..., State]) -> State:
    return open_state(partitions=8, event_groups=GROUPS)


@pytest.fixture
def holder(state: State) -> Lease:
    return take_lease(state)


def span(interval: timedelta) -> int:
    return interval // timedelta(microseconds=1)


def source(name: str, points: int = 1, t2: int | None = None) -> SourceSums:
    return SourceSums(name, points, t2)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 60, 299, 300, 301, 599, 600, 7_200, 20_000]),
        st.sampled_from(["x", "y"]),
        st.integers(1, 5),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, wait_s=st.sampled_from([0, 250, 300, 700]))
def test_events_are_those_of_the_current_interval_and_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, int]], wait_s: int
) -> None:
    clock = FakeClock(1_600_000_200_000_000)
    state = open_files(tmp_path_factory.mktemp("state"), clock, partitions=2, event_groups=GROUPS)
    lease, happened = take_lease(state), []
    for after_s, name, times in steps:
        clock.advance(after_s)
        state.batches.commit(lease, Batch(sources=[source(name, times)]))
        happened.append((clock.now_us(), name, times))
    clock.advance(wait_s)
    since, current, last = state.counters.event_counts("tasks_by_src", span(SHORT))
    begun = clock.now_us() // span(SHORT) * span(SHORT)
    state.close()
    assert since == begun
    assert current == counted(happened, begun, begun + span(SHORT))
    assert last == counted(happened, begun - span(SHORT), begun)


def counted(happened: list[tuple[int, str, int]], first: int, end: int) -> dict[str, int]:
    """The naive model: what happened in an interval."""
    counts: Counter[str] = Counter()
    for at, name, times in happened:
        if first <= at < end:
            counts[name] += times
    return dict(counts)


def test_after_the_clock_was_set_back_events_go_to_the_interval_that_is_known(
    state: State, holder: Lease, clock: FakeClock
) -> None:
    state.batches.commit(holder, Batch(sources=[source("x")]))
    clock.advance(-3600)
    state.batches.commit(holder, Batch(sources=[source("x")]))
    clock.advance(3600)
    assert state.counters.event_counts("tasks_by_src", span(SHORT))[1] == {"x": 2}


def test_only_events_that_are_declared_are_counted(state: State, holder: Lease) -> None:
    state.batches.commit(holder, Batch(counters={"task_processed": 3, "record_created": 2, "batches": 1}))
    for interval in (SHORT, LONG):
        assert state.counters.event_counts("te", span(interval))[1] == {"task_processed": 3}
    assert state.counters.all() == {"task_processed": 3, "record_created": 2, "batches": 1}


@pytest.mark.parametrize("kind", ["batch", "snapshots", "updates"])
def test_what_hooks_did_is_summed_up_with_every_kind_of_work(state: State, holder: Lease, kind: str) -> None:
    write: dict[str, Callable[[], None]] = {
        "batch": lambda: state.batches.commit(holder, Batch(hooks=[HOOK])),
        "snapshots": lambda: state.snapshots.write(holder, SnapshotBatch(1, hooks=[HOOK])),
        "updates": lambda: state.updates.write(holder, UpdateBatch(UpdateGroup("k", 1, 1), 4, hooks=[HOOK])),
    }
    write[kind]()
    write[kind]()
    assert state.counters.hook_sums() == [HOOK._replace(executions=2, duration_ns=1000, created_tasks=4)]
    name = "on_new_plain/mod.f/(a,p)"
    assert state.counters.event_counts("secondary_hooks", span(LONG))[1] == {
        f"{name}/executions": 2,
        f"{name}/duration_ns": 1000,
        f"{name}/created_tasks": 4,
    }


def test_hooks_of_one_name_are_counted_together(state: State, holder: Lease) -> None:
    """Such as two functions without a name. In events their modules do not matter."""
    state.batches.commit(holder, Batch(hooks=[HOOK, HOOK, HOOK._replace(module="other")]))
    assert [(s.module, s.executions) for s in state.counters.hook_sums()] == [("m", 2), ("other", 1)]
    counts = state.counters.event_counts("secondary_hooks", span(LONG))[1]
    assert counts["on_new_plain/mod.f/(a,p)/executions"] == 3


def test_a_source_has_the_latest_end_of_all_its_data_points(state: State, holder: Lease) -> None:
    state.batches.commit(holder, Batch(sources=[source("z"), source("b", t2=20), source("a", t2=7)]))
    state.batches.commit(holder, Batch(sources=[source("z", t2=1), source("b", t2=15), source("c")]))
    assert list(state.counters.sources().items()) == [("a", 7), ("b", 20), ("z", 1)]


def test_a_source_was_last_seen_when_data_points_of_it_were_committed(
    state: State, holder: Lease, clock: FakeClock
) -> None:
    state.batches.commit(holder, Batch(sources=[source("often"), source("once", t2=1 << 60)]))
    begun = clock.now_us()
    clock.advance(5)
    state.batches.commit(holder, Batch(sources=[source("often")]))
    assert state.counters.last_seen(10) == {"often": begun + 5_000_000, "once": begun}
    assert state.counters.last_seen(1) == {"often": begun + 5_000_000}
    clock.advance(-3600)
    state.batches.commit(holder, Batch(sources=[source("often")]))
    assert state.counters.last_seen(1) == {"often": clock.now_us()}, "a wrong clock is forgotten"


def test_sources_above_the_limit_are_counted_together(state: State, holder: Lease, enter: Enter) -> None:
    enter(most_sources(2))
    state.batches.commit(
        holder, Batch(sources=[source(name, t2=5) for name in ("a", "b", "c", "d", "a" * 900)])
    )
    state.batches.commit(holder, Batch(sources=[source("a", t2=9), source("c", t2=9)]))
    assert state.counters.sources() == {"a": 9, "b": 5}
    assert state.counters.event_counts("tasks_by_src", span(SHORT))[1] == {
        "a": 2,
        "b": 1,
        OTHER_SOURCES: 4,
    }


def test_names_of_sources_can_be_anything(state: State, holder: Lease) -> None:
    names = ["", "\0", "a\0", "a\0b", "a", '"', "\n", "\\", "é", "🚌", OTHER_SOURCES]
    state.batches.commit(holder, Batch(sources=[source(name, t2=5) for name in names]))
    assert state.counters.sources().keys() == set(names)
    assert state.counters.event_counts("tasks_by_src", span(SHORT))[1] == dict.fromkeys(names, 1)


def test_names_of_sources_are_cut(state: State, holder: Lease) -> None:
    state.batches.commit(holder, Batch(sources=[source("x" * 1000, t2=5)]))
    assert [len(name) for name in state.counters.sources()] == [MAX_SOURCE_CHARS]


def test_a_report_goes_with_its_lease(state: State, holder: Lease) -> None:
    state.leases.heartbeat(holder, "working", {"batch_s": 1.5})
    state.leases.heartbeat(holder, "working", {"batch_s": 2.5})
    assert [(worker, numbers) for worker, _, numbers in state.leases.reports()] == [(0, {"batch_s": 2.5})]
    state.leases.release(holder)
    assert state.leases.reports() == []


def test_attributes_are_counted_and_measured_by_entity(state: State, holder: Lease) -> None:
    keys = [entity_key(number) for number in (1, 2, 3)]
    state.batches.commit(
        holder,
        a_batch(
            created=[entity_row(state, f"e{key}", key) for key in keys],
            plain=[plain_row(state, keys[0], "p", "x"), plain_row(state, keys[1], "p", "xyz")],
            history=[history_row(state, keys[0], "o", 7, offset) for offset in (1, 2, 3)],
        ),
    )
    rows = [packed_row(state, keys[0], "o", 7, 5), packed_row(state, keys[1], "q", 7, 5)]
    state.history.pack(holder, (0, 0, 0), (0, 0, 0), {}, rows, ScanChanges())
    assert state.entities.range_after(0, 2) == (keys[0], keys[1])
    assert state.entities.range_after(keys[1], 2) == (keys[2], keys[2])
    assert state.entities.range_after(keys[2], 2) is None
    assert state.sizes.attributes_between(keys[0], keys[2]) == {
        ("device", "p"): 2,
        ("device", "o"): 1,
        ("device", "q"): 1,
    }
    assert state.sizes.attributes_between(keys[1], keys[2]) == {("device", "p"): 1, ("device", "q"): 1}
    sizes = state.sizes.between(keys[0], keys[2])
    one, three = (len(plain_row(state, 0, "p", v).v) for v in ("x", "xyz"))
    assert sizes[("device", "p")] == AttributeSize(2, one, three, one + three)
    seven = len(history_row(state, 0, "o", 7, 1).v)
    assert sizes[("device", "o")] == AttributeSize(1, 4 * seven, 4 * seven, 4 * seven)
    assert sizes[("device", "q")] == AttributeSize(1, seven, seven, seven)
    report = SizeReport(1, 2, {attr: size for (_, attr), size in sizes.items()})
    state.sizes.put(holder, {"device": report})
    assert state.sizes.reports() == {"device": report}


def test_deleted_entities_are_not_measured(state: State, holder: Lease) -> None:
    key = entity_key(1)
    entity = entity_row(state, "e", key)
    state.batches.commit(holder, Batch(created=[entity], plain=[plain_row(state, key, "p", 1)]))
    state.batches.commit(holder, Batch(deleted=[key]))
    assert state.sizes.attributes_between(0, key) == {}
    assert state.sizes.between(0, key) == {}


def test_sizes_are_kept_as_last_measured(state: State, holder: Lease) -> None:
    report = SizeReport(5, 6, {"p": AttributeSize(1, 2, 3, 4)})
    state.sizes.put(holder, {"a": report, "b": report})
    state.sizes.put(holder, {"a": SizeReport(7, 8, {})})
    assert state.sizes.reports() == {"a": SizeReport(7, 8, {})}


def test_the_size_on_disk_is_that_of_the_files(tmp_path: Path, clock: FakeClock) -> None:
    state = open_files(tmp_path, clock)
    files = sum(file.stat().st_size for file in tmp_path.iterdir() if "state.db" in file.name)
    assert state.sizes.disk_bytes() == files
    state.close()
