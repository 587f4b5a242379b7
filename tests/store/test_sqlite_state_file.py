"""The file of the SQLite store: making, opening, refusing, failing."""

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from dp3.clock import LAST_US, FakeClock
from dp3.history.segments import encode_segments
from dp3.sqlite import (
    FairLock,
    FormatError,
    connect,
    has_checksums,
    verify_file,
    wal_size,
)
from dp3.statements import load_statements
from dp3.store.ports.batches import Batch
from dp3.store.ports.errors import StoreFull
from dp3.store.ports.history import RecentRow
from dp3.store.ports.leases import Lease
from dp3.store.ports.retention import AT_ONCE, FIRST_TAG, LAST_TAG
from dp3.store.ports.state import State
from dp3.store.sqlite import open_state, opening
from dp3.store.sqlite.opening import FORMAT
from kit.rows import a_batch, created, history_row, plain_row, progress, take_lease
from kit.run_rows import a_run, close, written

BACKENDS = ["sqlite"]

MIB = 1 << 20
BIG = b"x" * 4000


@contextmanager
def connections_opened() -> Iterator[list[apsw.Connection]]:
    """All connections of this process that are opened in the block."""
    opened: list[apsw.Connection] = []
    apsw.connection_hooks.append(opened.append)
    try:
        yield opened
    finally:
        apsw.connection_hooks.remove(opened.append)


def edit(path: Path, pragma: str, value: int) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma(pragma, value)
    connection.close()


def test_the_number_of_partitions_is_fixed_when_the_state_is_made(open_state: Callable[..., State]) -> None:
    assert open_state(partitions=8).partitions == 8
    again = open_state(partitions=16)
    assert again.partitions == 8
    assert len(again.batches.positions()) == 16


def test_a_state_needs_at_least_one_partition_and_a_failed_attempt_leaves_no_state(
    tmp_path: Path, open_state: Callable[..., State]
) -> None:
    with pytest.raises(ValueError, match="partitions must be at least 1, got 0"):
        open_state(partitions=0)
    assert open_state(partitions=2).partitions == 2


def test_what_was_committed_is_there_after_reopening(open_state: Callable[..., State]) -> None:
    store = open_state()
    row = plain_row(store, 1, "name", "x")
    created(store, take_lease(store), plain=[row])
    store.close()
    assert open_state().entities.profile("device", "d1") == (1, [row], [], {}, [])


RENAMED = {("plain", "written"): "entry_order", ("link", "written"): "entry_order"}
RENAMED |= {("outbox", "after_us"): "after_order"}
"""Columns of the first version that have other names now."""


def make_older(directory: Path) -> list[Any]:
    """Turn a state into one of the first version; returns what it had."""
    new, old = directory / "state.db", directory / "older.db"
    sql = load_statements("dp3.store.sqlite", "schema.sql")
    connection = apsw.Connection(str(old))
    connection.execute(sql["schema"])
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    connection.execute("ATTACH ? AS new", (str(new),))
    names: list[Any] = connection.execute("SELECT name FROM new.sqlite_schema").fetchall()
    for table in tables:
        columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]
        there = ", ".join(RENAMED.get((table, name), name) for name in columns)
        source = "new.fresh JOIN new.incoming USING (key)" if table == "fresh" else f"new.{table}"
        connection.execute(f"DELETE FROM {table}; INSERT INTO {table} SELECT {there} FROM {source}")
    connection.execute("DELETE FROM number WHERE name = 'link_changes'")
    connection.pragma("application_id", connection.execute("PRAGMA new.application_id").get)
    connection.pragma("user_version", 1)
    connection.execute("DETACH new")
    connection.pragma("journal_mode", "wal")
    connection.close()
    for suffix in ("-wal", "-shm"):
        new.with_name(new.name + suffix).unlink(missing_ok=True)
    old.rename(new)
    return names


def test_an_older_state_gets_what_it_lacks(open_state: Callable[..., State], tmp_path: Path) -> None:
    store = open_state()
    lease = take_lease(store)
    created(store, lease, history=[history_row(store, 1, "load", n, offset=n) for n in (1, 2)])
    before = store.entities.profile("device", "d1")
    store.close()
    names = make_older(tmp_path)
    for _ in range(2):
        store = open_state()
        assert store.entities.profile("device", "d1") == before
        store.close()
    connection = apsw.Connection(str(tmp_path / "state.db"))
    assert set(connection.execute("SELECT name FROM sqlite_schema")) == set(names)
    connection.close()


