"""A batch in which everything that batches usually have happens to many entities."""

from dp3.store.ports.batches import Batch, OutboxRow, Progress
from dp3.store.ports.counters import HookSums, SourceSums
from dp3.store.ports.entities import PlainRow
from dp3.store.ports.history import history_key
from dp3.store.ports.state import State
from kit.rows import a_letter, entity_key, entity_row
from kit.run_rows import FOREVER, a_link


def devices(store: State, n: int, worker: int = 0) -> Batch:
    """So many devices of the first partition of a worker."""
    return Batch(
        created=[entity_row(store, f"d{worker}-{k}", entity_key(k, worker)) for k in range(1, n + 1)]
    )


def everything(store: State, n: int, since: int, worker: int = 0, workers: int = 1) -> Batch:
    """What happens to them in one batch, the one after `since` others."""
    keys = [entity_key(k, worker) for k in range(1, n + 1)]
    prefix = f"{worker}-{since}"
    history = [history_key(0, since + 1, k + worker * 2_000) for k in range(1, n + 1)]
    parent = {"attr": store.names.attr_id("device", "parent"), "until": FOREVER, "replaces": True}
    links = [a_link(store, key, f"d{worker}-{k % 50}", until=100 + since) for k, key in enumerate(keys)]
    links += [a_link(store, key, f"new{prefix}-{key}", order=since, **parent) for key in keys]
    own = range(worker, store.partitions, workers)
    further = [(f"more{prefix}-{k}", entity_key(10_000 * (since + 1) + k, worker)) for k in range(n)]
    return Batch(
        progress=Progress(0, dict.fromkeys(own, since), since + 1, since),
        created=[entity_row(store, *one) for one in further],
        plain=[PlainRow(key, 1, since, 1, b"1") for key in keys],
        fresh=[(key, 2, place) for key, place in zip(keys, history, strict=True)],
        incoming=[(place, 1, 2, 1_000_000, b"1") for place in history],
        links=links,
        ttl=[(key, "base", since) for key in keys],
        expiry_checks=dict.fromkeys(keys, 1_000 - since),
        outbox=[OutboxRow(worker, 0, since, 0, b"x")],
        dead_letters=[a_letter()],
        counters={"datapoints": n, "batches": 1},
        hooks=[HookSums("m", "h", "on_new_plain", "", 1, 0, 1, 0, 0, 0)],
        sources=[SourceSums("probe", n, 1)],
    )
