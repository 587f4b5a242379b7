"""A lane must have all of its entries, which is looked at when it is opened; or it goes on without some."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from dp3.files import FILE_MODE, OtherFormat, sync_path
from dp3.log.ages import Tail
from dp3.log.port import LogIncomplete
from dp3.log.sqlite.head import EMPTY, Extent, HeadFile
from dp3.log.sqlite.migrating import bring_up
from dp3.log.sqlite.segments import RESTORE, SegmentFiles, SegmentMissing
from dp3.sqlite import FormatError

GONE = "their file is gone, or lost its end"

ACCEPTED = "accepted-losses.json"

logger = logging.getLogger(__name__)


class Loss(msgspec.Struct, frozen=True):
    """Entries `first` to `last` of a lane are missing. `accepted_at` (µs) is when that was accepted."""

    first: int
    last: int
    reason: str
    accepted_at: int = 0

    def __str__(self) -> str:
        which = (
            f"entry {self.last} is" if self.first == self.last else f"entries {self.first} to {self.last} are"
        )
        return f"{which} missing ({self.reason})"


def require_whole(files: SegmentFiles, now_us: int, *, accept_loss: bool) -> None:
    """Called under the lane's lock, before it is read or written. Raises `LogIncomplete` if entries are
    missing and that was not accepted, now or before. With `accept_loss` the lane is made fit to go on."""
    note = HeadFile(files.directory)
    try:
        bring_up(files, note)
        found = _look(files, note)
        if not found.problems:
            return
        if not accept_loss:
            raise LogIncomplete(
                f"{files.directory}: {'; '.join(map(str, found.problems))}. {RESTORE.capitalize()}; "
                "or go on without what is missing (--accept-loss)"
            )
        _accept(files, note, found, now_us)
    finally:
        note.close()


class _Usable(NamedTuple):
    """The end of a segment, and how many of its notes of what was appended before are damaged (of the one at
    the end of the lane; others are looked at when they are used)."""

    tail: Tail
    damaged_notes: int


class _Found(NamedTuple):
    """The segments that can be used, those that can not, and what is missing."""

    extent: Extent | None
    segments: Sequence[_Usable]
    unusable: Sequence[Path]
    problems: Sequence[Loss | str]


def missing_in(files: SegmentFiles) -> list[str]:
    """The gaps of a lane, as text; changes nothing."""
    note = HeadFile(files.directory, readonly=True)
    try:
        return [str(problem) for problem in _look(files, note).problems]
    finally:
        note.close()


def _look(files: SegmentFiles, note: HeadFile) -> _Found:
    extent, problems = None, list[Loss | str]()
    firsts = files.firsts()
    try:
        extent = note.read()
    except FormatError as error:
        problems.append(str(error))
    segments, unusable = _open_all(files, firsts, extent or EMPTY)
    if segments and (damaged := segments[-1].damaged_notes):
        name = files.path(segments[-1].tail.first).name
        problems.append(f"{name}: {damaged} notes of what was appended before are damaged")
    if extent is None and not problems and (segments or unusable):
        problems.append(f"{note.path.name}, the note of where the log ends, is missing")
    expected = extent.begin if extent else segments[0].tail.first if segments else 1
    gaps = []
    for tail, _ in segments:
        if tail.first > expected:
            gaps.append((expected, tail.first - 1))
        expected = tail.offset + 1
    if extent and extent.offset >= expected:
        gaps.append((expected, extent.offset))
    reasons = {int(path.stem): why for path, why in unusable.items()}
    known = _accepted(files.directory)
    for first, last in gaps:
        why = next((reasons[at] for at in reasons if first <= at <= last), GONE)
        if not any(loss.first <= first and last <= loss.last for loss in known):
            problems.append(Loss(first, last, why))
    problems += [why for path, why in unusable.items() if not problems]
    return _Found(extent, segments, list(unusable), problems)


def _open_all(
    files: SegmentFiles, firsts: Sequence[int], extent: Extent
) -> tuple[list[_Usable], dict[Path, str]]:
    """The segments that can be used, and why others can not. Those that a removal has left are left out, and
    so is one at the end that was made by half."""
    segments: list[_Usable] = []
    unusable: dict[Path, str] = {}
    for first, following in zip(firsts, (*firsts[1:], None), strict=False):
        if following is not None and following <= extent.begin:
            continue
        try:
            segments.append(_open_one(files, first, is_newest=following is None))
        except SegmentMissing as error:
            if following is not None or extent.offset >= first:
                unusable[files.path(first)] = f"the file is empty: {error}"
        except OtherFormat:
            raise
        except FormatError as error:
            unusable[files.path(first)] = str(error)
    return segments, unusable


def _forget_damaged_rows(files: SegmentFiles, newest: int) -> None:
    connection = files.open(newest)
    for statement, key in list(files.damaged_rows(connection)):
        connection.execute(files.sql[statement], key)
    connection.close()


def _open_one(files: SegmentFiles, first: int, *, is_newest: bool) -> _Usable:
    """Raises `SegmentMissing` and `FormatError`."""
    connection = files.open(first)
    try:
        damaged = len(list(files.damaged_rows(connection))) if is_newest else 0
        return _Usable(files.tail(connection), damaged)
    except (apsw.CorruptError, apsw.SQLError, ValueError) as error:
        raise FormatError(f"{files.path(first)}: the file is damaged ({error})") from None
    finally:
        connection.close(True)


def _accept(files: SegmentFiles, note: HeadFile, found: _Found, now_us: int) -> None:
    """Go on without what is missing: remember that, set unusable files aside, and let the lane end, and the
    next entry begin, above everything that was there."""
    losses = [loss for loss in found.problems if isinstance(loss, Loss)]
    for problem in found.problems:
        logger.warning("%s: %s; accepted", files.directory, problem)
    remember_losses(files.directory, [msgspec.structs.replace(loss, accepted_at=now_us) for loss in losses])
    for path in found.unusable:
        for suffix in ("-wal", "-shm", ""):
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                beside.rename(path.with_name(f"{path.name}.damaged{suffix}"))
    last = found.segments[-1].tail if found.segments else None
    if last is not None:
        _forget_damaged_rows(files, last.first)
    end = Extent(1, last.offset, last.order, last.total) if last else EMPTY
    noted = found.extent or EMPTY
    end = max(end, noted._replace(begin=1))
    if last is None or end.offset > last.offset:
        _begin_after(files, last, end, now_us)
    begin = found.extent.begin if found.extent else min((tail.first for tail, _ in found.segments), default=1)
    note.close()
    note.path.unlink(missing_ok=True)
    note.write(end._replace(begin=begin))
    note.sync()


def _begin_after(files: SegmentFiles, last: Tail | None, end: Extent, now_us: int) -> None:
    """A new segment above what is lost at the end."""
    keys: list[tuple[int, int, int]] = []
    if last is not None:
        connection = files.open(last.first)
        with connection:
            keys = [files.verified(row) for row in connection.execute(files.sql["producer_keys"])]
            connection.execute(files.sql["seal"])
        connection.close()
    before = Tail(0, True, 0, 0, end.offset, end.order, 0, end.total)
    files.make(before, keys, now_us).close()


def _accepted(directory: Path) -> list[Loss]:
    try:
        return msgspec.json.decode((directory / ACCEPTED).read_bytes(), type=list[Loss])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []


def remember_losses(directory: Path, losses: Sequence[Loss]) -> None:
    """Note, so that it lasts, that entries of a lane are missing and that this was accepted. Called under the
    lane's lock."""
    path = directory / ACCEPTED
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.encode([*_accepted(directory), *losses]))
    fresh.chmod(FILE_MODE)
    sync_path(fresh)
    fresh.rename(path)
    sync_path(directory)
