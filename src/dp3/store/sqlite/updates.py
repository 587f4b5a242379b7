"""Progress with the batches of periodic hooks."""

from typing import Any

from dp3.sqlite import load_statements, run_for_rows
from dp3.store.ports.leases import Lease
from dp3.store.ports.updates import UpdateBatch, UpdateCycle, UpdateGroup, UpdateProgress
from dp3.store.sqlite.batches import OutboxWriter
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.control import Control
from dp3.store.sqlite.counters import CounterWriter
from dp3.store.sqlite.dead_letters import DeadLetterWriter


class Updates:
    """See `dp3.store.ports.updates.Updates`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        dead_letters: DeadLetterWriter,
        counters: CounterWriter,
        control: Control,
        outbox: OutboxWriter,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._dead_letters = dead_letters
        self._counters = counters
        self._control = control
        self._outbox = outbox
        self._sql = load_statements("dp3.store.sqlite", "updates.sql")

    def progress(self, group: UpdateGroup) -> dict[int, UpdateProgress]:
        rows = map(UpdateProgress._make, self._readers.rows(self._sql["progress"], group))
        return {row.partition: row._replace(open=bool(row.open)) for row in rows}

    def write(self, lease: Lease, batch: UpdateBatch) -> None:
        with self._writer.owned(lease) as connection:
            run_for_rows(connection, self._sql["put_progress"], [(*batch.group, *row) for row in batch.rows])
            cycles = ((*cycle.group, *cycle[1:]) for cycle in batch.cycles)
            connection.executemany(self._sql["add_to_cycle"], cycles)
            for tasks in batch.tasks:
                self._outbox.add(connection, lease, batch.stream, tasks)
            self._dead_letters.add(connection, batch.dead_letters)
            self._counters.write(connection, batch.counters, batch.hooks)
            if batch.control is not None:
                self._control.note(connection, batch.control)

    def cycles(self, limit: int) -> list[tuple[str, UpdateCycle]]:
        return [_cycle(row) for row in self._readers.rows(self._sql["cycles"], (limit,))]

    def forget_cycles(self, lease: Lease, keep: int) -> None:
        with self._writer.owned(lease) as connection:
            connection.execute(self._sql["forget_cycles"], (keep,))


def _cycle(row: tuple[Any, ...]) -> tuple[str, UpdateCycle]:
    name, kind, etype, period, *rest, finished = row
    group = UpdateGroup._make((kind, etype, period))
    return name, UpdateCycle._make((group, *rest, bool(finished)))
