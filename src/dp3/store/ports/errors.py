"""Errors of the state."""


class LeaseRefused(Exception):
    """Another live worker has this index, or live workers use another `worker_processes`."""


class LeaseLost(Exception):
    """The lease was taken over; nothing was written."""


class PositionsMoved(Exception):
    """The batch does not start from the stored positions: its entries have been applied; nothing was
    written."""


class StoreUnavailable(Exception):
    """The state can not be read or written now; nothing was written. The same may succeed a little later."""


class StoreFull(StoreUnavailable):
    """The disk refused the commit; nothing was written."""


class StoreUncertain(Exception):
    """The server of the state went away while a transaction ended, and did not say in time what became of it.
    Who goes on has to begin with what is stored."""


class ControlFull(Exception):
    """Too many messages wait for workers; nothing was written."""


class QueryTooSlow(Exception):
    """The query took longer than a reader may stay (5 s) and was stopped; a narrower one will do."""


class TokenExists(Exception):
    """A live token has this name; nothing was written."""


class QueryTooLarge(Exception):
    """The conditions of a query are nested too deep, or have too many values or alternatives."""
