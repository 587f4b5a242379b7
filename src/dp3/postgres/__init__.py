"""Tools of every part that keeps something on a PostgreSQL server."""

from dp3.postgres.connecting import Pool, ServerUnusable, make_once, open_pool
from dp3.postgres.values import escaped

__all__ = ["Pool", "ServerUnusable", "escaped", "make_once", "open_pool"]
