"""Tools of every part that keeps something on a PostgreSQL server."""

from dp3.postgres.connecting import Pool, ServerUnusable, connected, open_pool
from dp3.postgres.schemas import Part, Step, bring_up, note_directory
from dp3.postgres.values import escaped

__all__ = [
    "Part",
    "Pool",
    "ServerUnusable",
    "Step",
    "bring_up",
    "connected",
    "escaped",
    "note_directory",
    "open_pool",
]
