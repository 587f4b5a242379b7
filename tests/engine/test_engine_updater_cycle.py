"""How entities are spread over batches: the arithmetic alone."""

from hypothesis import given
from hypothesis import strategies as st

from dp3.engine.jobs.updates.cycle import (
    EVERYTHING,
    may_begin,
    missed_batches,
    next_batch,
    visited,
    with_target,
)
from dp3.store.ports.updates import UpdateProgress

COUNTS = st.integers(1, 12)


def begun(
    before: UpdateProgress | None, batches: int, keys: list[int], partition: int = 0, partitions: int = 8
) -> UpdateProgress:
    """The next batch in a partition with these entities."""
    row = next_batch(before, partition, tick=0, batches=batches)
    if row.batch >= batches:
        return row
    return with_target(row, sum(key > row.after for key in keys), partitions)


def through(row: UpdateProgress, keys: list[int]) -> UpdateProgress:
    left = [key for key in keys if key > row.after]
    wanted = min(row.target - row.done, len(left) + 1)
    return visited(row, left[:wanted], wanted)


@given(st.integers(0, 100), COUNTS, st.integers(0, 7))
def test_each_batch_takes_its_share_to_within_one_entity(entities: int, batches: int, partition: int) -> None:
    keys = [(partition << 40) + number for number in range(entities)]
    row = None
    for number in range(1, batches + 1):
        row = through(begun(row, batches, keys, partition), keys)
        assert not row.open
        assert row.batch == number
        assert abs(row.done - entities * number / batches) < 1
    assert row is not None
    assert row.done == entities


@given(st.integers(0, 100), COUNTS, COUNTS, st.integers(0, 12))
def test_a_cycle_goes_on_with_another_number_of_batches(
    entities: int, batches: int, others: int, done: int
) -> None:
    keys = list(range(entities))
    row = None
    for _ in range(min(done, batches)):
        row = through(begun(row, batches, keys), keys)
    for _ in range(others):
        row = through(begun(row, others, keys), keys)
        if row.target == EVERYTHING:
            break
    assert row is not None
    assert row.done == entities


def test_batches_that_should_have_been_are_counted() -> None:
    before = next_batch(None, 0, tick=1_000, batches=5)
    counted = [missed_batches(before, 1_000 + late, 100) for late in (90, 100, 149, 200, 1_040)]
    assert counted == [0, 0, 0, 1, 9]
    assert missed_batches(None, 5_000, 100) == 0


def test_a_batch_waits_for_the_one_before_and_for_its_time() -> None:
    before = next_batch(None, 0, tick=1_000, batches=5)
    done = before._replace(open=False)
    assert may_begin(None, 0, 100)
    assert not may_begin(before, 1_100, 100)
    assert not may_begin(done, 1_080, 100)
    assert may_begin(done, 1_095, 100)
