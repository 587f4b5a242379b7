"""Opening the state of an application, making it the first time."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw

from dp3.clock import Clock
from dp3.files import make_directory, sync_path
from dp3.history.segments import decode_segments
from dp3.model.partition import DEFAULT_PARTITIONS
from dp3.sqlite import (
    Checkpointer,
    FairLock,
    check_format,
    checksum_vfs,
    connect,
    damage_named,
    has_checksums,
    rewrite,
    stamp_format,
    transaction,
)
from dp3.sqlite.connection import MIB
from dp3.statements import Statements, load_statements
from dp3.store.ports.counters import NO_EVENTS, EventGroups
from dp3.store.ports.state import State
from dp3.store.sql.assembly import assembled
from dp3.store.sql.queries import Queries
from dp3.store.sqlite.connections import SqliteDatabase
from dp3.store.sqlite.query_builder import SqliteQueryBuilder
from dp3.store.sqlite.session import sqlite_statements

APPLICATION_ID = int.from_bytes(b"DP3s", "big")
FORMAT = 5
"""Since 4 its pages have checksums."""

CACHE_MIB = 32
PAGE_SIZE = 4096
"""A commit of scattered rows writes about a page per row: 2 KiB, 4 KiB, 8 KiB pages took 27, 26, 40 ms for
4 000 rows in a table of 540 000."""

WAL_LIMIT_MIB = 32
"""Writers stand still while the log is emptied at half of this: 64 MiB took 75 to 100 ms, 16 MiB take 30."""

QUERY_LIMIT_S = 5.0
"""A reader that stays longer would keep the write-ahead log from shrinking."""

TELL_AFTER_S = 5.0
"""Opening waits so long for another process without a word."""

LANES = (0, 1)
"""Main and derived, the numbers that the log gives its lanes; log and state do not know each other."""

logger = logging.getLogger(__name__)


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
    `query_limit_s`: how long a query about snapshots may take. `event_groups`: which events are counted.

    An older file is brought into the format of this version first, which needs room for a copy of it and that
    no process of the older version has it open (see `rewrite`); others that open it meanwhile wait.

    Raises `FormatError` when the file is of another program or a newer version, or still in use by an older
    one; `DamagedFile`; `OSError` when there is no room for the copy.
    """
    make_directory(directory)
    path = directory / "state.db"
    lock = FairLock(directory / "state.lock")
    checkpointer = None
    try:
        found = _prepare(path, lock, partitions)
        if checkpoint:
            checkpointer = Checkpointer(wal_limit=round(wal_limit_mib * MIB))
            checkpointer.watch(path, lock)
        statements = sqlite_statements()
        database = SqliteDatabase(path, statements, lock, checkpointer, cache_mib)
    except BaseException:
        if checkpointer:
            checkpointer.close()
        lock.close()
        raise
    return assembled(
        database,
        found,
        clock,
        lease_time=clock.now_us,
        queries=Queries(database, statements.of_file("queries"), SqliteQueryBuilder, query_limit_s),
        changes=database.changes,
        close=database.close,
        max_dead_letters=max_dead_letters,
        event_groups=event_groups,
    )


def _prepare(path: Path, lock: FairLock, partitions: int) -> int:
    """Make the file if it is new, bring an older one up to date; returns the number of partitions."""
    sql = load_statements("dp3.store.sqlite", "schema.sql")
    with damage_named(path), _told_if_long(path), lock:
        if _is_older(path, sql, partitions):
            rewrite(path, lambda copy: _bring_up(copy, sql))
        with closing(connect(path, synchronous="FULL", page_size=PAGE_SIZE)) as connection:
            found: int = connection.execute(sql["partitions"]).get
            return found


@contextmanager
def _told_if_long(path: Path) -> Iterator[None]:
    """Say what is waited for if the block takes long: another process may be rewriting the file."""
    message = "%s: not open yet; a process, this one or another, is making it ready"
    timer = threading.Timer(TELL_AFTER_S, logger.warning, (message, path))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _is_older(path: Path, sql: Statements, partitions: int) -> bool:
    """True for a file of an older format, or without checksums where it could have them. Makes a new one."""
    with closing(connect(path, synchronous="FULL", page_size=PAGE_SIZE)) as connection:
        found = check_format(connection, APPLICATION_ID, FORMAT, "the state")
        if found:
            return found < FORMAT or (checksum_vfs() is not None and not has_checksums(connection))
        with transaction(connection):
            _create(connection, sql, partitions)
            _bring_up(connection, sql)
    sync_path(path.parent)
    return False


def _bring_up(connection: apsw.Connection, sql: Statements) -> None:
    """Make what formats up to this one have added."""
    add_functions(connection)
    found: int = connection.pragma("user_version")
    for newer in range(max(found, 1) + 1, FORMAT + 1):
        if (name := f"format_{newer}") in sql:
            connection.execute(sql[name])
    stamp_format(connection, APPLICATION_ID, FORMAT)


def add_functions(connection: apsw.Connection) -> None:
    """Functions that the statements of `schema.sql` call and SQLite does not have."""
    connection.create_scalar_function("first_start", _first_start, 1, deterministic=True)
    connection.create_scalar_function("last_end", _last_end, 1, deterministic=True)


def _first_start(*of: Any) -> int:
    return min(t1 for t1, _, _, _ in decode_segments(of[0]))


def _last_end(*of: Any) -> int:
    return max(t2 for _, t2, _, _ in decode_segments(of[0]))


def _create(connection: apsw.Connection, sql: Statements, partitions: int) -> None:
    if partitions < 1:
        raise ValueError(f"partitions must be at least 1, got {partitions}")
    connection.execute(sql["schema"])
    connection.execute(sql["set_partitions"], (partitions,))
    lanes = [(lane, partition) for lane in LANES for partition in range(partitions)]
    connection.executemany(sql["add_position"], lanes)
