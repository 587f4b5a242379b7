"""Removing, once confirmed, what a new model leaves without meaning: from the state, and from snapshots and
dead letters, which the state does not understand."""

import platform
from collections.abc import Callable, Container, Mapping, Sequence

import msgspec

from dp3.engine.context import Damage
from dp3.engine.heartbeat import LEASE_TTL_S
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.jobs.snapshots.doc import CONFIDENCE, decode_doc, encode_doc
from dp3.log.port import Lane, Log
from dp3.model.schema import Change, Loss
from dp3.model.wire import WirePoint, decode_tasks, encode_tasks, encode_value
from dp3.store.ports.leases import Lease
from dp3.store.ports.models import Forget, Removal, RemovedAttr
from dp3.store.ports.state import State

EVERYTHING = Lease(0, 1, 0)
"""Nobody else works: all partitions."""


def require_stopped(state: State) -> None:
    """Raises `LeaseRefused` while workers live."""
    state.models.require_no_worker(platform.node(), LEASE_TTL_S)


def begin_update(log: Log, state: State, old: str, new: str, changes: Sequence[Change]) -> bool:
    """Begin to remove what the changes from one schema to another destroy. False if the state has another
    schema than `old` by now. Nobody may append to the log meanwhile. Raises `LeaseRefused` while workers
    live, `StoreFull`, `LogFull`."""
    outbox = OutboxDrainer(log, state, EVERYTHING, Damage().note)
    while outbox.drain_some():
        pass
    heads = {int(lane): log.head(lane).offset for lane in Lane}
    etypes = tuple(change.etype for change in changes if not change.attr)
    attrs = tuple(_removed(change) for change in changes if change.attr)
    return state.models.begin_removal(Removal(new, etypes, attrs, heads), old, platform.node(), LEASE_TTL_S)


def _removed(change: Change) -> RemovedAttr:
    return RemovedAttr(change.etype, change.attr, tuple(sorted(change.values)), change.loss is Loss.SNAPSHOTS)


def finish_update(state: State, report: Callable[[str, int], None]) -> None:
    """Remove all that is left of an update, also of one that was interrupted. Raises `StoreFull`."""
    removal = state.models.removal()
    if removal is None:
        return
    functions = forget(removal)
    while (reached := state.models.continue_removal(functions)) is not None:
        report(*reached)


# -- snapshots and dead letters ----------------------------------------------------------------------------
def forget(removal: Removal) -> Forget:
    """The functions that take out what is removed. They do nothing else."""
    attrs: dict[str, dict[str, list[RemovedAttr]]] = {}
    for attr in removal.attrs:
        attrs.setdefault(attr.etype, {}).setdefault(attr.attr, []).append(attr)

    def doc(etype: str, stored: bytes) -> bytes:
        return _without(stored, attrs[etype])

    def task(stored: bytes) -> bytes | None:
        return _task_without(stored, removal.etypes, attrs)

    return Forget(doc, task)


def _without(stored: bytes, attrs: Mapping[str, list[RemovedAttr]]) -> bytes:
    """A snapshot without what it shows of attributes; the same bytes if it shows nothing of them."""
    doc = decode_doc(stored)
    names = doc.values.keys() | {name.removesuffix(CONFIDENCE) for name in doc.literals}
    gone = {name for name in names & attrs.keys() if _shows(doc.values.get(name), attrs[name])}
    if not gone:
        return stored
    values = {name: value for name, value in doc.values.items() if name not in gone}
    literals = {
        name: value for name, value in doc.literals.items() if name.removesuffix(CONFIDENCE) not in gone
    }
    return encode_doc(doc._replace(values=values, literals=literals))  # terms without a value are left out


def _shows(value: object, attrs: list[RemovedAttr]) -> bool:
    """True if a value is, or has among several, one that is removed."""
    several = value if isinstance(value, list) else [value]
    return any(not attr.values or any(encode_value(one) in attr.values for one in several) for attr in attrs)


def _task_without(
    stored: bytes, etypes: Container[str], attrs: Mapping[str, Mapping[str, list[RemovedAttr]]]
) -> bytes | None:
    """A task without data-points of removed attributes; None if nothing is left of it. What can not be
    decoded stays: it can only be looked at."""
    try:
        (task,) = decode_tasks(stored)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return stored
    if task.etype in etypes:
        return None
    of_type = attrs.get(task.etype, {})
    points = [point for point in task.points if not _is_removed(point, of_type.get(point.attr, []))]
    if len(points) == len(task.points):
        return stored
    if not points and not task.ttl_tokens and not task.delete:
        return None
    task.points = points
    return encode_tasks([task])


def _is_removed(point: WirePoint, attrs: list[RemovedAttr]) -> bool:
    return any(
        not attr.history_stays and (not attr.values or encode_value(point.v) in attr.values) for attr in attrs
    )
