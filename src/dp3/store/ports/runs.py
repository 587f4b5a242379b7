"""Runs of snapshot creation and how far they are."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from dp3.store.ports.leases import Lease


class Phase(StrEnum):
    """Phases of a run; all workers complete one before any begins the next."""

    INIT = "init"
    WORK = "work"
    FINALIZE = "finalize"
    CLOSED = "closed"


GETS_MORE = "gets_more"
"""Key of a closed run's `detail`: the entity types to which hooks may give values that the model does not
have; missing if there are none."""


class Run(NamedTuple):
    """One pass of snapshot creation. `time` is its moment for all values. `fingerprint` stands for model and
    hooks; `workers` is the number of worker processes. `status` is "", "complete" or "partial: why"."""

    id: int
    time: int
    phase: Phase
    fingerprint: str
    workers: int
    started: int
    updated: int
    status: str
    detail: dict[str, Any]


class WorkerRun(NamedTuple):
    """Progress of one worker in a run: the phase it has completed ("" if none), where it is in its work
    (JSON-friendly, means nothing to the state), counts of entities, of snapshots `written` and of `failed`
    ones, and when this was last `updated` (µs)."""

    run: int
    worker: int
    done: str
    checkpoint: dict[str, Any]
    entities: int
    written: int
    failed: int
    updated: int


class Runs(Protocol):
    """Runs of snapshot creation and how far they are."""

    def begin(self, time: int, fingerprint: str, workers: int) -> Run | None:
        """Open a run, or None while another one is open or if one of this or a later time has been (so of
        workers that fire at the same tick one gets it). Ids grow with time, also in a state that was replaced
        by an older copy: tasks of hooks go to the log under them. Raises `StoreFull`."""
        ...

    def open(self) -> Run | None:
        """The run that is not closed."""
        ...

    def last(self, limit: int, before: int | None = None) -> list[Run]:
        """The newest runs, newest first, of those with an id < `before`."""
        ...

    def begun(self, first: int, last: int, skip: int, limit: int, newest_first: bool) -> list[Run]:
        """Runs that began between two moments (µs, both inclusive)."""
        ...

    def workers(self, run: int) -> list[WorkerRun]:
        """The progress of all workers that have begun with a run, by index."""
        ...

    def advance(
        self, run: int, phase: Phase, status: str, detail: Mapping[str, Any], void: bool = False
    ) -> None:
        """Go to the next phase; to CLOSED with a status. `detail` is added to what the run has. With `void`
        it counts as having completed no partition. Nothing happens if the run is in that or a later phase
        already. Raises `ValueError` when there is no such run, `StoreFull`."""
        ...

    def put_graph(self, lease: Lease, run: int, graph: bytes) -> None:
        """Keep which entities are linked in an open run (opaque, not empty), until it is closed. The first
        one that is complete counts, whoever it is from. Raises `LeaseLost`, `StoreFull`."""
        ...

    def graph(self, run: int) -> bytes | None:
        """The one that counts; None if there is none yet."""
        ...

    def watermarks(self) -> dict[tuple[int, int], int]:
        """(partition, lane) → log offset up to which the latest complete work on the partition has seen the
        data; empty for partitions never worked on. Written by `Snapshots.write` with its last slice, but
        only before FINALIZE: nobody waited for what came later."""
        ...

    def between(self, first: int, last: int) -> list[Run]:
        """Closed runs with first ≤ time ≤ last, oldest first."""
        ...

    def covered(self, entity: int, runs: Sequence[int]) -> set[int]:
        """The given runs in which the entity's partition was completed, the entity is not missing and its
        type had snapshots."""
        ...
