"""The log on SQLite: its files, crashes and full disks."""

import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec
import pytest

from dp3.clock import FakeClock
from dp3.log.port import Append, Entry, Lane, Log, LogFull, LogIncomplete, OutboxSlice, Producer
from dp3.log.sqlite import open_log
from dp3.log.sqlite.segments import PAGE_SIZE
from dp3.sqlite import FormatError

BACKENDS = ("sqlite",)

EVERYTHING = 1 << 40
OpenLog = Callable[..., Log]


def segments(directory: Path, lane: str = "main") -> list[str]:
    return sorted(path.name for path in (directory / "log" / lane).glob("*.seg"))


def name(first: int) -> str:
    return f"{first:020d}.seg"


def an_append(size: int = 10) -> Append:
    return Append([{0: msgspec.msgpack.encode([noise(size)])}])


def noise(size: int) -> bytes:
    """So many bytes that do not get fewer when they are compressed; the same ones each time."""
    return random.Random(size).randbytes(size)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


# -- files ---------------------------------------------------------------------------------------------
def test_segment_is_named_after_its_first_offset(opened: OpenLog, tmp_path: Path) -> None:
    log = opened(segment_bytes=1)
    log.append([an_append(), an_append()])
    log.append([an_append()])
    assert segments(tmp_path) == [name(1), name(3)]


def test_a_segment_that_is_damaged_for_good_is_named_instead_of_waited_for(
    opened: OpenLog, tmp_path: Path
) -> None:
    log = opened(segment_bytes=1)
    for _ in range(3):
        log.append([an_append()])
    log.close()
    (tmp_path / "log" / "main" / name(2)).write_bytes(b"")
    with pytest.raises(LogIncomplete, match=f"(?i)entry 2 is missing.*{name(2)}.*restore the data directory"):
        opened(segment_bytes=1)


def test_new_segment_begins_when_the_last_is_large_enough(opened: OpenLog, tmp_path: Path) -> None:
    log = opened(segment_bytes=2500)
    for _ in range(6):
        log.append([an_append(1000)])
    assert segments(tmp_path) == [name(1), name(4)]


def test_new_segment_begins_when_the_last_is_old_enough(
    opened: OpenLog, tmp_path: Path, clock: FakeClock
) -> None:
    log = opened(segment_age_s=60)
    for _ in range(4):
        log.append([an_append()])
        clock.advance(30)
    assert segments(tmp_path) == [name(1), name(3)]


def test_segment_without_entries_does_not_get_old(opened: OpenLog, tmp_path: Path, clock: FakeClock) -> None:
    log = opened(segment_age_s=60)
    clock.advance(1000)
    log.append([an_append()])
    assert segments(tmp_path) == [name(1)]


def test_finished_segment_loses_its_wal(opened: OpenLog, tmp_path: Path) -> None:
    log = opened(segment_bytes=1)
    log.append([an_append()])
    log.append([an_append()])
    wait_until(lambda: not (tmp_path / "log" / "main" / (name(1) + "-wal")).exists())
    assert len(log.read(Lane.MAIN, 0, EVERYTHING)) == 2


def test_old_segments_do_not_make_appends_with_a_key_slow(opened: OpenLog, clock: FakeClock) -> None:
    """Looking into all of them took some milliseconds each, far more than the append."""
    log = opened(segment_bytes=1)
    for _ in range(60):
        log.append([an_append()])
    clock.advance(3 * 86_400)
    keys = [Append(an_append().entries, (key, b"digest")) for key in "abcdef"]
    log.append(keys[:1])
    plain_s = min(seconds(log, an_append()) for _ in range(5))
    assert min(seconds(log, append) for append in keys[1:]) < 5 * plain_s + 0.01


def seconds(log: Log, append: Append) -> float:
    started = time.perf_counter()
    log.append([append])
    return time.perf_counter() - started


def test_removed_segments_leave_no_file(opened: OpenLog, tmp_path: Path, clock: FakeClock) -> None:
    log = opened(segment_bytes=1)
    for _ in range(3):
        log.append([an_append()])
    clock.advance(2 * 24 * 3600)
    assert log.remove_before(Lane.MAIN, 3) == 2
    assert [path for path in (tmp_path / "log" / "main").iterdir() if path.name < name(3)] == []


def test_closed_log_leaves_segments_and_locks_only(opened: OpenLog, tmp_path: Path) -> None:
    log = opened()
    log.append([an_append()])
    log.close()
    assert sorted(path.name for path in (tmp_path / "log" / "main").iterdir()) == [
        name(1),
        "head",
        "lock",
        "lock.gate",
    ]


def test_segment_of_another_program_is_refused(opened: OpenLog, tmp_path: Path) -> None:
    opened().close()
    connection = apsw.Connection(str(tmp_path / "log" / "main" / name(1)))
    connection.pragma("application_id", 1)
    connection.close()
    with pytest.raises(FormatError, match="another program"):
        opened()


