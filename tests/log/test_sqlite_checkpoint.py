"""The checkpointer keeps write-ahead logs small without disturbing anybody."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from dp3.sqlite import Checkpointer, FairLock, connect, transaction, wal_size

ROW = 20_000
LIMIT = 400_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    connection = connect(tmp_path / "a.db", synchronous="NORMAL")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    return tmp_path / "a.db"


@pytest.fixture
def checkpointer() -> Iterator[Checkpointer]:
    made = Checkpointer(interval_s=0.05, wal_limit=LIMIT)
    yield made
    made.close()


def insert(connection: apsw.Connection, lock: FairLock) -> None:
    with lock.held(), transaction(connection):
        connection.execute("INSERT INTO t VALUES (zeroblob(?))", (ROW,))


def test_wal_of_a_busy_writer_stays_below_its_limit_and_one_transaction(
    path: Path, checkpointer: Checkpointer
) -> None:
    lock = FairLock(path.with_name("lock"))
    checkpointer.watch(path, lock)
    connection = connect(path, synchronous="NORMAL")
    largest = 0
    for _ in range(300):
        assert checkpointer.wait_below(path)
        insert(connection, lock)
        largest = max(largest, wal_size(path))
    connection.close()
    checkpointer.unwatch(path)
    lock.close()
    assert largest <= LIMIT + 2 * ROW


def test_reader_of_an_old_state_makes_writers_wait_and_not_the_wal_grow(
    path: Path, checkpointer: Checkpointer
) -> None:
    lock = FairLock(path.with_name("lock"))
    checkpointer.watch(path, lock)
    writer, reader = connect(path, synchronous="NORMAL"), connect(path, readonly=True)
    insert(writer, lock)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").get == 1
    written = 1
    while checkpointer.wait_below(path, timeout_s=0.1):
        insert(writer, lock)
        written += 1
    assert LIMIT < wal_size(path) <= LIMIT + 2 * ROW

    threading.Timer(0.1, reader.execute, ["COMMIT"]).start()
    assert checkpointer.wait_below(path, timeout_s=10)
    assert wal_size(path) <= LIMIT
    assert reader.execute("SELECT count(*) FROM t").get == written
    for connection in (writer, reader):
        connection.close()
    checkpointer.unwatch(path)
    lock.close()


def test_wait_is_bounded(path: Path, checkpointer: Checkpointer) -> None:
    lock = FairLock(path.with_name("lock"))
    checkpointer.watch(path, lock)
    writer, reader = connect(path), connect(path, readonly=True)
    reader.execute("BEGIN")
    list(reader.execute("SELECT * FROM t"))
    insert(writer, lock)
    before = time.monotonic()
    assert not checkpointer.wait_below(path, limit=1000, timeout_s=0.1)
    assert time.monotonic() - before < 5
    for connection in (writer, reader):
        connection.close()
    checkpointer.unwatch(path)
    lock.close()


def test_retired_file_loses_its_wal(path: Path, checkpointer: Checkpointer) -> None:
    lock = FairLock(path.with_name("lock"))
    connection = connect(path)
    insert(connection, lock)
    checkpointer.watch(path, lock)
    checkpointer.retire(path)
    connection.close()
    wait_until(lambda: not path.with_name("a.db-wal").exists())
    checkpointer.unwatch(path)
    lock.close()


def test_file_may_be_deleted_after_it_is_let_go(path: Path, checkpointer: Checkpointer) -> None:
    checkpointer.watch(path)
    checkpointer.unwatch(path)
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.db"]


def test_close_ends_the_thread_and_wakes_waiting_writers(path: Path) -> None:
    checkpointer = Checkpointer(wal_limit=0)
    connection = connect(path)
    connection.execute("BEGIN")
    list(connection.execute("SELECT * FROM t"))
    outcome: list[bool] = []
    checkpointer.watch(path)
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute("COMMIT")
    connection.execute("BEGIN")
    list(connection.execute("SELECT * FROM t"))
    waiter = threading.Thread(target=lambda: outcome.append(checkpointer.wait_below(path, timeout_s=60)))
    waiter.start()
    wait_until(lambda: checkpointer._waiting == 1)
    checkpointer.close()
    checkpointer.close()
    waiter.join()
    assert outcome == [False]
    assert not checkpointer._thread.is_alive()
    connection.close()


def wait_until(condition) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
