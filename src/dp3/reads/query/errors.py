"""What is wrong with a filter."""


class QueryError(ValueError):
    """A filter that can not be processed; the message is the whole answer."""


def invalid_query(reason: str) -> QueryError:
    """The error of a filter in the wrong language."""
    return QueryError(f"Query is invalid: {reason}")
