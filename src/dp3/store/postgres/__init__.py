"""The state in PostgreSQL."""

from dp3.store.postgres.opening import open_state

__all__ = ["open_state"]
