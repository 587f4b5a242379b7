"""The state in one SQLite file."""

from dp3.store.sqlite.opening import open_state

__all__ = ["open_state"]
