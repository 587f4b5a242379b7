"""Opening the state of an application, making it the first time."""

from collections.abc import Callable
from pathlib import Path

import apsw

from dp3.clock import Clock
from dp3.model.partition import DEFAULT_PARTITIONS
from dp3.sqlite import (
    Checkpointer,
    FairLock,
    Statements,
    check_format,
    connect,
    load_statements,
    stamp_format,
    sync_path,
    transaction,
)
from dp3.sqlite.connection import MIB
from dp3.store.ports.counters import NO_EVENTS, EventGroups
from dp3.store.ports.state import State
from dp3.store.sqlite.batches import Batches
from dp3.store.sqlite.cleaning import SnapshotCleaning
from dp3.store.sqlite.connections import Changes, Readers, Writer
from dp3.store.sqlite.control import Control
from dp3.store.sqlite.counters import Counters, CounterWriter
from dp3.store.sqlite.dead_letters import DeadLetters, DeadLetterWriter
from dp3.store.sqlite.entities import Entities
from dp3.store.sqlite.garbage import Garbage
from dp3.store.sqlite.history import History
from dp3.store.sqlite.leases import Leases
from dp3.store.sqlite.lifetimes import Lifetimes
from dp3.store.sqlite.links import Links
from dp3.store.sqlite.models import Models
from dp3.store.sqlite.names import Names
from dp3.store.sqlite.outbox import Outbox
from dp3.store.sqlite.queries import Queries
from dp3.store.sqlite.retention import Retention
from dp3.store.sqlite.runs import Runs
from dp3.store.sqlite.sizes import Sizes
from dp3.store.sqlite.snapshots import Snapshots
from dp3.store.sqlite.updates import Updates

APPLICATION_ID = int.from_bytes(b"DP3s", "big")
FORMAT = 2

CACHE_MIB = 32
PAGE_SIZE = 4096
"""A commit of scattered rows writes about a page per row: 2 KiB, 4 KiB, 8 KiB pages took 27, 26, 40 ms for
4 000 rows in a table of 540 000."""

WAL_LIMIT_MIB = 32
"""Writers stand still while the log is emptied at half of this: 64 MiB took 75 to 100 ms, 16 MiB take 30."""

QUERY_LIMIT_S = 5.0
"""A reader that stays longer would keep the write-ahead log from shrinking."""

LANES = (0, 1)
"""Main and derived, the numbers that the log gives its lanes; log and state do not know each other."""


def open_state(
    directory: Path,
    clock: Clock,
    *,
    partitions: int = DEFAULT_PARTITIONS,
    max_dead_letters: int = 100_000,
    cache_mib: int = CACHE_MIB,
    checkpoint: bool = False,
    wal_limit_mib: float = WAL_LIMIT_MIB,
    query_limit_s: float = QUERY_LIMIT_S,
    event_groups: EventGroups = NO_EVENTS,
) -> State:
    """Open the state in `directory` (`state.db`; made if missing, also by several processes at once).

    `partitions` counts when the state is made and is read from it afterwards. `cache_mib` is the page cache
    of the writing connection. `checkpoint`: keep the write-ahead log small from this process, below
    `wal_limit_mib` plus one commit; at least one process of an application (its workers) must do so.
    `query_limit_s`: how long a question about snapshots may take. `event_groups`: which events are counted.

    Raises `FormatError` when the file is of another program or a newer version.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "state.db"
    lock = FairLock(directory / "state.lock")
    checkpointer = None
    try:
        found = _prepare(path, lock, partitions)
        if checkpoint:
            checkpointer = Checkpointer(wal_limit=round(wal_limit_mib * MIB))
            checkpointer.watch(path, lock)
        return _state(
            path, lock, checkpointer, found, clock, max_dead_letters, cache_mib, query_limit_s, event_groups
        )
    except BaseException:
        if checkpointer:
            checkpointer.close()
        lock.close()
        raise


def _prepare(path: Path, lock: FairLock, partitions: int) -> int:
    """Make the file if it is new, and what an older one lacks; returns the number of partitions."""
    sql = load_statements("dp3.store.sqlite", "schema.sql")
    with lock.held():
        connection = connect(path, synchronous="FULL", page_size=PAGE_SIZE)
        try:
            before = check_format(connection, APPLICATION_ID, FORMAT, "the state")
            if before < FORMAT:
                with transaction(connection):
                    if before == 0:
                        _create(connection, sql, partitions)
                    for newer in range(max(before, 1), FORMAT):
                        connection.execute(sql[f"format_{newer + 1}"])
                    stamp_format(connection, APPLICATION_ID, FORMAT)
                sync_path(path.parent)
            found: int = connection.execute(sql["partitions"]).get
            return found
        finally:
            connection.close()


def _create(connection: apsw.Connection, sql: Statements, partitions: int) -> None:
    if partitions < 1:
        raise ValueError(f"partitions must be at least 1, got {partitions}")
    connection.execute(sql["schema"])
    connection.execute(sql["set_partitions"], (partitions,))
    lanes = [(lane, partition) for lane in LANES for partition in range(partitions)]
    connection.executemany(sql["add_position"], lanes)


def _state(
    path: Path,
    lock: FairLock,
    checkpointer: Checkpointer | None,
    partitions: int,
    clock: Clock,
    max_dead_letters: int,
    cache_mib: int,
    query_limit_s: float,
    event_groups: EventGroups,
) -> State:
    writer = Writer(path, lock, cache_mib=cache_mib, checkpointer=checkpointer)
    readers, changes = Readers(path), Changes(path)
    names, control = Names(writer, readers), Control(writer, readers, clock)
    leases = Leases(writer, readers, clock, control)
    garbage = Garbage(leases, clock)
    dead_letters, counters = DeadLetterWriter(max_dead_letters), CounterWriter(clock, event_groups)
    runs = Runs(writer, readers, clock, leases)

    def close() -> None:
        """Give back connections, files and the checkpointing thread; calling it again does nothing."""
        if checkpointer:
            checkpointer.close()
        readers.close()
        changes.close()
        with lock.held():
            writer.close()
        lock.close()

    return State(
        partitions=partitions,
        names=names,
        leases=leases,
        batches=Batches(writer, readers, leases, clock, dead_letters, counters),
        outbox=Outbox(readers),
        changes=changes,
        entities=Entities(readers, garbage, partitions),
        dead_letters=DeadLetters(readers),
        counters=Counters(readers, clock, event_groups),
        sizes=Sizes(readers, leases, path),
        control=control,
        runs=runs,
        snapshots=Snapshots(writer, readers, leases, runs, dead_letters, counters, partitions),
        cleaning=SnapshotCleaning(readers, leases),
        links=Links(readers),
        updates=Updates(readers, leases, dead_letters, counters, control, clock),
        lifetimes=Lifetimes(readers, leases, clock),
        history=History(readers, leases),
        retention=Retention(readers, leases, counters, clock),
        models=Models(writer, readers, leases, names, garbage),
        queries=Queries(readers, query_limit_s),
        close=_once(close),
    )


def _once(close: Callable[[], None]) -> Callable[[], None]:
    closed = False

    def close_once() -> None:
        nonlocal closed
        if not closed:
            closed = True
            close()

    return close_once
