"""Transactions on a server whose connections are lost, and that refuses what it would take a little later."""

import threading
from collections.abc import Iterator

import psycopg
import pytest

from dp3.clock import FakeClock
from dp3.postgres.connecting import process_name
from dp3.store.ports.batches import Batch
from dp3.store.ports.errors import PositionsMoved, StoreUnavailable, StoreUncertain
from dp3.store.ports.leases import Holder, Lease
from dp3.store.ports.state import State
from dp3.store.postgres import open_state
from kit.backends import server_url
from kit.cutting import Cutter, a_cutter
from kit.limits import constants
from kit.rows import TTL_S, created, plain_row, progress, take_lease

ELSEWHERE = "elsewhere.example"


@pytest.fixture
def cutter() -> Iterator[Cutter]:
    with a_cutter() as found:
        yield found


@pytest.fixture
def schema(request: pytest.FixtureRequest) -> str:
    return f"cut_{abs(hash(request.node.name))}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(cutter: Cutter, schema: str, clock: FakeClock) -> Iterator[State]:
    found = open_state(cutter.url, schema, clock, partitions=2, lease_time=clock.now_us)
    yield found
    found.close()


@pytest.fixture
def lease(store: State) -> Lease:
    return take_lease(store)


def ended_connections(schema: str) -> int:
    """The server ends all connections to an application."""
    with psycopg.connect(server_url()) as other:
        ended = other.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s",
            (process_name(schema),),
        ).fetchone()
    assert ended is not None
    return int(ended[0])


# -- the end of a transaction is lost ------------------------------------------------------------------------
def test_a_batch_that_the_server_has_committed_counts_once_though_the_answer_is_lost(
    cutter: Cutter, store: State, lease: Lease
) -> None:
    cutter.armed = "after"
    store.batches.commit(lease, Batch(counters={"points": 5}))
    assert store.counters.all() == {"points": 5}


def test_a_batch_of_which_the_server_never_heard_the_end_is_refused_and_can_be_repeated(
    cutter: Cutter, store: State, lease: Lease
) -> None:
    cutter.armed = "before"
    batch = Batch(counters={"points": 5})
    with pytest.raises(StoreUnavailable, match="nothing was written"):
        store.batches.commit(lease, batch)
    assert store.counters.all() == {}
    store.batches.commit(lease, batch)
    assert store.counters.all() == {"points": 5}


