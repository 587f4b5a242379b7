"""Workers on a server do not wait for each other: they add to no row of which there is one for all."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import psycopg
import pytest

from dp3.clock import FakeClock
from dp3.store.ports.batches import Batch
from dp3.store.ports.state import State
from dp3.store.postgres import open_state
from kit.backends import server_url
from kit.program import wait_for
from kit.rows import take_lease
from kit.run_rows import a_link
from kit.whole_batch import devices, everything

WORKERS = 2

LONGEST_S = 60.0

_numbers = count()


@pytest.fixture
def schema() -> str:
    return f"shared{os.getpid()}_{next(_numbers)}"


@pytest.fixture
def store(schema: str) -> Iterator[State]:
    found = open_state(server_url(), schema, FakeClock())
    yield found
    found.close()


@contextmanager
def held(schema: str, lock: str) -> Iterator[psycopg.Connection]:
    """Somebody else holds a lock until he gives it back, at the end of the block at the latest."""
    with psycopg.connect(server_url(), options=f"-c search_path={schema}") as other:
        other.execute(lock.encode())
        yield other
        other.rollback()


def is_waiting(schema: str, kind: str) -> bool:
    """Whether a connection of the application waits for a lock of a kind."""
    question = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s"
        " AND wait_event_type = 'Lock' AND wait_event = %s"
    )
    with psycopg.connect(server_url()) as other:
        return other.execute(question, (f"dp3 {schema}%", kind)).fetchone() != (0,)


@pytest.mark.timeout(180)
def test_a_worker_commits_everything_while_another_is_in_the_middle_of_a_batch(
    store: State, schema: str
) -> None:
    leases = [take_lease(store, index, WORKERS) for index in range(WORKERS)]
    for index, lease in enumerate(leases):
        store.batches.commit(lease, devices(store, 20, index))
    batches = [everything(store, 20, 0, index, WORKERS) for index in range(WORKERS)]
    own = "SELECT * FROM position WHERE partition = 0 FOR UPDATE"

    with ThreadPoolExecutor(WORKERS) as pool, held(schema, own) as other:
        first = pool.submit(store.batches.commit, leases[0], batches[0])
        wait_for("all but its positions", lambda: is_waiting(schema, "transactionid"))
        pool.submit(store.batches.commit, leases[1], batches[1]).result(LONGEST_S)
        assert not first.done()
        other.rollback()
        first.result(LONGEST_S)

    assert store.counters.all() == {"datapoints": 40, "batches": 2}
    assert [sums.executions for sums in store.counters.hook_sums()] == [2]
    assert store.counters.sources() == {"probe": 1}
    assert store.entities.counts() == {"device": 80}
    assert store.dead_letters.count() == 2


@pytest.mark.timeout(180)
def test_the_last_change_of_links_is_told_when_all_before_it_can_be_seen(store: State, schema: str) -> None:
    lease = take_lease(store)
    store.batches.commit(lease, devices(store, 1))
    link = a_link(store, 1, "target")
    before = store.links.last_change()

    with (
        ThreadPoolExecutor(2) as pool,
        held(schema, "LOCK TABLE link_change IN SHARE MODE") as other,
    ):
        commit = pool.submit(store.batches.commit, lease, Batch(links=[link]))
        wait_for("a change that has its number", lambda: is_waiting(schema, "relation"))
        asked = pool.submit(store.links.last_change)
        wait_for("the question", lambda: asked.done() or is_waiting(schema, "advisory"))
        assert not asked.done()
        other.rollback()
        commit.result(LONGEST_S)
        last = asked.result(LONGEST_S)

    assert last > before
    found = list(store.links.targets_changed([link.attr], before, 0, 0))
    assert found == [(link.target_etype, "target")]
    assert list(store.links.targets_changed([link.attr], last, 0, 0)) == []
