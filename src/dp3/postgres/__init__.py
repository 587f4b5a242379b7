"""Tools of every part that keeps something on a PostgreSQL server."""

from dp3.postgres.connecting import Pool, ServerUnusable, make_once, open_pool, shown
from dp3.postgres.failures import in_one_line, is_of_disk, passes
from dp3.postgres.values import escaped

__all__ = [
    "Pool",
    "ServerUnusable",
    "escaped",
    "in_one_line",
    "is_of_disk",
    "make_once",
    "open_pool",
    "passes",
    "shown",
]
