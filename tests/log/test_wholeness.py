"""A log from which something is missing, or in which something was changed."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from dp3.clock import FakeClock
from dp3.log.port import Append, Appended, Entry, Lane, Log, LogFull, LogIncomplete, OutboxSlice, Producer
from dp3.sqlite import FormatError

BACKENDS = ("sqlite",)

OpenLog = Callable[..., Log]

EVERYTHING = 1 << 40
ENTRIES = 12
DAY_S = 86_400


def body_of(number: int) -> bytes:
    return b"entry %d " % number * 40


@pytest.fixture
def directory(opened: OpenLog, tmp_path: Path) -> Path:
    """A closed log with some entries in each lane, four to a segment."""
    log = opened(segment_bytes=1200)
    for number in range(1, ENTRIES + 1):
        log.append([Append([{0: body_of(number)}], (f"key {number}", b"digest"))])
        log.append_outbox([OutboxSlice(Producer(0, 0), number, {0: body_of(number)})], 0)
    log.close()
    return tmp_path / "log"


def segments(directory: Path, lane: str = "main") -> list[Path]:
    return sorted((directory / lane).glob("*.seg"))


def read(log: Log, lane: Lane = Lane.MAIN) -> list[Entry]:
    return log.read(lane, 0, EVERYTHING)


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.offset for entry in entries if not entry.damage]


def first_of(path: Path) -> int:
    return int(path.stem)


@pytest.mark.parametrize("which", [0, 1, -1], ids=["first", "middle", "last"])
@pytest.mark.parametrize("lane", ["main", "derived"])
@pytest.mark.parametrize("how", ["removed", "emptied", "cut", "zeroed"])
def test_a_log_without_one_of_its_segments_is_refused(
    opened: OpenLog, directory: Path, which: int, lane: str, how: str
) -> None:
    path = segments(directory, lane)[which]
    harm(path, how)
    with pytest.raises((LogIncomplete, FormatError), match=r"missing|damaged|unreadable|not a SQLite"):
        opened()


def harm(path: Path, how: str) -> None:
    if how == "removed":
        path.unlink()
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("which", [0, 1, -1], ids=["first", "middle", "last"])
@pytest.mark.parametrize("how", ["removed", "emptied", "cut", "zeroed"])
def test_a_loss_that_is_accepted_is_recorded_and_the_rest_is_read(
    opened: OpenLog, directory: Path, which: int, how: str
) -> None:
    path = segments(directory)[which]
    following = [first_of(other) for other in segments(directory) if first_of(other) > first_of(path)]
    lost = range(first_of(path), min(following, default=ENTRIES + 1))
    harm(path, how)
    opened(accept_loss=True).close()
    assert (directory / "main" / "accepted-losses.json").read_text().count('"first"') == 1
    log = opened()
    entries = read(log)
    assert numbers(entries) == [number for number in range(1, ENTRIES + 1) if number not in lost]
    if which:
        told = [entry for entry in entries if entry.damage]
        assert [entry.offset for entry in told] == [lost[-1]]
    log.append([Append([{0: b"new"}])])
    assert log.head(Lane.MAIN).offset == ENTRIES + 1
    assert read(log)[-1].slices == {0: b"new"}


def test_an_end_that_is_lost_is_noticed_and_nothing_new_takes_its_place(
    opened: OpenLog, tmp_path: Path
) -> None:
    log = opened()
    for number in range(1, 6):
        log.append([Append([{0: body_of(number)}])])
    (segment,) = segments(tmp_path / "log")
    copies = {path: path.read_bytes() for path in segment.parent.glob(f"{segment.name}*")}
    log.append([Append([{0: b"lost"}])])
    order = log.head(Lane.MAIN).order
    log.close()
    for path in segment.parent.glob(f"{segment.name}*"):
        path.unlink()
    for path, data in copies.items():
        if not path.name.endswith("-shm"):
            path.write_bytes(data)
    with pytest.raises(LogIncomplete, match="entry 6 is missing"):
        opened()
    log = opened(accept_loss=True)
    log.append([Append([{0: b"new"}])])
    last = read(log)[-1]
    assert (last.offset, last.slices) == (7, {0: b"new"})
    assert last.order > order


def test_a_write_ahead_log_that_is_gone_is_noticed(opened: OpenLog, tmp_path: Path) -> None:
    log = opened()
    log.append([Append([{0: body_of(1)}])])
    (segment,) = segments(tmp_path / "log")
    alone = segment.read_bytes()
    log.close()
    segment.write_bytes(alone)
    with pytest.raises((LogIncomplete, FormatError)):
        opened()


def test_a_log_that_ends_earlier_than_its_note_after_power_loss_is_whole(
    opened: OpenLog, directory: Path
) -> None:
    note = directory / "main" / "head"
    older = note.read_bytes()
    log = opened()
    log.append([Append([{0: b"more"}])])
    log.close()
    note.write_bytes(older)
    assert opened().head(Lane.MAIN).offset == ENTRIES + 1


@pytest.mark.parametrize("harm_note", ["removed", "cut", "changed"])
def test_a_log_without_the_note_of_its_end_is_refused(
    opened: OpenLog, directory: Path, harm_note: str
) -> None:
    note = directory / "main" / "head"
    data = note.read_bytes()
    if harm_note == "removed":
        note.unlink()
    else:
        note.write_bytes(data[:20] if harm_note == "cut" else data[:9] + bytes([data[9] ^ 1]) + data[10:])
    with pytest.raises(LogIncomplete, match="note of where the log ends"):
        opened()
    assert numbers(read(opened(accept_loss=True))) == list(range(1, ENTRIES + 1))
    assert numbers(read(opened())) == list(range(1, ENTRIES + 1))


@pytest.mark.parametrize("harm_note", ["removed", "changed"])
def test_what_was_appended_is_acknowledged_also_without_the_note_of_it(
    opened: OpenLog, directory: Path, harm_note: str
) -> None:
    log = opened()
    log.append([Append([{0: b"before"}])])
    note = directory / "main" / "head"
    if harm_note == "removed":
        note.unlink()
    else:
        note.write_bytes(b"something else")
    (appended,) = log.append([Append([{0: b"new"}])])
    assert isinstance(appended, Appended)
    assert appended.offset == log.head(Lane.MAIN).offset == ENTRIES + 2
    log.close()
    assert read(opened(accept_loss=harm_note == "changed"))[-1].slices == {0: b"new"}


def test_a_process_that_has_the_log_open_goes_on_with_the_note_that_another_one_has_made_anew(
    opened: OpenLog, directory: Path
) -> None:
    log = opened()
    log.append([Append([{0: b"before"}])])
    (directory / "main" / "head").write_bytes(b"something else")
    opened(accept_loss=True)
    before = (directory / "main" / "head").read_bytes()
    log.append([Append([{0: b"new"}])])
    assert (directory / "main" / "head").read_bytes() != before


@pytest.mark.parametrize("lane", list(Lane))
def test_a_log_that_goes_on_above_what_was_known_can_be_opened_again(
    opened: OpenLog, directory: Path, lane: Lane
) -> None:
    opened().resume_after(lane, ENTRIES + 5, 1000)
    log = opened()
    assert log.head(lane).offset == ENTRIES + 5
    (gap,) = log.read(lane, ENTRIES, EVERYTHING)
    assert (gap.offset, gap.damage) == (ENTRIES + 5, f"entries {ENTRIES + 1} to {ENTRIES + 5} are missing")


def test_a_log_that_can_not_note_what_it_goes_on_without_stays_as_it_is(
    opened: OpenLog, directory: Path
) -> None:
    log, in_the_way = opened(), directory / "main" / "accepted-losses.json.new"
    in_the_way.mkdir()
    with pytest.raises(LogFull):
        log.resume_after(Lane.MAIN, ENTRIES + 5, 1000)
    in_the_way.rmdir()
    log.append([Append([{0: b"new"}])])
    assert numbers(read(log)) == list(range(1, ENTRIES + 2))


def test_segments_that_were_removed_because_of_their_age_are_not_missing(
    opened: OpenLog, directory: Path, clock: FakeClock
) -> None:
    clock.advance(3 * DAY_S)
    log = opened()
    assert log.remove_before(Lane.MAIN, 8) >= 1
    begin = log.begin(Lane.MAIN)
    log.close()
    assert opened().begin(Lane.MAIN) == begin > 1


def test_a_removal_that_was_interrupted_is_no_loss(
    opened: OpenLog, directory: Path, clock: FakeClock
) -> None:
    oldest = segments(directory)[0]
    data = oldest.read_bytes()
    clock.advance(3 * DAY_S)
    log = opened()
    log.remove_before(Lane.MAIN, 8)
    log.close()
    oldest.write_bytes(data)
    assert opened().head(Lane.MAIN).offset == ENTRIES


def test_a_segment_under_another_name_is_refused(opened: OpenLog, directory: Path) -> None:
    first, second, *_ = segments(directory)
    data = first.read_bytes(), second.read_bytes()
    first.write_bytes(data[1])
    second.write_bytes(data[0])
    with pytest.raises(LogIncomplete):
        opened()


@pytest.mark.parametrize("seed", range(200))
def test_a_flipped_byte_gives_what_was_written_or_says_that_it_is_damaged(
    opened: OpenLog, directory: Path, seed: int
) -> None:
    chance = random.Random(seed)
    path = chance.choice(segments(directory))
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    try:
        log = opened()
        entries = read(log)
        repeated = [
            log.append([Append([{0: b"x"}], (f"key {n}", b"digest"))])[0] for n in range(1, ENTRIES + 1)
        ]
    except (FormatError, LogIncomplete):
        return
    assert entries[-1].offset >= ENTRIES or entries[-1].damage
    for entry in entries:
        if not entry.damage and entry.offset <= ENTRIES:
            assert entry.slices == {0: body_of(entry.offset)}
    assert all(getattr(one, "repeated", False) for one in repeated)
