"""The state in one SQLite file."""

from dp3.store.sqlite.opening import open_store
from dp3.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "open_store"]