def test_segment_of_a_newer_version_is_refused(opened: OpenLog, tmp_path: Path) -> None:
    opened().close()
    connection = apsw.Connection(str(tmp_path / "log" / "main" / name(1)))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(FormatError, match="newer DP³ \\(format 99"):
        opened()


def test_a_damaged_body_says_so_and_does_not_keep_others_from_being_read(
    opened: OpenLog, tmp_path: Path
) -> None:
    log = opened()
    log.append([an_append(), an_append(), an_append()])
    connection = apsw.Connection(str(tmp_path / "log" / "main" / name(1)))
    connection.execute("UPDATE entry SET body = x'0200' WHERE offset = 2")
    connection.close()
    entries = log.read(Lane.MAIN, 0, EVERYTHING)
    assert [bool(entry.damage) for entry in entries] == [False, True, False]
    assert (entries[1].offset, dict(entries[1].slices)) == (2, {})
    assert "checksum" in entries[1].damage


# -- crashes -------------------------------------------------------------------------------------------
def seal(directory: Path, first: int) -> None:
    connection = apsw.Connection(str(directory / "log" / "main" / name(first)))
    connection.execute("UPDATE segment SET sealed = 1")
    connection.close()


@pytest.mark.parametrize("sealed", [True, False])
def test_the_next_entry_is_found_behind_those_that_can_not_be_read(
    opened: OpenLog, tmp_path: Path, sealed: bool
) -> None:
    log = opened()
    for _ in range(60):
        log.append([an_append(3000)])
    log.close()
    path = tmp_path / "log" / "main" / name(1)
    with path.open("r+b") as file:
        file.seek(15 * PAGE_SIZE)
        file.write(b"\xff" * 8)
    log = opened(segment_bytes=1 if sealed else 1 << 30)
    log.append([an_append()])
    entries = log.read(Lane.MAIN, 0, EVERYTHING)
    entries += log.read(Lane.MAIN, entries[-1].offset, EVERYTHING)
    (damaged,) = (number for number, entry in enumerate(entries) if entry.damage)
    before, behind = entries[damaged - 1 : damaged + 2 : 2]
    assert behind.offset > before.offset + 1
    assert log.order_after(Lane.MAIN, before.offset) == behind.order
    bounds = log.bounds([behind.order, before.order])
    assert bounds[behind.order][Lane.MAIN] == behind.offset
    assert before.offset <= bounds[before.order][Lane.MAIN] < behind.offset
    waiting = log.waiting(Lane.MAIN, [before.offset])[before.offset]
    assert waiting == (log.bytes_after(Lane.MAIN, before.offset), behind.append_time)


def test_crash_between_the_end_of_a_segment_and_the_next_is_mended_by_the_next_append(
    opened: OpenLog, tmp_path: Path
) -> None:
    log = opened()
    reader = opened()
    log.append([an_append()])
    log.close()
    seal(tmp_path, 1)
    before = reader.version()
    again = opened()
    assert again.head(Lane.MAIN).offset == 1
    again.append([an_append()])
    assert segments(tmp_path) == [name(1), name(2)]
    assert reader.version() != before
    assert [entry.offset for entry in reader.read(Lane.MAIN, 0, EVERYTHING)] == [1, 2]


def test_segment_made_by_half_is_tolerated_and_finished(opened: OpenLog, tmp_path: Path) -> None:
    log = opened()
    log.append([an_append()])
    log.close()
    seal(tmp_path, 1)
    (tmp_path / "log" / "main" / name(2)).touch()
    again = opened()
    assert len(again.read(Lane.MAIN, 0, EVERYTHING)) == 1
    assert again.append([an_append()])
    assert [entry.offset for entry in again.read(Lane.MAIN, 0, EVERYTHING)] == [1, 2]


def test_first_segment_made_by_half_is_finished(opened: OpenLog, tmp_path: Path) -> None:
    (tmp_path / "log" / "main").mkdir(parents=True)
    (tmp_path / "log" / "main" / name(1)).touch()
    log = opened()
    log.append([an_append()])
    assert log.head(Lane.MAIN).offset == 1


def test_leftovers_of_an_interrupted_removal_are_cleaned(opened: OpenLog, tmp_path: Path) -> None:
    opened().close()
    for suffix in ("-wal", "-shm"):
        (tmp_path / "log" / "main" / (name(0) + suffix)).touch()
    opened().close()
    assert not list((tmp_path / "log" / "main").glob("*.seg-*"))


APPENDING = """
import sys
from pathlib import Path
import msgspec
from dp3.clock import SystemClock
from dp3.log.port import Append, Lane, OutboxSlice, Producer, LogIncomplete
from dp3.log.sqlite import open_log
from dp3.log.sqlite.segments import PAGE_SIZE

log = open_log(Path(sys.argv[1]), SystemClock(), segment_bytes=3000)
number = int(sys.argv[2])
while True:
    body = {0: msgspec.msgpack.encode([number])}
    log.append([Append([body], (str(number), b"digest"))])
    log.append_outbox([OutboxSlice(Producer(0, Lane.MAIN), number, body)], 0)
    print(number, flush=True)
    number += 1
"""


