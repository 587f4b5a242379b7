"""How often a worker waits for a server that is far away: as often for a thousand rows as for ten."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dp3.bench.between import Between, between
from dp3.clock import FakeClock
from dp3.log.port import Append, OutboxSlice, Producer
from dp3.log.postgres import open_log
from dp3.model.wire import encode_tasks
from dp3.store.ports.batches import Batch, OutboxRow, Progress
from dp3.store.ports.counters import HookSums, SourceSums
from dp3.store.ports.entities import PlainRow
from dp3.store.ports.history import history_key
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from dp3.store.postgres import open_state
from kit.backends import server_url
from kit.rows import a_letter, entity_row, take_lease
from kit.run_rows import FOREVER, a_link, a_run, close, indexed, written

FAR_MS = 20.0
"""Answers come so late that all that is sent without waiting for them is sent before."""

SIZES = (10, 1_000)

TASKS = encode_tasks([])

_numbers = count()


@pytest.fixture(scope="module")
def way() -> Iterator[Between]:
    given = conninfo_to_dict(server_url())
    with between((str(given.get("host") or "127.0.0.1"), int(given.get("port") or 5432)), FAR_MS) as way:
        yield way


@pytest.fixture
def url(way: Between) -> str:
    host, port = way.place
    return make_conninfo(server_url(), host=host, port=str(port), sslmode="disable", gssencmode="disable")


@pytest.fixture
def schema() -> str:
    return f"far{os.getpid()}_{next(_numbers)}"


@pytest.fixture
def store(url: str, schema: str) -> Iterator[State]:
    found = open_state(url, schema, FakeClock())
    yield found
    found.close()


@pytest.fixture
def lease(store: State) -> Lease:
    lease = take_lease(store)
    devices = [entity_row(store, f"d{n}", n) for n in range(1, SIZES[-1] + 1)]
    store.batches.commit(lease, Batch(created=devices))
    store.names.attr_id("device", "peer")
    return lease


def trips(way: Between, kind: str, call: Callable[[], Any]) -> int:
    """Round trips of the transactions of a kind that a call makes."""

    def heard() -> int:
        return sum(kinds[kind].round_trips for kinds in way.heard().values() if kind in kinds)

    before = heard()
    call()
    return heard() - before


def everything(store: State, n: int, since: int) -> Batch:
    """A batch in which everything that batches usually have happens to many entities."""
    keys = range(1, n + 1)
    links = [a_link(store, k, f"d{k % 50 + 1}", until=100 + since) for k in keys]
    parent = {"attr": store.names.attr_id("device", "parent"), "until": FOREVER, "replaces": True}
    links += [a_link(store, k, f"new{since}-{k}", order=since, **parent) for k in keys]
    created = [entity_row(store, f"more{since}-{k}", 10_000 * (since + 1) + k) for k in keys]
    return Batch(
        progress=Progress(0, dict.fromkeys(range(store.partitions), since), since + 1, since),
        created=created,
        plain=[PlainRow(k, 1, since, 1, b"1") for k in keys],
        fresh=[(k, 2, history_key(0, since + 1, k)) for k in keys],
        incoming=[(history_key(0, since + 1, k), 1, 2, 1_000_000, b"1") for k in keys],
        links=links,
        ttl=[(k, "base", since) for k in keys],
        expiry_checks=dict.fromkeys(keys, 1_000 - since),
        outbox=[OutboxRow(0, 0, since, 0, b"x")],
        dead_letters=[a_letter()],
        counters={"datapoints": n, "batches": 1},
        hooks=[HookSums("m", "h", "on_new_plain", "", 1, 0, 1, 0, 0, 0)],
        sources=[SourceSums("probe", n, 1)],
    )


@pytest.mark.timeout(120)
def test_a_commit_waits_at_most_ten_times_however_large_it_is(
    way: Between, store: State, lease: Lease
) -> None:
    found = []
    for since, n in enumerate((*SIZES, *SIZES)):
        batch = everything(store, n, since)
        found.append(trips(way, "commit", lambda batch=batch: store.batches.commit(lease, batch)))
    assert max(found) <= 10, found
    assert found[2] == found[3]


@pytest.mark.timeout(120)
def test_a_page_of_a_run_waits_at_most_five_times(way: Between, store: State, lease: Lease) -> None:
    found = []
    for n in SIZES:
        run = a_run(store, n)
        for _ in range(2):  # the second one finds entities that are known
            keys = [
                key
                for entity in range(1, n + 1)
                for key in indexed(store, "device", entity, {"eid": [f"d{entity}"], "speed": [n, entity]})
            ]
            docs = dict.fromkeys(range(1, n + 1), b"doc")
            due: dict[int, int | None] = dict.fromkeys(docs, n)
            page = lambda docs=docs, keys=keys, due=due, run=run: written(  # noqa: E731
                store, lease, run, docs, keys_added=keys, due=due, counters={"written": 1}
            )
            found.append(trips(way, "page", page))
        close(store, run)
    assert max(found) <= 5, found


@pytest.mark.timeout(120)
def test_appending_waits_at_most_four_times(way: Between, url: str, schema: str) -> None:
    log = open_log(url, schema, FakeClock())
    try:
        appends = [Append([{n % 4: TASKS}], (f"key {n}", b"digest")) for n in range(100)]
        assert trips(way, "append", lambda: log.append(appends)) <= 5
        assert trips(way, "append", lambda: log.append([Append([{0: TASKS}])])) <= 3
        parts = [OutboxSlice(Producer(n, 0), 1, {0: TASKS}) for n in range(16)]
        assert trips(way, "append", lambda: log.append_outbox(parts, 0)) <= 4
    finally:
        log.close()
