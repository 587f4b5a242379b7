"""How far periodic hooks are."""

from typing import Any

import msgspec

from dp3.clock import Clock
from dp3.sqlite import load_statements, run_for_rows
from dp3.store.port import Lease
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.control import Control
from dp3.store.sqlite.counts import CountWriter
from dp3.store.sqlite.leases import Leases
from dp3.store.sqlite.letters import LetterWriter
from dp3.store.sqlite.streams import StreamWriter
from dp3.store.updates import NamedCycle, UpdateBatch, UpdateCycle, UpdateGroup, UpdateProgress

_identities = msgspec.json.Decoder(list[tuple[int, str]]).decode


class Updates:
    """See the methods of the same names in `UpdateStore`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        leases: Leases,
        letters: LetterWriter,
        counts: CountWriter,
        control: Control,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._leases = leases
        self._letters = letters
        self._counts = counts
        self._control = control
        self._streams = StreamWriter(clock)
        self._sql = load_statements("dp3.store.sqlite", "updates.sql")

    def progress(self, group: UpdateGroup) -> dict[int, UpdateProgress]:
        with self._readers.state() as state:
            rows = map(UpdateProgress._make, state.execute(self._sql["progress"], group))
            return {row.partition: row._replace(open=bool(row.open)) for row in rows}

    def write(self, lease: Lease, batch: UpdateBatch) -> None:
        self._writer.wait_for_room()
        with self._writer.transaction() as connection:
            self._leases.check(connection, lease)
            run_for_rows(connection, self._sql["put_progress"], [(*batch.group, *row) for row in batch.rows])
            cycles = ((*cycle.group, *cycle[1:]) for cycle in batch.cycles)
            connection.executemany(self._sql["add_to_cycle"], cycles)
            for tasks in batch.tasks:
                self._streams.add(connection, lease, batch.stream, tasks)
            self._letters.add(connection, batch.dead_letters)
            self._counts.write(connection, batch.counters, batch.hooks)
            if batch.control is not None:
                self._control.note(connection, batch.control)

    def count_between(self, etype: int, after: int, end: int) -> int:
        with self._readers.state() as state:
            count: int = state.execute(self._sql["count_between"], (after, end, etype)).get
            return count

    def entities_between(self, etype: int, after: int, end: int, limit: int) -> list[tuple[int, str]]:
        with self._readers.state() as state:
            text: str = state.execute(self._sql["entities_between"], (after, end, etype, limit)).get
        return _identities(text)

    def cycles(self, limit: int) -> list[NamedCycle]:
        with self._readers.state() as state:
            return [_cycle(row) for row in state.execute(self._sql["cycles"], (limit,))]

    def forget_cycles(self, lease: Lease, keep: int) -> None:
        self._writer.wait_for_room()
        with self._writer.transaction() as connection:
            self._leases.check(connection, lease)
            connection.execute(self._sql["forget_cycles"], (keep,))


def _cycle(row: tuple[Any, ...]) -> NamedCycle:
    name, kind, etype, period, *rest, finished = row
    group = UpdateGroup._make((kind, etype, period))
    return NamedCycle(name, UpdateCycle._make((group, *rest, bool(finished))))
