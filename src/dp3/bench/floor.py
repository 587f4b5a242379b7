"""The floor: the least that any program must do for the same data on the same machine, in one process.

Decode the same bytes, insert the same rows into the same tables, sorted, in transactions of the same size
with the same `synchronous`; nothing else: no validation, no log, no hooks, no sockets, no checkpoints.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dp3.bench.load import Body
from dp3.bench.rows import Transaction, transactions
from dp3.log.port import Log
from dp3.sqlite import connect, load_statements, transaction
from dp3.store.ports.state import State
from dp3.store.sqlite.opening import CACHE_MIB, PAGE_SIZE

INSERT_ENTITY = "INSERT INTO entity VALUES (?, ?, ?, ?)"
INSERT_PLAIN = (
    "INSERT INTO plain VALUES (?, ?, ?, ?) "
    "ON CONFLICT (entity, attr) DO UPDATE SET written = excluded.written, v = excluded.v"
)
INSERT_INCOMING = "INSERT INTO incoming VALUES (?, ?, ?, ?, ?)"
INSERT_FRESH = "INSERT INTO fresh VALUES (?, ?, ?)"


class _Point(msgspec.Struct, gc=False):
    type: str
    id: str
    attr: str
    v: Any
    t1: datetime | None = None
    t2: datetime | None = None
    c: float = 1.0
    src: str | None = None


class Floor(NamedTuple):
    """Data-points, and the seconds that decoding and inserting all of them took."""

    points: int
    decode_s: float
    insert_s: float

    @property
    def per_s(self) -> float:
        return self.points / (self.decode_s + self.insert_s)


def measure(bodies: Sequence[Body], log: Log, store: State, transaction_points: int, scratch: Path) -> Floor:
    """Time the floor for what the program has in its log and state after the load."""
    work = list(transactions(log, store, transaction_points))
    return Floor(sum(count for count, _ in bodies), _decode(bodies), _insert(work, scratch / "floor.db"))


def _decode(bodies: Sequence[Body]) -> float:
    decode = msgspec.json.Decoder(list[_Point]).decode
    started = time.perf_counter()
    for _, body in bodies:
        decode(body)
    return time.perf_counter() - started


def _insert(work: Iterable[Transaction], path: Path) -> float:
    connection = connect(path, synchronous="NORMAL", page_size=PAGE_SIZE, cache_mib=CACHE_MIB)
    try:
        sql = load_statements("dp3.store.sqlite", "schema.sql")
        connection.execute(sql["schema"] + sql["format_2"])
        started = time.perf_counter()
        for rows in work:
            with transaction(connection):
                connection.executemany(INSERT_ENTITY, rows.entities)
                connection.executemany(INSERT_PLAIN, rows.plain.values())
                connection.executemany(INSERT_INCOMING, rows.incoming)
                connection.executemany(INSERT_FRESH, rows.fresh)
        return time.perf_counter() - started
    finally:
        connection.close()
