"""Short ways to write snapshots, and a plain Python evaluation of questions to compare with."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

from dp3.store.patterns import compile_pattern
from dp3.store.ports.batches import Batch, LinkRow
from dp3.store.ports.entities import ENTITY_SHIFT
from dp3.store.ports.leases import Lease
from dp3.store.ports.queries import And, Between, Has, Not, OneOf, Or, Order, TextMatches, Where
from dp3.store.ports.runs import Phase, Run, WorkerRun
from dp3.store.ports.snapshots import IndexKey, Key, SnapshotBatch, StoredSnapshot
from kit.rows import entity_row

FOREVER = 2**62

Keys = dict[str, set[Key]]
"""Path → keys of one entity."""


def a_run(store: Any, time: int, workers: int = 1) -> int:
    """A run that has begun; returns its number."""
    run: Run | None = store.runs.begin(time, "model", workers)
    assert run is not None
    return run.id


def close(store: Any, run: int, status: str = "complete") -> None:
    store.runs.advance(run, Phase.CLOSED, status, {})


def completed(store: Any, lease: Lease, run: int, partitions: Iterable[int] = (0,)) -> None:
    """The last slice of a worker: its partitions are done."""
    cut = [(partition, lane, run * 10) for partition in partitions for lane in (0, 1)]
    store.snapshots.write(lease, SnapshotBatch(run, watermarks=cut))


def progress(run: int, worker: int = 0, **values: Any) -> WorkerRun:
    return WorkerRun(run, worker, "", {}, 0, 0, 0, 0)._replace(**values)


def written(store: Any, lease: Lease, run: int, docs: Mapping[int, bytes], **batch: Any) -> None:
    rows = [StoredSnapshot(entity, run, doc) for entity, doc in docs.items()]
    store.snapshots.write(lease, SnapshotBatch(run, rows=rows, **batch))


def indexed(store: Any, etype: str, entity: int, keys: Keys) -> list[IndexKey]:
    """Keys of an entity as a slice takes them."""
    return [
        (store.names.attr_id(etype, path), key, entity) for path, of_path in keys.items() for key in of_path
    ]


def with_snapshots(store: Any, lease: Lease, run: int, etype: str, entities: Mapping[int, Keys]) -> None:
    """New entities with a row in a run; the document is the eid's key as text."""
    eids = {key: str(next(iter(keys["eid"]))) for key, keys in entities.items()}
    store.batches.commit(
        lease, Batch(created=[entity_row(store, eid, key, etype) for key, eid in eids.items()])
    )
    added = [row for key, keys in entities.items() for row in indexed(store, etype, key, keys)]
    written(store, lease, run, {key: eid.encode() for key, eid in eids.items()}, keys_added=added)


def a_link(store: Any, source: int, target: str, **values: Any) -> LinkRow:
    """An observed link from a device to another through `peer`."""
    etype, attr = store.names.etype_id("device"), store.names.attr_id("device", "peer")
    return LinkRow(source, attr, etype, target, until=100, order=1, replaces=False)._replace(**values)


def partition_of_key(entity: int) -> int:
    return entity >> ENTITY_SHIFT


# -- the naive evaluation --------------------------------------------------------------------------------
def rank(key: Key) -> tuple[int, Any]:
    """Keys in the order of the index: numbers, texts, bytes."""
    if isinstance(key, str):
        return 1, key
    return (2, key) if isinstance(key, bytes) else (0, key)


def matches(where: Where, keys: Keys) -> bool:
    match where:
        case And(parts):
            return all(matches(part, keys) for part in parts)
        case Or(parts):
            return any(matches(part, keys) for part in parts)
        case Not(part):
            return not matches(part, keys)
        case Has(path):
            return bool(keys.get(path))
        case OneOf(path, wanted):
            return any(rank(key) == rank(one) for key in keys.get(path, ()) for one in wanted)
        case Between():
            return any(_lies_within(where, key) for key in keys.get(where.path, ()))
        case TextMatches(path, pattern, flags):
            test = compile_pattern(pattern, flags)
            return any(test(key) for key in keys.get(path, ()) if isinstance(key, str))


def _lies_within(where: Between, key: Key) -> bool:
    for bound, sign, is_open in ((where.low, 1, where.low_open), (where.high, -1, where.high_open)):
        if bound is None:
            continue
        if rank(bound)[0] != rank(key)[0]:
            return False
        side = _compare(rank(key), rank(bound)) * sign
        if side < 0 or (side == 0 and is_open):
            return False
    return True


def _compare(a: tuple[int, Any], b: tuple[int, Any]) -> int:
    return (a > b) - (a < b)


def in_order(entities: Mapping[int, Keys], order: Sequence[Order]) -> list[int]:
    """Entity keys as a question without a filter gives them."""

    def place(entity: int, by: Order) -> tuple[int, Any]:
        ranks = sorted(rank(key) for key in entities[entity].get(by.path, ()))
        return ranks[-1 if by.descending else 0] if ranks else (-1, 0)

    def compare(a: int, b: int) -> int:
        for by in [*order, Order("eid")]:
            side = _compare(place(a, by), place(b, by))
            if side:
                return -side if by.descending else side
        return 0

    return sorted(entities, key=cmp_to_key(compare))
