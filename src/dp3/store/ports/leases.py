"""Who owns which partitions, and what workers report of themselves."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Lease(NamedTuple):
    index: int  # type: ignore[assignment]  # hides tuple.index, which means nothing for a lease
    worker_processes: int
    epoch: int


class LeaseState(NamedTuple):
    """`status` is `starting`, `working`, or a sentence that says why the worker is not well."""

    lease: Lease
    host: str
    pid: int
    heartbeat: int
    status: str


class WorkerReport(NamedTuple):
    """What a worker says of itself: numbers since it started, by name."""

    worker: int
    time: int
    numbers: dict[str, float]


class Leases(Protocol):
    """Who owns which partitions, and what workers report of themselves."""

    def take(self, index: int, worker_processes: int, host: str, pid: int, ttl_s: float) -> Lease:
        """Become the owner of the partitions p ≡ index (mod worker_processes). Raises `LeaseRefused`.
        A holder on this host whose process is gone, or with a heartbeat older than `ttl_s`, is not alive.
        With another `worker_processes` than before, messages that still wait are given up: their receivers
        are not the same any more."""
        ...

    def heartbeat(self, lease: Lease, status: str, numbers: Mapping[str, float] | None = None) -> None:
        """Say that the worker is alive, with what it reports of itself. Raises `LeaseLost`."""
        ...

    def release(self, lease: Lease) -> None: ...

    def all(self) -> list[LeaseState]: ...

    def take_job(self, lease: Lease, name: str, ttl_s: float) -> bool:
        """Take or keep a job that only one worker does at a time, for so long; False if another one has it.
        Raises `LeaseLost`."""
        ...

    def reports(self) -> list[WorkerReport]:
        """The latest report of each worker that has a lease."""
        ...