def killed_while_appending(directory: Path, start: int, lines: int) -> int:
    """Kills a process that appends numbers from `start`; returns the last number it acknowledged."""
    child = subprocess.Popen(
        [sys.executable, "-c", APPENDING, str(directory), str(start)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for _ in range(lines):
        assert child.stdout.readline()
    child.kill()
    rest = child.stdout.read().split("\n")[:-1]
    child.communicate()
    return int(rest[-1]) if rest else start + lines - 1


def test_everything_acknowledged_before_a_kill_is_there_once_and_in_order(tmp_path: Path) -> None:
    acknowledged = 0
    for round_ in range(8):
        # What the killed process had not acknowledged is sent again, as a producer would.
        acknowledged = killed_while_appending(tmp_path, acknowledged + 1, 20 + 17 * round_)
    log = open_log(tmp_path, FakeClock(time.time_ns() // 1000))
    for lane in Lane:
        entries = log.read(lane, 0, EVERYTHING)
        numbers = [msgspec.msgpack.decode(entry.slices[0])[0] for entry in entries]
        assert numbers in (list(range(1, acknowledged + 1)), list(range(1, acknowledged + 2)))
        assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
        assert log.head(lane)[:2] == (len(entries), sum(entry.size for entry in entries))
    log.close()


WRITING = """
import sys
from pathlib import Path
import msgspec
from dp3.clock import SystemClock
from dp3.log.port import Append, LogIncomplete
from dp3.log.sqlite import open_log
from dp3.log.sqlite.segments import PAGE_SIZE

log = open_log(Path(sys.argv[1]), SystemClock(), segment_bytes=500)
for number in range(100):
    log.append([Append([{0: msgspec.msgpack.encode([sys.argv[2], number])}])])
log.close()
"""


def followed(log: Log, count: int) -> list[Entry]:
    """The first `count` entries, read as they come, whenever the version says that there are some."""
    seen: list[Entry] = []
    version: tuple[int, ...] = ()
    deadline = time.monotonic() + 30
    while len(seen) < count:
        assert time.monotonic() < deadline
        if (now := log.version()) != version:
            version = now
            seen += log.read(Lane.MAIN, seen[-1].offset if seen else 0, EVERYTHING)
    return seen


def test_processes_append_to_one_lane_without_losing_or_reordering(opened: OpenLog, tmp_path: Path) -> None:
    log = opened()
    children = [subprocess.Popen([sys.executable, "-c", WRITING, str(tmp_path), who]) for who in "abc"]
    try:
        seen = followed(log, 300)
        assert [child.wait() for child in children] == [0, 0, 0]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert [entry.offset for entry in seen] == list(range(1, 301))
    written = [tuple(msgspec.msgpack.decode(entry.slices[0])) for entry in seen]
    for who in "abc":
        assert [number for name_, number in written if name_ == who] == list(range(100))


# -- full disk -----------------------------------------------------------------------------------------
@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes meanwhile; SQLite sees its writes fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_refused_append_leaves_nothing_and_later_ones_work(opened: OpenLog) -> None:
    log = opened()
    log.append([an_append()])
    head = log.head(Lane.MAIN)
    with files_limited_to(200_000), pytest.raises(LogFull, match="nothing was added; free some space"):
        log.append([an_append(10), an_append(1_000_000)])
    assert log.head(Lane.MAIN) == head
    log.append([an_append(1_000_000)])
    assert [entry.offset for entry in log.read(Lane.MAIN, 0, EVERYTHING)] == [1, 2]


def test_refused_drain_does_not_advance_the_producers_key(opened: OpenLog) -> None:
    log = opened()
    part = OutboxSlice(Producer(0, Lane.MAIN), 1, {0: msgspec.msgpack.encode([noise(1_000_000)])})
    with files_limited_to(200_000), pytest.raises(LogFull):
        log.append_outbox([part], 0)
    assert log.head(Lane.DERIVED).offset == 0
    assert log.append_outbox([part], 0) is not None


def test_refused_rotation_leaves_the_log_usable(opened: OpenLog, tmp_path: Path) -> None:
    log = opened(segment_bytes=1)
    log.append([an_append()])
    with files_limited_to(5_000), pytest.raises(LogFull):
        log.append([an_append()])
    log.append([an_append()])
    assert [entry.offset for entry in log.read(Lane.MAIN, 0, EVERYTHING)] == [1, 2]
    assert opened().head(Lane.MAIN).offset == 2


def test_small_disk_fills_up_and_works_again_when_there_is_space(opened: OpenLog, tmp_path: Path) -> None:
    log = opened(segment_bytes=50_000)
    accepted = 0
    with files_limited_to(100_000), pytest.raises(LogFull):
        for size in range(0, 200_000, 10_000):
            log.append([an_append(size)])
            accepted += 1
    log.append([an_append()])
    assert log.head(Lane.MAIN).offset == accepted + 1
    assert len(opened().read(Lane.MAIN, 0, EVERYTHING)) == accepted + 1
