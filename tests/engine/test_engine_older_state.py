"""A state that was replaced by an older copy of it, beside a log that has gone on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dp3.engine.context import Damage
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.log.port import Lane
from dp3.model.wire import encode_tasks
from dp3.store.ports.batches import RUN_SHIFT, Batch, OutboxRow, Stream
from dp3.store.ports.leases import Lease
from dp3.store.ports.lifetimes import Collection, CollectionSlice
from dp3.store.ports.snapshots import SnapshotBatch
from kit.place import Place
from kit.points import task
from kit.rows import take_lease
from kit.run_rows import a_run, close

YEAR_S = 365 * 86_400


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "data", 1_600_000_000_000_000)
    yield place
    place.close()


def of_control(place: Place, lease: Lease) -> None:
    key = place.store.control.send(0, "deadletters", {})
    row = OutboxRow(0, Stream.CONTROL, key, 0, encode_tasks([task("x")]))
    place.store.batches.commit(lease, Batch(outbox=[row]))


def of_snapshots(place: Place, lease: Lease) -> None:
    run = a_run(place.store, place.clock.now_us())
    row = OutboxRow(0, Stream.SNAPSHOTS, run << RUN_SHIFT | 1, 0, encode_tasks([task("x")]))
    place.store.snapshots.write(lease, SnapshotBatch(run, outbox=[row]))
    close(place.store, run)


def of_the_system(place: Place, lease: Lease) -> None:
    now = place.clock.now_us()
    record = Collection(0, now, 1, now, "ttl", -1)
    place.store.lifetimes.write_collection(lease, CollectionSlice(record, tasks=encode_tasks([task("x")])))


@pytest.mark.parametrize("give", [of_control, of_snapshots, of_the_system])
def test_tasks_reach_the_log_though_it_has_taken_some_by_a_clock_that_was_far_ahead(
    place: Place, tmp_path: Path, give: Callable[[Place, Lease], None]
) -> None:
    place.copy_state(tmp_path / "copy")
    place.clock.jump(YEAR_S)
    give_and_drain(place, give)
    place.clock.jump(-YEAR_S)
    place.replace_state(tmp_path / "copy")
    place.store.outbox.go_above((*producer, key) for producer, key in place.log.producer_keys().items())
    give_and_drain(place, give)
    assert place.log.head(Lane.DERIVED).offset == 2


def give_and_drain(place: Place, give: Callable[[Place, Lease], None]) -> None:
    """Have tasks made, and bring them to the log."""
    lease = take_lease(place.store)
    give(place, lease)
    drainer = OutboxDrainer(place.log, place.store, lease, Damage().note)
    while drainer.drain_some():
        pass
