"""Makes snapshot runs in tests: the values of now, with what hooks would have changed."""

from collections.abc import Mapping
from typing import Any

from dp3.engine.jobs.snapshots.doc import Doc, decode_doc, encode_doc
from dp3.engine.jobs.snapshots.keys import keys_of, plan_keys
from dp3.engine.jobs.snapshots.values import compute, plan_values
from dp3.model.attrspec import AttrSpecReadOnly
from dp3.store.ports.leases import Holder
from dp3.store.ports.runs import Phase, WorkerRun
from dp3.store.ports.snapshots import SnapshotBatch, StoredSnapshot
from kit.node import Node

Changes = Mapping[tuple[str, str], Mapping[str, Any]]
"""(entity type, id) → values that a hook set."""


def make_run(node: Node, changes: Changes | None = None, *, status: str = "complete") -> int:
    """A complete run of one worker over all entities; returns its id. Rows are kept only if they changed."""
    store = node.store
    run = store.runs.begin(node.clock.now_us(), "model", 1)
    assert run is not None
    batch = SnapshotBatch(run.id)
    count = 0
    for etype in node.services.model:
        count += _add(node, batch, etype, changes or {}, run.time)
    batch.progress = WorkerRun(run.id, 0, Phase.WORK.value, {}, count, len(batch.rows), 0, run.time)
    batch.watermarks = [(partition, lane, 0) for partition in range(store.partitions) for lane in (0, 1)]
    lease = store.leases.take(0, 1, Holder("host", 1), 15)
    store.snapshots.write(lease, batch)
    store.leases.release(lease)
    node.clock.advance(0.5)
    for phase in (Phase.WORK, Phase.FINALIZE):
        store.runs.advance(run.id, phase, "", {})
    store.runs.advance(run.id, Phase.CLOSED, status, {})
    return run.id


def _add(node: Node, batch: SnapshotBatch, etype: str, changes: Changes, t: int) -> int:
    store = node.store
    model = node.services.model
    numbers = {
        name: store.names.attr_id(etype, name)
        for name, spec in model.attribs(etype).items()
        if not isinstance(spec, AttrSpecReadOnly)
    }
    values, keys = plan_values(model, etype, numbers, store.entities), plan_keys(model, etype)
    page = store.entities.page(etype, 10_000)
    rows = store.snapshots.latest([key for key, _, _ in page])
    mirrors = node.services.reads.as_of.mirrors(etype, [eid for _, eid, _ in page], t)
    for key, eid, _ in page:
        profile = store.entities.decode_profile(store.entities.profiles([key])[key])
        doc = compute(values.eid(eid), profile, values, t, mirrors[eid]).doc
        doc = doc._replace(values={**doc.values, **changes.get((etype, eid), {})})
        _put(node, batch, etype, key, rows.get(key), doc, keys)
    return len(page)


def _put(
    node: Node, batch: SnapshotBatch, etype: str, key: int, old: bytes | None, doc: Doc, plan: Any
) -> None:
    encoded = encode_doc(doc)
    if old == encoded:
        return
    before = keys_of(plan, decode_doc(old)) if old else set()
    after = keys_of(plan, doc)
    number = node.store.names.attr_id
    batch.rows.append(StoredSnapshot(key, batch.run, encoded))
    batch.keys_added.extend((number(etype, path), k, key) for path, k in after - before)
    batch.keys_removed.extend((number(etype, path), k, key) for path, k in before - after)
