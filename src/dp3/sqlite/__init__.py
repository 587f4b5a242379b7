"""Tools of every part that keeps SQLite files: connections, a fair lock of writers, checkpoints.

Readers never wait. Writers of one file queue through one `FairLock`; a `Checkpointer` thread moves
committed pages from the write-ahead log (WAL) to the database file and bounds the WAL. Each page of a file
has a checksum: what the disk has changed is noticed when it is read (`DamagedFile`), by `verify_file` all at
once.
"""

from dp3.files import DamagedFile, FormatError
from dp3.sqlite.checkpoint import Checkpointer, wal_size
from dp3.sqlite.checksums import checksum_vfs, has_checksums
from dp3.sqlite.connection import (
    DISK_ERRORS,
    NO_ACCESS,
    bytes_in,
    check_format,
    connect,
    stamp_format,
    transaction,
)
from dp3.sqlite.damage import DAMAGE, damage, damage_named, raise_damage
from dp3.sqlite.lock import FairLock
from dp3.sqlite.rewriting import renew_checksums, rewrite
from dp3.sqlite.statements import run_for_rows
from dp3.sqlite.verifying import verify_file

__all__ = [
    "DAMAGE",
    "DISK_ERRORS",
    "NO_ACCESS",
    "Checkpointer",
    "DamagedFile",
    "FairLock",
    "FormatError",
    "bytes_in",
    "check_format",
    "checksum_vfs",
    "connect",
    "damage",
    "damage_named",
    "has_checksums",
    "raise_damage",
    "renew_checksums",
    "rewrite",
    "run_for_rows",
    "stamp_format",
    "transaction",
    "verify_file",
    "wal_size",
]
