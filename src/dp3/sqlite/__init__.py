"""Tools of every part that keeps SQLite files: connections, a fair lock of writers, checkpoints, SQL files.

Readers never wait. Writers of one file queue through one `FairLock`; a `Checkpointer` thread moves
committed pages from the write-ahead log (WAL) to the database file and bounds the WAL.
"""

from dp3.sqlite.checkpoint import Checkpointer, wal_size
from dp3.sqlite.connection import (
    DISK_ERRORS,
    NO_ACCESS,
    FormatError,
    bytes_in,
    check_format,
    connect,
    stamp_format,
    transaction,
)
from dp3.sqlite.lock import FairLock
from dp3.sqlite.statements import Statements, load_statements, parse_statements, run_for_rows

__all__ = [
    "DISK_ERRORS",
    "NO_ACCESS",
    "Checkpointer",
    "FairLock",
    "FormatError",
    "Statements",
    "bytes_in",
    "check_format",
    "connect",
    "load_statements",
    "parse_statements",
    "run_for_rows",
    "stamp_format",
    "transaction",
    "wal_size",
]
