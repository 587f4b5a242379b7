"""Snapshot runs of the program under test."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dp3.bench.failure import BenchFailed
from dp3.bench.server import Server

LONGEST_S = 1_800
POLL_S = 0.02
POLLS_PER_RUN = 50
"""A run is looked at so often, about, so that looking costs the machine little."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What a run did: entities looked at, rows written, seconds from its beginning to its end, and seconds
    that the workers computed from the request for it until its end was seen."""

    entities: int
    written: int
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.entities / self.seconds


def run_snapshots(server: Server) -> RunFigures:
    """Ask for a run and wait for its end.

    Raises `BenchFailed` if it does not end, is not complete, or fails for an entity."""
    before, cpu_before = _newest(server), _worker_cpu_s(server)
    server.post("/control/make_snapshots")
    started = time.monotonic()
    while (record := _newest(server)) is None or _is_open(record) or _is_same(record, before):
        waited = time.monotonic() - started
        if waited > LONGEST_S:
            raise BenchFailed(f"the snapshot run did not end within {LONGEST_S} s: {record}")
        time.sleep(max(POLL_S, waited / POLLS_PER_RUN))
    if record["status"] != "complete" or record["failed"]:
        raise BenchFailed(f"the snapshot run is {record['status']}, {record['failed']} entities failed")
    return RunFigures(
        record["entities"], record["written"], _seconds(record), _worker_cpu_s(server) - cpu_before
    )


def expect(what: str, found: object, expected: object) -> None:
    """Raise `BenchFailed` if what was found is not what should have been."""
    if found != expected:
        raise BenchFailed(f"{what}: {found}, expected {expected}")


def _newest(server: Server) -> dict[str, Any] | None:
    records: list[dict[str, Any]] = server.get("/telemetry/metadata?limit=1&sort=newest")
    return records[0] if records else None


def _is_open(record: dict[str, Any]) -> bool:
    return bool(record["phase"] != "closed")


def _is_same(record: dict[str, Any], before: dict[str, Any] | None) -> bool:
    return before is not None and record["_id"] == before["_id"]


def _seconds(record: dict[str, Any]) -> float:
    first, last = (datetime.fromisoformat(record[key]) for key in ("task_creation_start", "#last_update"))
    return (last - first).total_seconds()


def _worker_cpu_s(server: Server) -> float:
    workers = (process for role, process in server.processes().items() if role.startswith("worker"))
    return sum((times := process.cpu_times()).user + times.system for process in workers)
