"""The state in one SQLite file."""

from dp3.store.sqlite.opening import open_state
from dp3.store.sqlite.verifying import renew_state, verify_state

__all__ = ["open_state", "renew_state", "verify_state"]
