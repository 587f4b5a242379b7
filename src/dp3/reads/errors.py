"""The errors of reads that the asker can do something about; their message is the whole answer.

The store adds `QueryTooSlow` and `QueryTooLarge` (dp3.store.ports.errors)."""


class QueryError(ValueError):
    """A filter that can not be processed."""


class SortError(ValueError):
    """A sort order that can not be used."""


class CursorError(ValueError):
    """A cursor that is damaged, or of another query."""


class CountingTooSlow(Exception):
    """Counting entities took longer than it may."""


class CountingBusy(Exception):
    """Entities are being counted for somebody else."""


def invalid_query(reason: str) -> QueryError:
    """The error of a filter in the wrong language."""
    return QueryError(f"Query is invalid: {reason}")
