"""Rows of the state as tests write them, and a lease to write them with."""

import os
import socket
from collections.abc import Iterable
from typing import Any

from dp3.history.segments import encode_segments
from dp3.model.wire import encode_value
from dp3.store.ports.batches import Batch, OutboxRow, Progress
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.entities import ENTITY_SHIFT, HistoryRow, NewEntity, PlainRow
from dp3.store.ports.history import PackedRow, history_key, tag_of
from dp3.store.ports.leases import Holder, Lease
from dp3.store.ports.state import State

HOST = socket.gethostname()
TTL_S = 15.0


def take_lease(store: State, index: int = 0, of: int = 1) -> Lease:
    return store.leases.take(index, of, Holder(HOST, os.getpid()), TTL_S)


def entity_key(number: int, partition: int = 0) -> int:
    return partition << ENTITY_SHIFT | number


def entity_row(store: State, eid: str, key: int, etype: str = "device", created: int = 1) -> NewEntity:
    return NewEntity(key, store.names.etype_id(etype), eid, created)


def plain_row(store: State, key: int, attr: str, v: Any, written: int = 1, etype: str = "device") -> PlainRow:
    return PlainRow(key, store.names.attr_id(etype, attr), written, written, encode_value(v))


def history_row(
    store: State, key: int, attr: str, v: Any, offset: int, t1: int = 10, t2: int = 20, number: int = 0
) -> HistoryRow:
    c = 1_000_000_000
    place = history_key(0, offset, number)
    return HistoryRow(place, key, store.names.attr_id("device", attr), t1, t2, c, encode_value(v))


def packed_row(store: State, key: int, attr: str, v: Any, points: int) -> PackedRow:
    """So many data-points of one value in one segment."""
    value = encode_value(v)
    segments = encode_segments([(10, 20, points, points)])
    return PackedRow(
        key, store.names.attr_id("device", attr), tag_of(value, False), 0, 20, points, value, segments
    )


def outbox_row(source: int, partition: int = 0, size: int = 10) -> OutboxRow:
    return OutboxRow(partition, 0, source, source * 2, b"x" * size)


def a_letter(**values: Any) -> DeadLetter:
    letter = DeadLetter(
        time=5,
        kind="hook",
        module="names",
        hook="on_new_attr",
        partition=3,
        etype="device",
        eid="d1",
        reason="ValueError: no",
        traceback="Traceback",
        task=b"task",
        context={"attr": "name"},
    )
    return letter._replace(**values)


def progress(store: State, lease: Lease, until: int, lane: int = 0) -> Progress:
    """From the stored positions of a worker up to an offset."""
    stored = {partition: offset for partition, at, offset in store.batches.positions() if at == lane}
    since = {partition: offset for partition, offset in stored.items() if lease.owns(partition)}
    return Progress(lane, since, until, 2 * until + lane)


def a_batch(history: Iterable[HistoryRow] = (), **batch: Any) -> Batch:
    """A batch that has these rows of history, too."""
    rows = list(history)
    return Batch(
        fresh=[(row.entity, row.attr, row.key) for row in rows],
        incoming=[(row.key, row.t1, row.t2, row.c, row.v) for row in rows],
        **batch,
    )


def created(store: State, lease: Lease, eid: str = "d1", key: int = 1, **batch: Any) -> int:
    """Commit a new entity; returns its key."""
    store.batches.commit(lease, a_batch(created=[entity_row(store, eid, key)], **batch))
    return key
