"""The program under test, driven: data is sent, runs are asked for, what it does by itself is waited for."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dp3.bench.application import EVERY_SECOND, Application
from dp3.bench.devices import Devices, parts
from dp3.bench.load import send_parts
from dp3.bench.report import BenchFailed, Say, expect
from dp3.bench.server import Server, cpu_s
from dp3.bench.workload import ETYPE

LONGEST_S = 1_800
POLL_S = 0.01
RUN_POLL_S = 0.02
POLLS_PER_RUN = 50
"""A run is looked at so often, about, so that looking costs the machine little."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """Figures of a run: entities looked at, rows written, seconds from its beginning to its end, and seconds
    that the workers computed from the request for it until its end was seen."""

    entities: int
    written: int
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.entities / self.seconds

    @property
    def cpu_us(self) -> float:
        """The time (µs) that the workers computed for one entity."""
        return self.cpu_s / self.entities * 1e6


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
        time.sleep(max(RUN_POLL_S, waited / POLLS_PER_RUN))
    if record["status"] != "complete" or record["failed"]:
        raise BenchFailed(f"the snapshot run is {record['status']}, {record['failed']} entities failed")
    return RunFigures(
        record["entities"], record["written"], _seconds(record), _worker_cpu_s(server) - cpu_before
    )


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
    return sum(map(cpu_s, workers))


CLIENTS = 2


def fill(server: Server, devices: Devices, count: int, say: Say) -> int:
    """Send the data of so many devices and wait until it is stored; returns the number of data-points."""
    return fill_with(server, [devices], count, say)


def fill_with(server: Server, rounds: Sequence[Devices], count: int, say: Say, etype: str = ETYPE) -> int:
    """Send several rounds of data about the same entities, one after the other."""
    say(f"sending the data of {count:,} {etype}s")
    accepted = 0
    for devices in rounds:
        accepted += send_parts(server.url, parts(devices, range(count), CLIENTS)).accepted
    server.wait_drained()
    expect(f"{etype}s", server.get("/entities")[etype]["eid_estimate_count"], count)
    return accepted


class Watch:
    """Watches a worker that does one job. `rss_mb`: the most memory that it had when it was looked at."""

    def __init__(self, server: Server) -> None:
        self._worker = server.processes()["worker 0"]
        self.rss_mb = 0.0
        self._computed_before = cpu_s(self._worker)
        self._look()

    def until(
        self, what: str, is_so: Callable[[], bool], limit_s: float = LONGEST_S, every_s: float = POLL_S
    ) -> float:
        """Wait until something is so, looking `every_s`; the time (s since 1970) when it was. Raises
        `BenchFailed`."""
        end = time.monotonic() + limit_s
        while not is_so():
            if time.monotonic() > end:
                raise BenchFailed(f"{what}: not so within {limit_s:.0f} s")
            self._look()
            time.sleep(every_s)
        now = time.time()
        self._look()
        return now

    def cpu_s(self) -> float:
        """Seconds that the worker has computed since it is watched; others change them little."""
        return round(cpu_s(self._worker) - self._computed_before, 3)

    def _look(self) -> None:
        self.rss_mb = max(self.rss_mb, round(self._worker.memory_info().rss / 2**20, 1))


def pack_all(server: Server, application: Application, intervals: int) -> int:
    """Have all intervals of a program packed, which are so many; returns the number of rows.

    The program is started again for it, with `application`, and goes on packing. Raises `BenchFailed`."""
    server.restart(application.with_packing(EVERY_SECOND))
    with server.engine.state(server.data) as state:
        Watch(server).until("all is packed", lambda: not state.has_fresh())
        points, rows = state.history()
    expect("packed intervals", points, intervals)
    return rows


Record = dict[str, Any]


def begun_s(record: Record) -> float:
    """The begin of a job, in seconds since 1970."""
    return datetime.fromisoformat(record["begun"]).timestamp()


def took_s(record: Record) -> float:
    """From the begin of a job to the last that it did."""
    return datetime.fromisoformat(record["updated"]).timestamp() - begun_s(record)


def first_of(records: list[Record]) -> Record:
    """The record of the job that began first."""
    return min(records, key=begun_s)
