"""Tools of every part that keeps something on a PostgreSQL server."""

from dp3.postgres.connecting import (
    MOST_CONNECTIONS,
    Pool,
    ServerUnusable,
    connected,
    open_pool,
    shown,
    with_password,
)
from dp3.postgres.failures import in_one_line, is_of_disk, passes
from dp3.postgres.replica import ReplicaAge
from dp3.postgres.schemas import Part, Step, bring_up, note_directory
from dp3.postgres.users import using
from dp3.postgres.values import escaped

__all__ = [
    "MOST_CONNECTIONS",
    "Part",
    "Pool",
    "ReplicaAge",
    "ServerUnusable",
    "Step",
    "bring_up",
    "connected",
    "escaped",
    "in_one_line",
    "is_of_disk",
    "note_directory",
    "open_pool",
    "passes",
    "shown",
    "using",
    "with_password",
]
