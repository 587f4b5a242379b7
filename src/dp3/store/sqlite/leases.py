"""Leases: who owns which partitions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import apsw

from dp3.clock import Clock
from dp3.sqlite import load_statements
from dp3.store.ports.errors import LeaseLost, LeaseRefused
from dp3.store.ports.leases import Lease, LeaseState, WorkerReport
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.control import Control
from dp3.store.sqlite.json_columns import from_json, to_json
from dp3.store.sqlite.processes import is_gone, started_at


class _Row(NamedTuple):
    epoch: int
    worker: int
    worker_processes: int
    host: str
    pid: int
    process_started: float | None
    heartbeat: int
    status: str


class Leases:
    """See the methods of the same names in `Store`."""

    def __init__(self, writer: Writer, readers: Readers, clock: Clock, control: Control) -> None:
        self._control = control
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._sql = load_statements("dp3.store.sqlite", "leases.sql")

    def take(self, index: int, worker_processes: int, host: str, pid: int, ttl_s: float) -> Lease:
        if not 0 <= index < worker_processes:
            raise ValueError(f"worker index must be from 0 to {worker_processes - 1}, got {index}")
        started = started_at(pid)
        with self._writer.transaction() as connection:
            for holder in self._rows(connection):
                if holder.worker == index or holder.worker_processes != worker_processes:
                    self._refuse_if_alive(holder, index, worker_processes, host, ttl_s)
                    connection.execute(self._sql["remove"], (holder.epoch,))
            self._note_processes(connection, worker_processes)
            row = (index, worker_processes, host, pid, started, self._clock.now_us(), "starting")
            epoch: int = connection.execute(self._sql["take"], row).get
        return Lease(index, worker_processes, epoch)

    def require_none(self, connection: apsw.Connection, host: str, ttl_s: float) -> None:
        """Raise `LeaseRefused` while a worker lives; take the leases from those that do not."""
        for holder in self._rows(connection):
            if self._is_alive(holder, host, ttl_s):
                raise LeaseRefused(f"{self._who(holder)}; stop all workers first")
            connection.execute(self._sql["remove"], (holder.epoch,))

    def _note_processes(self, connection: apsw.Connection, worker_processes: int) -> None:
        before = connection.execute(self._sql["last_processes"]).get
        connection.execute(self._sql["note_processes"], (worker_processes,))
        if before not in (None, worker_processes):
            reason = f"the number of worker processes changed from {before} to {worker_processes}; ask again"
            self._control.give_up(connection, reason)

    def heartbeat(self, lease: Lease, status: str, numbers: Mapping[str, float] | None = None) -> None:
        with self._writer.transaction() as connection:
            self.check(connection, lease)
            now = self._clock.now_us()
            values = {"now": now, "status": status, "epoch": lease.epoch}
            connection.execute(self._sql["heartbeat"], values)
            if numbers is not None:
                connection.execute(self._sql["forget_reports"])
                connection.execute(self._sql["put_report"], (lease.epoch, now, to_json(dict(numbers))))

    def take_job(self, lease: Lease, name: str, ttl_s: float) -> bool:
        with self._writer.transaction() as connection:
            self.check(connection, lease)
            now = self._clock.now_us()
            values = {"name": name, "epoch": lease.epoch, "now": now, "until": now + round(ttl_s * 1e6)}
            return bool(connection.execute(self._sql["take_job"], values).fetchall())

    def release(self, lease: Lease) -> None:
        with self._writer.transaction() as connection:
            connection.execute(self._sql["remove"], (lease.epoch,))

    def all(self) -> list[LeaseState]:
        with self._readers.state() as state:
            return [
                LeaseState(Lease(row.worker, row.worker_processes, row.epoch), *row[3:5], *row[6:])
                for row in self._rows(state)
            ]

    def reports(self) -> list[WorkerReport]:
        with self._readers.state() as state:
            rows: list[Any] = state.execute(self._sql["reports"]).fetchall()
        return [WorkerReport(worker, time, from_json(numbers)) for worker, time, numbers in rows]

    @contextmanager
    def owned(self, lease: Lease) -> Iterator[apsw.Connection]:
        """A transaction of the worker that holds a lease, once the write-ahead log has room. Raises
        `LeaseLost` before the first change, `StoreFull`."""
        self._writer.wait_for_room()
        with self._writer.transaction() as connection:
            self.check(connection, lease)
            yield connection

    def check(self, connection: apsw.Connection, lease: Lease) -> None:
        """Raise `LeaseLost` unless the lease is still held."""
        if connection.execute(self._sql["is_held"], (lease.epoch,)).get is None:
            raise LeaseLost(self._why_lost(connection, lease))

    def _rows(self, connection: apsw.Connection) -> list[_Row]:
        return [_Row(*row) for row in connection.execute(self._sql["leases"])]

    def _refuse_if_alive(
        self, holder: _Row, index: int, worker_processes: int, host: str, ttl_s: float
    ) -> None:
        if not self._is_alive(holder, host, ttl_s):
            return
        who = self._who(holder)
        if holder.worker == index and holder.worker_processes == worker_processes:
            advice = f"stop it first, or start a worker with another index than {index}"
        else:
            advice = f"stop all workers before starting worker {index} of {worker_processes}"
        raise LeaseRefused(f"{who}; {advice}. If it is dead, its lease ends {ttl_s:g} s after that sign")

    def _is_alive(self, holder: _Row, host: str, ttl_s: float) -> bool:
        gone = holder.host == host and is_gone(holder.pid, holder.process_started)
        return not gone and self._age_s(holder) <= ttl_s

    def _age_s(self, holder: _Row) -> float:
        return (self._clock.now_us() - holder.heartbeat) / 1e6

    def _who(self, holder: _Row) -> str:
        return (
            f"worker {holder.worker} of {holder.worker_processes} is run by process {holder.pid} on "
            f"{holder.host} (last sign of life {self._age_s(holder):.1f} s ago)"
        )

    def _why_lost(self, connection: apsw.Connection, lease: Lease) -> str:
        lost = f"worker {lease.index} of {lease.worker_processes} has lost its lease (epoch {lease.epoch})"
        for row in self._rows(connection):
            if row.worker == lease.index or row.worker_processes != lease.worker_processes:
                taken_by = f"worker {row.worker} of {row.worker_processes}, process {row.pid} on {row.host}"
                return f"{lost} to {taken_by} (epoch {row.epoch}); nothing was written, stop this process"
        return f"{lost}: it was released; nothing was written, take a new one"
