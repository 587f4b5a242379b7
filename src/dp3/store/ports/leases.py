"""Leases: who owns which partitions, and what workers report of themselves."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

ENTITY_SHIFT = 40
"""Keys of entities are `partition << ENTITY_SHIFT | running number`."""


class Lease(NamedTuple):
    """The right of one worker to change the entities of its partitions. `epoch` is higher than that of every
    lease before; a commit under an older one is refused."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which means nothing for a lease
    worker_processes: int
    epoch: int

    def partitions(self, count: int) -> range:
        """The own ones of `count` partitions, ascending."""
        return range(self.index, count, self.worker_processes)

    def owns(self, partition: int) -> bool:
        """True for an own partition."""
        return partition % self.worker_processes == self.index

    def owns_entity(self, key: int) -> bool:
        """True if the entity with this key is of an own partition."""
        return (key >> ENTITY_SHIFT) % self.worker_processes == self.index


class Holder(NamedTuple):
    """A process that asks for a lease: the host, by name, and the number that it gave the process."""

    host: str
    process: int


class LeaseState(NamedTuple):
    """A lease and its holder, whose last sign of life was at `heartbeat` (µs). `status` is `starting`,
    `working`, or a sentence that says why the worker is not well."""

    lease: Lease
    holder: Holder
    heartbeat: int
    status: str


class Leases(Protocol):
    """Ownership of partitions, and reports of workers. Changes raise `StoreFull` when the
    disk refuses."""

    def now_us(self) -> int:
        """The time by which signs of life are told, µs: that of the host, or of the server which all hosts
        use."""
        ...

    def take(self, index: int, worker_processes: int, holder: Holder, ttl_s: float) -> Lease:
        """Become the owner of the partitions p ≡ index (mod worker_processes); called when a worker starts.

        Raises `LeaseRefused` while another holder lives that has this index or another `worker_processes`;
        one on the same host whose process is gone, or with a heartbeat older than `ttl_s`, does not live, and
        what it may still have begun is ended.
        With another `worker_processes` than before, messages that still wait are given up: their receivers
        are not the same any more."""
        ...

    def heartbeat(self, lease: Lease, status: str, numbers: Mapping[str, float] | None = None) -> None:
        """Say that the worker is alive, every few seconds, with what it reports of itself: numbers since it
        started, by name. Raises `LeaseLost`."""
        ...

    def release(self, lease: Lease) -> None:
        """Give the lease back; called last by a worker that stops. Nothing happens if it was lost."""
        ...

    def all(self) -> list[LeaseState]:
        """All leases by index, also of workers that died without a word."""
        ...

    def take_job(self, lease: Lease, name: str, ttl_s: float) -> bool:
        """Take or keep a job that only one worker does at a time, for `ttl_s`; False if another one has it.
        Raises `LeaseLost`."""
        ...

    def reports(self) -> list[tuple[int, int, dict[str, float]]]:
        """(index, time in µs, numbers): the latest report of each worker that has a lease, by index."""
        ...
