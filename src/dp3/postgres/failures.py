"""Failures that pass: of the connection, of the server, of a transaction among others."""

from psycopg import Error, InterfaceError, OperationalError
from psycopg.errors import DiskFull, IoError

PASSING = (
    "08",  # connections
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53",  # too few resources
    "55P03",  # lock not available
    "57P01",  # terminated by an administrator
    "57P02",  # another backend has crashed
    "57P03",  # starting, or a standby
    "25P03",  # idle in a transaction for too long
    "25006",  # read-only: a standby, or a primary that is one now
)
"""Codes of errors, or what they begin with, after which the same may succeed."""


def passes(error: Error) -> bool:
    """True if nothing is wrong with what was asked: it may be asked again."""
    if error.sqlstate is None:
        return isinstance(error, OperationalError | InterfaceError)
    return error.sqlstate.startswith(PASSING)


def is_of_disk(error: Error) -> bool:
    """True if the server's disk has refused."""
    return isinstance(error, DiskFull | IoError)


def in_one_line(error: Error) -> str:
    """The text of an error."""
    return " ".join(str(error).split())