@pytest.mark.parametrize("armed", ["before", "after"])
def test_the_end_of_a_batch_is_found_out_while_other_threads_commit(
    cutter: Cutter, store: State, lease: Lease, armed: str
) -> None:
    stop, lock, done = threading.Event(), threading.Lock(), [0]

    def commit() -> None:
        while not stop.is_set():
            try:
                store.batches.commit(lease, Batch(counters={"points": 1}))
            except StoreUnavailable:
                continue
            with lock:
                done[0] += 1

    threads = [threading.Thread(target=commit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        before = done[0]
        cutter.armed = armed
        while cutter.armed or done[0] < before + 10:
            stop.wait(0.001)
    stop.set()
    for thread in threads:
        thread.join()
    assert store.counters.all() == {"points": done[0]}


def test_the_end_of_a_batch_is_found_out_after_its_writer_was_silent_for_days(
    cutter: Cutter, store: State, lease: Lease, schema: str
) -> None:
    store.batches.commit(lease, Batch(counters={"points": 1}))
    store.batches.commit(lease, Batch(counters={"points": 1}))
    with psycopg.connect(server_url(), options=f"-c search_path={schema}") as other:
        other.execute("UPDATE change SET at = now() - interval '2 days'")
    store.leases.release(lease)
    lease = take_lease(store)
    with constants("dp3.store.postgres.database", COUNTED_S=0.0):
        cutter.armed = "after"
        store.batches.commit(lease, Batch(counters={"points": 1}))
    assert store.counters.all() == {"points": 3}


def test_what_can_not_be_found_out_is_said_and_positions_tell_it_later(
    cutter: Cutter, store: State, lease: Lease
) -> None:
    batch = Batch(progress=progress(store, lease, 7))
    cutter.armed, cutter.refuses = "after", True
    with (
        constants("dp3.postgres.transactions", FOUND_OUT_S=0.5),
        pytest.raises(StoreUncertain, match="or not"),
    ):
        store.batches.commit(lease, batch)
    cutter.refuses = False
    with pytest.raises(PositionsMoved):
        store.batches.commit(lease, batch)


@pytest.mark.parametrize("words", [b"INSERT INTO plain", b"INSERT INTO incoming", b"UPDATE position"])
def test_a_connection_lost_in_the_middle_of_a_batch_leaves_nothing_of_it(
    cutter: Cutter, store: State, lease: Lease, words: bytes
) -> None:
    created(store, lease)
    rows = [plain_row(store, 1, "name", "x" * 1_000_000)]
    attr = rows[0].attr
    batch = Batch(
        progress=progress(store, lease, 7),
        plain=rows,
        fresh=[(1, attr, key) for key in range(1, 4_000)],
        incoming=[(key, 1, 2, 3, b"v" * 100) for key in range(1, 4_000)],
    )
    cutter.armed, cutter.at = "before", words
    with pytest.raises(StoreUnavailable, match="nothing was written"):
        store.batches.commit(lease, batch)
    assert not cutter.armed, "the statement came"
    assert progress(store, lease, 7) == batch.progress
    store.batches.commit(lease, batch)
    with pytest.raises(PositionsMoved):
        store.batches.commit(lease, batch)


# -- connections that were lost before -----------------------------------------------------------------------
def test_connections_that_were_lost_while_nobody_used_them_are_not_noticed(
    store: State, lease: Lease, schema: str
) -> None:
    assert ended_connections(schema)
    assert [one.lease for one in store.leases.all()] == [lease]
    assert ended_connections(schema)
    store.batches.commit(lease, Batch(counters={"points": 5}))
    assert ended_connections(schema)
    assert store.outbox.pending(lease, 0, 1) == []
    assert store.counters.all() == {"points": 5}


def test_a_server_that_is_away_refuses_for_a_while(cutter: Cutter, store: State, schema: str) -> None:
    cutter.refuses = True
    ended_connections(schema)
    with constants("dp3.postgres.transactions", FOUND_OUT_S=0.5), pytest.raises(StoreUnavailable):
        store.leases.all()
    cutter.refuses = False
    assert store.leases.all() == []


# -- others are in the way -----------------------------------------------------------------------------------
def test_a_deadlock_leaves_nothing_of_a_batch_which_can_be_repeated(
    store: State, lease: Lease, schema: str
) -> None:
    for eid, key in (("d1", 1), ("d2", 2)):
        created(store, lease, eid, key, plain=[plain_row(store, key, "name", "old")])
    batch = Batch(counters={"points": 1}, plain=[plain_row(store, key, "name", "new") for key in (1, 2)])
    refused: list[StoreUnavailable] = []

    def commit() -> None:
        try:
            store.batches.commit(lease, batch)
        except StoreUnavailable as error:
            refused.append(error)
            store.batches.commit(lease, batch)

    thread = threading.Thread(target=commit)
    with psycopg.connect(server_url(), options=f"-c search_path={schema} -c deadlock_timeout=1min") as other:
        other.execute("UPDATE plain SET written = written WHERE entity = 2")
        thread.start()
        while not blocked(schema):
            pass
        other.execute("UPDATE plain SET written = written WHERE entity = 1")
    thread.join()
    assert ["deadlock" in str(error) for error in refused] == [True]
    assert store.counters.all() == {"points": 1}


def blocked(schema: str) -> bool:
    with psycopg.connect(server_url()) as other:
        row = other.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'",
            (process_name(schema),),
        ).fetchone()
    return row is not None and row[0] > 0


def test_who_takes_over_gets_past_a_holder_that_stands_still_inside_a_transaction(
    store: State, lease: Lease, schema: str, clock: FakeClock
) -> None:
    options = f"-c search_path={schema}"
    with psycopg.connect(server_url(), options=options, application_name="dp3 of another host") as frozen:
        frozen.execute("UPDATE lease SET host = %s, client = 'dp3 of another host'", (ELSEWHERE,))
        frozen.commit()
        frozen.execute("SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 3))")
        frozen.execute("SELECT 1 FROM lease FOR KEY SHARE")
        clock.advance(TTL_S + 1)
        taken = store.leases.take(0, 1, Holder(ELSEWHERE, 77), TTL_S)
        assert taken.epoch > lease.epoch
        with pytest.raises(psycopg.OperationalError):
            frozen.execute("SELECT 1")


def test_leases_go_by_the_clock_of_the_server(cutter: Cutter, schema: str) -> None:
    clock = FakeClock(0)
    store = open_state(cutter.url, schema, clock, partitions=2)
    with psycopg.connect(server_url()) as other:
        (server_us,) = other.execute(  # type: ignore[misc]
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        ).fetchone()
    take_lease(store)
    (state,) = store.leases.all()
    assert server_us < state.heartbeat <= store.leases.now_us() < server_us + 60_000_000
    store.close()
