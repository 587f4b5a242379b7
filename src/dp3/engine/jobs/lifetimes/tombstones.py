"""Tells those who have links to a deleted entity, through the log, that it is gone."""

from dp3.engine.positions import reached_by_all
from dp3.log.port import Lane
from dp3.model.wire import RemoveLinks, TombstoneDone, WireTask, encode_tasks
from dp3.store.ports.leases import Lease
from dp3.store.ports.lifetimes import PendingTombstone, SweepSlice
from dp3.store.ports.state import State

GRAVES = 300
"""Tombstones of one slice."""

TASKS = 100
"""Chores of one slice, and so of one log entry: each reads and writes an attribute of an entity."""

FORGOTTEN = 1_000


class Sweeper:
    """Works on the tombstones of one worker's partitions.

    A tombstone's turn comes when every partition has read what was appended before the deletion: a link that
    was on its way then is known, too.
    """

    def __init__(self, state: State, lease: Lease) -> None:
        self._state = state
        self._lease = lease

    def step(self) -> bool:
        """Do one slice; False if there is nothing to do (before others have read further)."""
        reached = reached_by_all(self._state)
        slice_ = SweepSlice()
        tasks: list[WireTask] = []
        for grave in self._state.lifetimes.tombstones(self._lease, GRAVES):
            stone = grave.tombstone
            if len(tasks) >= TASKS:
                break
            if stone.main <= reached[Lane.MAIN] and stone.derived <= reached[Lane.DERIVED]:
                self._sweep(grave, slice_, tasks)
        if not (slice_.moved or slice_.told or slice_.removed):
            return self._forget(reached[Lane.DERIVED])
        slice_.tasks = encode_tasks(tasks) if tasks else b""
        self._state.lifetimes.write_sweep(self._lease, slice_)
        return True

    def _sweep(self, grave: PendingTombstone, slice_: SweepSlice, tasks: list[WireTask]) -> None:
        stone, room = grave.tombstone, TASKS - len(tasks)
        found = self._state.lifetimes.referrers(grave, room) if grave.linked else []
        for who in found:
            system_task = RemoveLinks(
                who.attr_name, grave.etype, stone.eid, stone.at, stone.main, stone.derived
            )
            tasks.append(WireTask(who.etype, who.eid, [], system_task=system_task))
        if len(found) == room:
            slice_.moved.append((grave.id, found[-1].attr, found[-1].source))
            return
        if found or grave.attr:
            slice_.told.append(grave.id)
            tasks.append(WireTask(grave.etype, stone.eid, [], system_task=TombstoneDone(stone.at)))
        else:
            slice_.removed.append(grave.id)

    def _forget(self, derived: int) -> bool:
        return self._state.lifetimes.forget_tombstones(self._lease, derived, FORGOTTEN) == FORGOTTEN
