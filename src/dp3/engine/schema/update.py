"""Removing, once confirmed, what a new model leaves without meaning."""

import platform
from collections.abc import Callable, Sequence

from dp3.engine.heartbeat import LEASE_TTL_S
from dp3.engine.ingest.outbox import OutboxDrainer
from dp3.engine.schema.forgetting import forget
from dp3.log.port import Lane, Log
from dp3.model.schema import Change, Loss
from dp3.store.ports.leases import Lease
from dp3.store.ports.models import Removal, RemovedAttr
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
    outbox = OutboxDrainer(log, state, EVERYTHING)
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