def test_a_state_without_checksums_gets_them_and_keeps_everything(
    open_state: Callable[..., State], tmp_path: Path
) -> None:
    store = open_state(partitions=8)
    lease = take_lease(store)
    created(store, lease, history=[history_row(store, 1, "load", n, offset=n) for n in (1, 2)])
    before = store.entities.profile("device", "d1")
    store.close()
    make_older(tmp_path)
    store = open_state()
    assert store.partitions == 8
    assert store.entities.profile("device", "d1") == before
    store.close()
    assert verify_file(tmp_path / "state.db") == []
    connection = connect(tmp_path / "state.db", readonly=True)
    assert has_checksums(connection)
    assert connection.pragma("user_version") == FORMAT
    connection.close()


def test_rows_packed_by_an_older_version_are_due_when_they_begin(
    open_state: Callable[..., State], tmp_path: Path
) -> None:
    """Retention relies on it. Until format 5 they were due when something of them ended."""
    open_state().close()
    sql = load_statements("dp3.store.sqlite", "schema.sql")
    old = connect(tmp_path / "older.db", page_size=4096)
    for name in ("schema", "format_2", "format_3", "format_4"):
        old.execute(sql[name])
    new = connect(tmp_path / "state.db", readonly=True)
    old.executemany("INSERT OR REPLACE INTO number VALUES (?, ?)", new.execute("SELECT * FROM number"))
    old.pragma("application_id", new.pragma("application_id"))
    new.close()
    place = (1, 1, 7)
    rows = [
        (*place, 0, 40, 2, b"A", encode_segments([(10, 60, 1, 1), (30, 40, 1, 1)])),
        (*place, 1, AT_ONCE, 1, b"A", encode_segments([(90, 95, 1, 1)])),
        (1, 2, ~7, 0, 40, 1, b"A", encode_segments([(10, 40, None, 1)])),
    ]
    old.executemany("INSERT INTO packed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    old.pragma("user_version", 4)
    old.close()
    (tmp_path / "older.db").rename(tmp_path / "state.db")
    (tmp_path / "state.db-wal").unlink(missing_ok=True)
    store = open_state()
    packed, _ = store.retention.scoped([(1, 1, FIRST_TAG, LAST_TAG)], whole=True)
    assert [(row.oldest, row.first) for row in packed] == [(10, 10), (AT_ONCE, None)]
    to_make = store.history.scans_to_make(take_lease(store), 0, 0, 10)
    assert to_make == [RecentRow(1, 1, 0, None)], "the scan over observations is made by the next pass"
    (series,), _ = open_state().retention.scoped([(1, 2, ~7, ~7)], whole=True)
    assert (series.oldest, series.first) == (40, 10)


def test_an_older_state_that_is_in_use_is_not_touched(
    open_state: Callable[..., State], tmp_path: Path
) -> None:
    open_state().close()
    path = tmp_path / "state.db"
    make_older(tmp_path)
    old = apsw.Connection(str(path))
    old.execute("SELECT * FROM entity").fetchall()
    with pytest.raises(FormatError, match=r"state\.db: .* stop all processes of the old version"):
        open_state()
    assert old.execute("PRAGMA user_version").get == 1
    old.close()
    open_state()


def test_whoever_waits_for_the_state_to_be_made_ready_says_so(
    open_state: Callable[..., State],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(opening, "TELL_AFTER_S", 0.01)
    lock = FairLock(tmp_path / "state.lock")
    with ThreadPoolExecutor() as pool:
        with lock:
            opened = pool.submit(open_state)
            while "state.db: not open yet" not in caplog.text:
                time.sleep(0.01)
        opened.result()
    lock.close()


def test_superseded_snapshots_of_an_older_state_can_be_removed(
    open_state: Callable[..., Any], tmp_path: Path
) -> None:
    store = open_state()
    lease = take_lease(store)
    created(store, lease)
    for at in (10, 20, 30):
        run = a_run(store, at)
        written(store, lease, run, {1: b"%d" % at})
        close(store, run)
    store.close()
    make_older(tmp_path)
    store = open_state()
    store.cleaning.raise_horizon(lease, 20, LAST_US)
    while store.cleaning.clean(lease, 10).more:
        pass
    assert [row.doc for row in store.snapshots.of("device", "d1")] == [b"20", b"30"]


def test_a_state_of_a_newer_version_is_not_touched(open_state: Callable[..., State], tmp_path: Path) -> None:
    open_state().close()
    edit(tmp_path / "state.db", "user_version", 99)
    with pytest.raises(FormatError, match="the state was written by a newer DP³"):
        open_state()


def test_a_file_of_another_program_is_not_touched(open_state: Callable[..., State], tmp_path: Path) -> None:
    edit(tmp_path / "state.db", "application_id", 1234)
    with pytest.raises(FormatError, match="file of another program"):
        open_state()


def test_processes_that_make_the_state_at_once_agree(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from dp3.clock import SystemClock\n"
        "from dp3.store.sqlite import open_state\n"
        "sys.stdin.read()\n"
        "print(open_state(Path(sys.argv[1]), SystemClock(), partitions=int(sys.argv[2])).partitions)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, tmp_path / "new" / "state", str(partitions)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for partitions in (3, 4, 5)
    ]
    for process in processes:
        assert process.stdin
        process.stdin.close()
    answers = set()
    for process in processes:
        assert process.stdout
        answers.add(process.stdout.read())
        process.stdout.close()
        assert process.wait() == 0
    assert len(answers) == 1


def test_closing_twice_is_allowed_and_reading_afterwards_is_not(open_state: Callable[..., State]) -> None:
    store = open_state(checkpoint=True)
    store.close()
    store.close()
    with pytest.raises(RuntimeError, match="the store is closed"):
        store.batches.positions()


@contextmanager
def no_more_pages(tmp_path: Path, connections: list[apsw.Connection]) -> Iterator[None]:
    """SQLite reports a full disk."""
    before = [connection.pragma("max_page_count") for connection in connections]
    for connection in connections:
        connection.pragma("max_page_count", connection.pragma("page_count") + 5)
    try:
        yield
    finally:
        for connection, pages in zip(connections, before, strict=True):
            connection.pragma("max_page_count", pages)


@contextmanager
def no_larger_files(tmp_path: Path, connections: list[apsw.Connection]) -> Iterator[None]:
    """The operating system refuses to let any file grow (Python ignores the signal that comes with it)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal_size(tmp_path / "state.db") + 20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("full_disk", [no_more_pages, no_larger_files])
def test_a_full_disk_refuses_a_commit_as_a_whole_and_the_next_one_works(
    tmp_path: Path, full_disk: Callable[[Path, list[apsw.Connection]], AbstractContextManager[None]]
) -> None:
    with connections_opened() as connections:
        store = open_state(tmp_path, FakeClock())
        lease = take_lease(store)
        created(store, lease, plain=[plain_row(store, 1, "name", "x")])
        before = store.entities.profile("device", "d1"), store.batches.positions()
        rows = [history_row(store, 1, "load", n, offset=n)._replace(v=BIG) for n in range(1, 300)]
        large = a_batch(rows, progress=progress(store, lease, 1))
        with (
            full_disk(tmp_path, [c for c in connections if is_writing(c)]),
            pytest.raises(StoreFull) as error,
        ):
            store.batches.commit(lease, large)
        assert "nothing was written" in str(error.value)
        assert (store.entities.profile("device", "d1"), store.batches.positions()) == before
        store.batches.commit(lease, large)
        profile = store.entities.profile("device", "d1")
        assert profile is not None
        assert len(profile.history) == len(rows)
        store.close()


def is_writing(connection: apsw.Connection) -> bool:
    try:
        return not connection.readonly("main")
    except apsw.ConnectionClosedError:
        return False


def test_the_write_ahead_log_stays_bounded_while_somebody_reads(
    tmp_path: Path, open_state: Callable[..., State]
) -> None:
    store = open_state(checkpoint=True, wal_limit_mib=1)
    lease = take_lease(store)
    created(store, lease)
    largest = 0
    with reading_old_states(tmp_path / "state.db", hold_s=0.1):
        for offset in range(1, 20):
            store.batches.commit(lease, a_large_batch(store, lease, offset))
            largest = max(largest, wal_size(tmp_path / "state.db"))
    one_commit = 120 * 2 * 4096
    assert largest <= 1 * MIB + one_commit


def a_large_batch(store: State, lease: Lease, offset: int) -> Batch:
    rows = [history_row(store, 1, "load", n, offset=offset, number=n)._replace(v=BIG) for n in range(100)]
    return a_batch(rows, progress=progress(store, lease, offset))


@contextmanager
def reading_old_states(path: Path, hold_s: float) -> Iterator[None]:
    """Another program that keeps each state it reads for a while, one after the other."""
    stop, reading = threading.Event(), threading.Event()

    def read() -> None:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        while not stop.is_set():
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM entity").fetchall()
            reading.set()
            stop.wait(hold_s)
            connection.execute("COMMIT")
        connection.close()

    thread = threading.Thread(target=read)
    thread.start()
    reading.wait()
    try:
        yield
    finally:
        stop.set()
        thread.join()
