"""Leases: who owns which partitions."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import psutil

from dp3.store.ports.errors import LeaseRefused
from dp3.store.ports.leases import Holder, Lease, LeaseState
from dp3.store.sql.control import Control
from dp3.store.sql.parameters import from_json, to_json
from dp3.store.sql.session import Database, Row, Session

START_TOLERANCE_S = 2.0
"""The system computes a start time from the wall clock, so it may move when the clock is corrected."""


class _Held(NamedTuple):
    """A lease and its holder; `process_started`: seconds since the epoch, None if that is not known."""

    epoch: int
    worker: int
    worker_processes: int
    host: str
    process: int
    process_started: float | None
    heartbeat: int
    status: str


class Leases:
    """See `dp3.store.ports.leases.Leases`. The system is asked whether the process of a holder on the same
    host is alive. When it was started is remembered: numbers of processes are used again. All times are told
    by the clock `now_us`, which is the same for all hosts."""

    def __init__(self, database: Database, now_us: Callable[[], int], control: Control) -> None:
        self._control = control
        self._database = database
        self.now_us = now_us

    def take(self, index: int, worker_processes: int, holder: Holder, ttl_s: float) -> Lease:
        if not 0 <= index < worker_processes:
            raise ValueError(f"worker index must be from 0 to {worker_processes - 1}, got {index}")
        started, now = _started_at(holder.process), self.now_us()
        self._disconnect_dead(index, worker_processes, holder.host, now, ttl_s)
        with self._database.writing() as session:
            for held in _held(session):
                if _is_in_the_way(held, index, worker_processes):
                    _refuse_if_alive(held, index, worker_processes, holder.host, now, ttl_s)
                    session.run("leases.remove", (held.epoch,))
            self._note_processes(session, worker_processes)
            session.run("leases.fold_changes")
            row = (index, worker_processes, *holder, started, now, "starting")
            epoch: int = session.value("leases.take", row)
        return Lease(index, worker_processes, epoch)

    def _disconnect_dead(self, index: int, worker_processes: int, host: str, now: int, ttl_s: float) -> None:
        """A holder that does not live may stand still inside a transaction, and nobody gets past what that
        has locked."""
        for held in _held(self._database):
            if _is_in_the_way(held, index, worker_processes) and not _is_alive(held, host, now, ttl_s):
                self._database.value("leases.disconnect", (held.epoch,))

    def require_none(self, session: Session, host: str, ttl_s: float) -> None:
        """Raise `LeaseRefused` while a worker lives; take the leases from those that do not."""
        now = self.now_us()
        for held in _held(session):
            if _is_alive(held, host, now, ttl_s):
                raise LeaseRefused(f"{_who(held, now)}; stop all workers first")
            session.run("leases.remove", (held.epoch,))

    def _note_processes(self, session: Session, worker_processes: int) -> None:
        before = session.value("leases.last_processes")
        session.run("leases.note_processes", (worker_processes,))
        if before not in (None, worker_processes):
            reason = f"the number of worker processes changed from {before} to {worker_processes}; ask again"
            self._control.give_up(session, reason)

    def heartbeat(self, lease: Lease, status: str, numbers: Mapping[str, float] | None = None) -> None:
        now = self.now_us()
        with self._database.writing(lease) as session:
            values = {"now": now, "status": status, "epoch": lease.epoch}
            session.run("leases.heartbeat", values)
            if numbers is not None:
                session.run("leases.forget_reports")
                session.run("leases.put_report", (lease.epoch, now, to_json(dict(numbers))))

    def take_job(self, lease: Lease, name: str, ttl_s: float) -> bool:
        now = self.now_us()
        with self._database.writing(lease) as session:
            values = {"name": name, "epoch": lease.epoch, "now": now, "until": now + round(ttl_s * 1e6)}
            return bool(session.rows("leases.take_job", values))

    def release(self, lease: Lease) -> None:
        with self._database.writing() as session:
            session.run("leases.remove", (lease.epoch,))

    def all(self) -> list[LeaseState]:
        return [
            LeaseState(Lease(worker, processes, epoch), Holder(host, process), heartbeat, status)
            for epoch, worker, processes, host, process, _, heartbeat, status in self._database.rows(
                "leases.leases"
            )
        ]

    def reports(self) -> list[tuple[int, int, dict[str, float]]]:
        rows = self._database.rows("leases.reports")
        return [(worker, time, from_json(numbers)) for worker, time, numbers in rows]


def _held(database: Database | Session) -> list[_Held]:
    return [_Held(*row) for row in database.rows("leases.leases")]


def _is_in_the_way(held: _Held, index: int, worker_processes: int) -> bool:
    return held.worker == index or held.worker_processes != worker_processes


def _refuse_if_alive(
    held: _Held, index: int, worker_processes: int, host: str, now: int, ttl_s: float
) -> None:
    if not _is_alive(held, host, now, ttl_s):
        return
    if held.worker == index and held.worker_processes == worker_processes:
        advice = f"stop it first, or start a worker with another index than {index}"
    else:
        advice = f"stop all workers before starting worker {index} of {worker_processes}"
    raise LeaseRefused(
        f"{_who(held, now)}; {advice}. If it is dead, its lease ends {ttl_s:g} s after that sign"
    )


def _is_alive(held: _Held, host: str, now: int, ttl_s: float) -> bool:
    gone = held.host == host and _is_gone(held.process, held.process_started)
    return not gone and abs(_age_s(held, now)) <= ttl_s


def _age_s(held: _Held, now: int) -> float:
    return (now - held.heartbeat) / 1e6


def _who(held: _Held, now: int) -> str:
    return (
        f"worker {held.worker} of {held.worker_processes} is run by process {held.process} on "
        f"{held.host} (last sign of life {_age_s(held, now):.1f} s ago)"
    )


def _started_at(process: int) -> float | None:
    """Start of a process, in seconds since the epoch; None if that cannot be told."""
    try:
        return psutil.Process(process).create_time()
    except psutil.Error:
        return None


def _is_gone(process: int, started: float | None) -> bool:
    """The process that had this number and start time has ended (waiting for its parent counts)."""
    try:
        found = psutil.Process(process)
        if found.status() == psutil.STATUS_ZOMBIE:
            return True
        return started is not None and abs(found.create_time() - started) > START_TOLERANCE_S
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def why_lost(lease: Lease, leases: Iterable[Row]) -> str:
    """The message for a worker whose lease is not held any more; `leases` are the rows of all."""
    lost = f"worker {lease.index} of {lease.worker_processes} has lost its lease (epoch {lease.epoch})"
    for epoch, worker, processes, host, pid, *_ in leases:
        if worker == lease.index or processes != lease.worker_processes:
            taken_by = f"worker {worker} of {processes}, process {pid} on {host}"
            return f"{lost} to {taken_by} (epoch {epoch}); nothing was written, stop this process"
    return f"{lost}: it was released; nothing was written, take a new one"
