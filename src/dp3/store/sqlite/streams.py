"""Tasks of a worker that come from no entry of the log: streams of the outbox with keys of their own."""

import apsw

from dp3.clock import Clock
from dp3.sqlite import load_statements
from dp3.store.ports.leases import Lease


class StreamWriter:
    """Leaves tasks in the outbox, in the caller's transaction. Keys grow with the clock, and are above all
    that the state remembers of the stream."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sql = load_statements("dp3.store.sqlite", "streams.sql")

    def add(self, connection: apsw.Connection, lease: Lease, stream: int, tasks: bytes) -> None:
        """`tasks` are `encode_tasks(...)`, one row of the outbox."""
        now, producer = self._clock.now_us(), (lease.index, stream)
        key = connection.execute(self._sql["next_outbox_key"], (*producer, now)).get
        connection.execute(self._sql["add_outbox"], (*producer, key, now, tasks))
