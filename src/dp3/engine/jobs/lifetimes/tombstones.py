"""Tells those who have links to a deleted entity, through the log, that it is gone."""

from dp3.engine.context import Context
from dp3.engine.jobs.job import NEVER, Work
from dp3.engine.positions import reached_by_all
from dp3.log.port import Lane
from dp3.model.wire import RemoveLinks, TombstoneDone, WireTask, encode_tasks
from dp3.store.ports.lifetimes import PendingTombstone, SweepSlice

TOMBSTONES = 300
"""Tombstones of one slice."""

TASKS = 100
"""System tasks of one slice, and so of one log entry: each reads and writes an attribute of an entity."""

FORGOTTEN = 1_000


class Sweeper:
    """Works on the tombstones of one worker's partitions.

    A tombstone's turn comes when every partition has read what was appended before the deletion: a link that
    was on its way then is known, too. Tombstones change, and others read on, with commits only.
    """

    name = "sweeping of tombstones"
    wake_at = NEVER
    watches = True
    every = 1

    def __init__(self, context: Context) -> None:
        self._state = context.store
        self._lease = context.lease

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`. Mostly there are no tombstones at all."""
        return None if self._state.lifetimes.oldest_bounds() is None else self._steps()

    def _steps(self) -> Work:
        while self._sweep_some():
            yield None

    def _sweep_some(self) -> bool:
        """Do one slice; False if there is nothing to do before others have read further."""
        reached = reached_by_all(self._state)
        slice_ = SweepSlice()
        tasks: list[WireTask] = []
        for pending in self._state.lifetimes.tombstones(self._lease, TOMBSTONES):
            tombstone = pending.tombstone
            if len(tasks) >= TASKS:
                break
            if tombstone.main <= reached[Lane.MAIN] and tombstone.derived <= reached[Lane.DERIVED]:
                self._sweep(pending, slice_, tasks)
        if not (slice_.moved or slice_.told or slice_.removed):
            return self._forget(reached[Lane.DERIVED])
        slice_.tasks = encode_tasks(tasks) if tasks else b""
        self._state.lifetimes.write_sweep(self._lease, slice_)
        return True

    def _sweep(self, pending: PendingTombstone, slice_: SweepSlice, tasks: list[WireTask]) -> None:
        of, room = pending.tombstone, TASKS - len(tasks)
        found = self._state.lifetimes.referrers(pending, room) if pending.linked else []
        for referrer in found:
            system_task = RemoveLinks(referrer.attr_name, pending.etype, of.eid, of.at, of.main, of.derived)
            tasks.append(WireTask(referrer.etype, referrer.eid, [], system_task=system_task))
        if len(found) == room:
            slice_.moved.append((pending.id, found[-1].attr, found[-1].source))
            return
        if found or pending.attr:
            slice_.told.append(pending.id)
            tasks.append(WireTask(pending.etype, of.eid, [], system_task=TombstoneDone(of.at)))
        else:
            slice_.removed.append(pending.id)

    def _forget(self, derived: int) -> bool:
        return self._state.lifetimes.forget_tombstones(self._lease, derived, FORGOTTEN) == FORGOTTEN
