"""Progress with the batches of periodic hooks."""

from typing import Any

from dp3.store.ports.leases import Lease
from dp3.store.ports.updates import UpdateBatch, UpdateCycle, UpdateGroup, UpdateProgress
from dp3.store.sql.batches import OutboxWriter
from dp3.store.sql.control import Control
from dp3.store.sql.counters import CounterWriter
from dp3.store.sql.dead_letters import DeadLetterWriter
from dp3.store.sql.session import Database


class Updates:
    """See `dp3.store.ports.updates.Updates`."""

    def __init__(
        self,
        database: Database,
        dead_letters: DeadLetterWriter,
        counters: CounterWriter,
        control: Control,
        outbox: OutboxWriter,
    ) -> None:
        self._database = database
        self._dead_letters = dead_letters
        self._counters = counters
        self._control = control
        self._outbox = outbox

    def progress(self, group: UpdateGroup) -> dict[int, UpdateProgress]:
        rows = map(UpdateProgress._make, self._database.rows("updates.progress", group))
        return {row.partition: row._replace(open=bool(row.open)) for row in rows}

    def write(self, lease: Lease, batch: UpdateBatch) -> None:
        with self._database.owned(lease) as session:
            rows = [(*batch.group, *row[:-2], int(row.open), row.tries) for row in batch.rows]
            session.bulk("updates.put_progress", rows)
            cycles = ((*cycle.group, *cycle[1:-1], int(cycle.finished)) for cycle in batch.cycles)
            session.each("updates.add_to_cycle", cycles)
            for tasks in batch.tasks:
                self._outbox.add(session, lease, batch.stream, tasks)
            self._dead_letters.add(session, batch.dead_letters)
            self._counters.write(session, batch.counters, batch.hooks)
            if batch.control is not None:
                self._control.note(session, batch.control)

    def cycles(self, limit: int) -> list[tuple[str, UpdateCycle]]:
        return [_cycle(row) for row in self._database.rows("updates.cycles", (limit,))]

    def forget_cycles(self, lease: Lease, keep: int) -> None:
        with self._database.owned(lease) as session:
            session.run("updates.forget_cycles", (keep,))


def _cycle(row: tuple[Any, ...]) -> tuple[str, UpdateCycle]:
    name, kind, etype, period, *rest, finished = row
    group = UpdateGroup._make((kind, etype, period))
    return name, UpdateCycle._make((group, *rest, bool(finished)))
