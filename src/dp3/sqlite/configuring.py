"""SQLite as this process uses it, configured once, before anything else is done with it."""

import threading
from functools import cache

import apsw

UNDO_BYTES = 16 << 20
"""While a statement changes many rows, SQLite keeps the pages as they were, in case it fails. Above 64 KiB,
its default, they go to a temporary file: with rows that are scattered, that takes as long as the rest."""


_configuring = threading.Lock()


def configure_sqlite() -> None:
    """Called before the first file is opened and the first extension is loaded: SQLite forgets extensions
    when it is configured, which it can be while nobody uses it. Where somebody else in the process does, all
    goes on as before, only slower."""
    with _configuring:  # twice at once, one would forget what was loaded after the other
        _configure()


@cache
def _configure() -> None:
    if not apsw.connections():
        apsw.shutdown()
        apsw.config(apsw.SQLITE_CONFIG_STMTJRNL_SPILL, UNDO_BYTES)
        apsw.initialize()
