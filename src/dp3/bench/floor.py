"""The least that ingestion must do on the same machine, in one process, with the program's rows."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dp3.bench.load import Body
from dp3.log.port import Entry, Lane, Log
from dp3.model.wire import WireTask, decode_tasks, encode_value
from dp3.sqlite import connect, transaction
from dp3.statements import load_statements
from dp3.store.ports.entities import HistoryRow, NewEntity, PlainRow
from dp3.store.ports.history import history_key
from dp3.store.ports.state import State
from dp3.store.sqlite.opening import CACHE_MIB, PAGE_SIZE, add_functions

READ_BYTES = 8 << 20
PLAIN = frozenset(("hostname", "owner", "risk"))


@dataclass(slots=True)
class Transaction:
    """Rows of one transaction, sorted by primary key when it is complete."""

    entities: list[NewEntity] = field(default_factory=list)
    plain: dict[tuple[int, int], PlainRow] = field(default_factory=dict)
    history: list[HistoryRow] = field(default_factory=list)
    incoming: list[tuple[Any, ...]] = field(default_factory=list)
    fresh: list[tuple[int, int, int]] = field(default_factory=list)

    def sort(self) -> None:
        self.entities.sort()
        self.plain = dict(sorted(self.plain.items()))
        self.incoming = sorted((row.key, *row[3:]) for row in self.history)
        self.fresh = sorted((row.entity, row.attr, row.key) for row in self.history)


def transactions(log: Log, store: State, points: int) -> Iterator[Transaction]:
    """All rows in the order of the log, `points` data-points in each transaction."""
    known: dict[tuple[str, str], int] = {}
    attrs: dict[tuple[str, str], int] = {}
    current, size = Transaction(), 0
    for entry in main_entries(log):
        for tasks in entry.slices.values():
            for task in decode_tasks(tasks):
                _add(current, entry, task, _key(current, entry, task, store, known), store, attrs)
                size += task.width
        if size >= points:
            current.sort()
            yield current
            current, size = Transaction(), 0
    current.sort()
    yield current


def main_entries(log: Log) -> Iterator[Entry]:
    """All entries of the main lane in their order."""
    after = 0
    while entries := log.read(Lane.MAIN, after, READ_BYTES):
        yield from entries
        after = entries[-1].offset


def _key(
    current: Transaction, entry: Entry, task: WireTask, store: State, known: dict[tuple[str, str], int]
) -> int:
    identity = (task.etype, str(task.eid))
    if identity not in known:
        wanted = (store.names.etype_id(task.etype), str(task.eid))
        key, _ = store.entities.find([wanted])[wanted]
        known[identity] = key
        current.entities.append(NewEntity(key, *wanted, entry.append_time))
    return known[identity]


def _add(
    current: Transaction,
    entry: Entry,
    task: WireTask,
    key: int,
    store: State,
    attrs: dict[tuple[str, str], int],
) -> None:
    row_key = history_key(entry.lane, entry.offset, task.first)
    for number, point in enumerate(task.points, row_key):
        name = (task.etype, point.attr)
        attr = attrs[name] = attrs.get(name) or store.names.attr_id(*name)
        v = encode_value(point.v)
        if point.attr in PLAIN or point.t1 is None or point.t2 is None:
            current.plain[key, attr] = PlainRow(key, attr, entry.order, entry.append_time, v)
        else:
            c = None if point.attr == "traffic" else point.c
            current.history.append(HistoryRow(number, key, attr, point.t1, point.t2, c, v))


SCHEMA = ("schema", "format_2", "format_3", "format_4", "format_5")

INSERT_ENTITY = "INSERT INTO entity VALUES (?, ?, ?, ?)"
INSERT_PLAIN = (
    "INSERT INTO plain VALUES (?, ?, ?, ?, ?) ON CONFLICT (entity, attr) DO UPDATE SET "
    "entry_order = excluded.entry_order, written = excluded.written, v = excluded.v"
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
        add_functions(connection)
        connection.execute("".join(sql[part] for part in SCHEMA))
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
