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
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from dp3.store.postgres import open_state
from kit.backends import server_url
from kit.rows import take_lease
from kit.run_rows import a_run, close, indexed, written
from kit.whole_batch import devices, everything

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
    store.batches.commit(lease, devices(store, SIZES[-1]))
    store.names.attr_id("device", "peer")
    return lease


def trips(way: Between, kind: str, call: Callable[[], Any]) -> int:
    """Round trips of the transactions of a kind that a call makes."""

    def heard() -> int:
        return sum(kinds[kind].round_trips for kinds in way.heard().values() if kind in kinds)

    before = heard()
    call()
    return heard() - before


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
