"""Limits and times of the program that tests make small, each named by its meaning.

They hold within the block; the fixture `enter` keeps them until the end of a test: `enter(run_pages(1, 1))`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

Limit = AbstractContextManager[Any]
Enter = Callable[[Limit], Any]

RUNS = "dp3.engine.jobs.snapshots"
UPDATES = "dp3.engine.jobs.updates"
STATE = "dp3.store.sql"


def constants(module: str, **values: Any) -> Limit:
    """Constants of a module."""
    changed: Limit = patch.multiple(import_module(module), **values)
    return changed


# -- snapshot runs -----------------------------------------------------------------------------------------
def short_slices() -> Limit:
    """Every slice of a job is the smallest that there is."""
    return constants("dp3.engine.jobs.job", SLICE_S=0.0)


def runs_are_retried_at_once() -> Limit:
    return constants("dp3.engine.jobs.job", RETRY_US=0)


def pack_limits(rows: int, stretches: int) -> Limit:
    """Fresh rows that are packed in one transaction, and segments in a packed row, of workers made now."""
    return constants("dp3.engine.jobs.history.packing", LARGEST_SLICE=rows, MOST_SEGMENTS=stretches)


@contextmanager
def scan_limits(behind_us: int, former_every: int, most_parts: int, most_lag_us: int) -> Iterator[None]:
    """A scan lies so far behind the clock, and at most so far behind the newest rows; it is kept for readers
    of the past every so many rows; it may have so many parts."""
    scans = "dp3.engine.jobs.history.scans"
    with (
        constants("dp3.engine.jobs.history.packing", BEHIND_US=behind_us),
        constants(
            scans,
            RECENT_US=behind_us,
            MOST_RECENT=former_every,
            FORMER_EVERY=former_every,
            MOST_PARTS=most_parts,
            MOST_LAG_US=most_lag_us,
            RETRY_US=1_000_000,
        ),
    ):
        yield


def run_pages(first: int, largest: int) -> Limit:
    """A run reads so many entities at once."""
    return constants(f"{RUNS}.loading", FIRST_PAGE=first, LARGEST_PAGE=largest)


def run_edges(count: int) -> Limit:
    """A run reads so many links at once."""
    return constants(f"{RUNS}.components", EDGES=count)


def run_rows(count: int) -> Limit:
    """A run writes at most so many rows in one transaction."""
    return constants(f"{RUNS}.writing", MOST_ROWS=count)


def run_keys(count: int) -> Limit:
    """A run writes at most so many keys of the index in one transaction."""
    return constants(f"{RUNS}.writing", MOST_KEYS=count)


def run_cleaning_rows(count: int) -> Limit:
    """A worker removes at most so many rows of old runs at once."""
    return constants(f"{RUNS}.cleaning", ROWS=count)


# -- other work of workers ---------------------------------------------------------------------------------
@contextmanager
def small_lifetime_slices() -> Iterator[None]:
    """Everything that lifetimes bring about takes many slices."""
    with (
        constants("dp3.engine.jobs.lifetimes", DUE=2, WEAK_PAGE=3, TOMBSTONES=2, TASKS=2),
        constants("dp3.engine.ingest.unlinking", PAGE=2, RELATIONS=2, MOST_REMOVALS=1),
    ):
        yield


def decoding_s(seconds: float) -> Limit:
    """A worker decodes entries of the log for so long at a time, at least one."""
    return constants("dp3.engine.ingest.reader", DECODING_S=seconds)


def update_pages(first: int, largest: int) -> Limit:
    """Periodic hooks get so many entities at once."""
    return constants(f"{UPDATES}.visits", FIRST=first, LARGEST=largest)


def creation_pages(most: int) -> Limit:
    """Creation hooks that are called again get at most so many entities at once."""
    return constants(f"{UPDATES}.visits", LARGEST=most)


def measured_pages(most: int) -> Limit:
    """Attributes are measured so many entities at once."""
    return constants("dp3.engine.jobs.sizes", LARGEST=most)


def archive_sync(replacement: Callable[[Callable[[Path], None], Path], None]) -> Limit:
    """A file of the archive is brought to the disk by this, which gets the function that did so."""
    sync = import_module("dp3.engine.jobs.archive").sync_path
    return constants("dp3.engine.jobs.archive", sync_path=lambda path: replacement(sync, path))


def impatient_lease() -> Limit:
    """A lease that another worker holds is not waited for any longer."""
    return constants("dp3.runtime.worker", PATIENCE_S=0.0)


# -- HTTP --------------------------------------------------------------------------------------------------
def listing_s(seconds: float) -> Limit:
    """A listing of snapshots may take so long."""
    return constants("dp3.reads.listings", LISTING_S=seconds)


@contextmanager
def listing_rows(count: int) -> Iterator[None]:
    """A listing of snapshots has at most so many rows."""
    with constants("dp3.reads.snapshots", MAX_ROWS=count), constants("dp3.reads.listings", MAX_ROWS=count):
        yield


def listed_runs(count: int) -> Limit:
    """At most so many runs are listed."""
    return constants("dp3.reads.telemetry", MAX_RUNS=count)


def counting_s(seconds: float) -> Limit:
    """Entities may be counted by attribute for so long."""
    return constants("dp3.reads.telemetry", COUNTING_LIMIT_S=seconds)


def backlog_age_s(seconds: float) -> Limit:
    """What is known of the backlog is believed for so long."""
    return constants("dp3.http.intake", BACKLOG_AGE_S=seconds, BACKLOG_TRUST_S=seconds)


def patience_s(seconds: float) -> Limit:
    """A request waits so long for a thread."""
    return constants("dp3.http.pools", PATIENCE_S=seconds)


def refusal_s(seconds: float) -> Limit:
    """A request for which there is no place left is refused after so long."""
    return constants("dp3.http.pools", REFUSAL_S=(seconds, seconds))


def silence_s(seconds: float) -> Limit:
    """A client may send nothing of its body for so long."""
    return constants("dp3.http.intake", SILENCE_LIMIT_S=seconds)


def body_s(seconds: float) -> Limit:
    """A body may take so long, however small it is."""
    return constants("dp3.http.intake", BODY_LIMIT_S=seconds)


def piece_bytes(count: int) -> Limit:
    """A large array is decoded so many bytes at a time."""
    return constants("dp3.http.pieces", PIECE_BYTES=count)


def slowest_bytes_per_s(rate: float) -> Limit:
    """A body may come so slowly."""
    return constants("dp3.http.intake", SLOWEST_BYTES_PER_S=rate)


@contextmanager
def connection_times(head_s: float, keep_alive_s: float, others_s: float) -> Iterator[None]:
    """A connection may take so long for the head of a request, until its next request, and for anything else
    that is waited for."""
    registry = "dp3.http.connections"
    with (
        constants(registry, HEAD_S=head_s, LOOK_EVERY_S=0.0, TELL_EVERY_S=0.0),
        constants(registry, CLOSING_S=others_s, SILENCE_LIMIT_S=others_s),
        constants("dp3.http.handshakes", HEAD_S=head_s),
        constants("dp3.http.protocol", HEAD_S=head_s, KEEP_ALIVE_S=keep_alive_s),
        constants("dp3.http.protocol", DRAIN_S=others_s, LINGER_S=others_s),
    ):
        yield


def unread_bytes(count: int) -> Limit:
    """So many bytes of answers may wait for clients that do not read them."""
    return constants("dp3.http.connections", MOST_UNREAD=count)


# -- the state ---------------------------------------------------------------------------------------------
def pending_messages(count: int) -> Limit:
    """At most so many control messages may wait."""
    return constants(f"{STATE}.control", MAX_PENDING=count)


def smallest_removals() -> Limit:
    """Old runs are removed in the smallest slices that there are."""
    return constants(f"{STATE}.snapshots", CHUNK_RUNS=1, SLICE_S=0.0)


def short_removals() -> Limit:
    """Rows of types without snapshots are removed in the shortest slices that there are."""
    return constants(f"{STATE}.snapshots", REMOVAL_S=0.0)


def removed_at_once() -> int:
    """How many entities of a type without snapshots are removed in the shortest slice."""
    count: int = import_module(f"{STATE}.snapshots").TYPE_CHUNK
    return count


@contextmanager
def long_removals() -> Iterator[None]:
    """However slow the machine is, what there is to be removed is removed in one slice."""
    with constants(f"{STATE}.garbage", SLICE_S=60.0), constants(f"{STATE}.snapshots", SLICE_S=60.0):
        yield


def few_due(count: int) -> Limit:
    """So many entities that are due count as few."""
    return constants(f"{STATE}.snapshots", FEW_DUE=count)


def most_sources(count: int) -> Limit:
    """So many sources are counted one by one."""
    return constants(f"{STATE}.counters", MAX_SOURCES=count)


@contextmanager
def small_retention_reads() -> Iterator[None]:
    """Whatever retention reads at once it reads in the smallest portions that there are."""
    history = "dp3.engine.jobs.history"
    with (
        constants(f"{history}.due", MOST_DUE=2, FIRST_NEAR=1, GROWTH=2),
        constants(f"{history}.retention", CHUNK=3, FIRST_SLICE=2, LARGEST_SLICE=2),
        constants(f"{STATE}.retention", MOST_STEPS=2),
    ):
        yield


def long_retention_slices() -> Limit:
    """A slice of retention is as large as it may be, however slow the machine is."""
    return constants("dp3.engine.jobs.history.retention", SLICE_S=1e9)
