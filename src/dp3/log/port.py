"""The log: the durable, ordered record of everything that entered.

Each *lane* is a sequence of entries with increasing offsets. An entry is one atomic append: the encoded
tasks of one request, in slices per partition. Entries are never changed; old ones are removed in whole
segments. Any number of processes may append and read at the same time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol

IDEMPOTENCY_WINDOW_US = 24 * 3600 * 1_000_000
"""The key of a request is remembered so long."""


class Lane(IntEnum):
    """DERIVED carries tasks produced by hooks and is read first."""

    MAIN = 0
    DERIVED = 1


class Producer(NamedTuple):
    """The outbox that a derived entry came from. Outbox keys increase per partition and stream of the
    source: its lane, or another small number for sources outside the log."""

    partition: int
    stream: int


@dataclass(frozen=True, slots=True)
class OutboxSlice:
    """Tasks that one source entry produced in one of its partitions, by target partition."""

    producer: Producer
    key: int
    slices: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Append:
    """One request: all of its entries or none are added, one after the other.

    Each of `entries` maps partition to `encode_tasks(...)`. `idempotency` is (key, digest of the request):
    a repeat of the key within 24 h adds nothing.
    """

    entries: Sequence[Mapping[int, bytes]]
    idempotency: tuple[str, bytes] | None = None


class Appended(NamedTuple):
    """Place of the last entry. `repeated`: the idempotency key was known, this is the first append."""

    offset: int
    append_time: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """`append_time` (µs) strictly increases within a lane and is never equal in two lanes: even in MAIN,
    odd in DERIVED. A derived entry's is later than that of the entries that caused it. `damage` says why
    the body could not be read; such an entry has no slices."""

    lane: Lane
    offset: int
    append_time: int
    slices: Mapping[int, bytes]
    size: int = field(default=0)
    damage: str = ""


class Head(NamedTuple):
    """The last offset of a lane (0 when empty) and the bytes of all entries ever appended to it."""

    offset: int
    bytes: int


class LogSegment(NamedTuple):
    """A piece of a lane that gets no further entry: first and last offset, append times of both (µs)."""

    first: int
    last: int
    first_us: int
    last_us: int


class IdempotencyConflict(ValueError):
    """The same idempotency key was used for a different request."""


class LogFull(Exception):
    """The disk refused the append; nothing was added."""


class Log(Protocol):
    """See the module's docstring. All methods are blocking and may be called from any thread."""

    def append(self, appends: Sequence[Append]) -> list[Appended | IdempotencyConflict]:
        """Add entries to the MAIN lane in one durable commit; returns after it survives power loss.

        One outcome per append, in order. Raises `LogFull` when nothing could be written."""
        ...

    def append_outbox(self, parts: Sequence[OutboxSlice], after_us: int) -> Appended | None:
        """Add one entry to the DERIVED lane with all parts whose key is above the last key taken from
        their producer, and remember the keys, in one durable commit. None when nothing was new.
        The append time is later than `after_us`."""
        ...

    def read(self, lane: Lane, after: int, max_bytes: int) -> list[Entry]:
        """Entries with offset > `after` in order, at least one if there is any, about `max_bytes` of
        bodies."""
        ...

    def read_back(self, lane: Lane, before: int | None, max_bytes: int) -> list[Entry]:
        """Entries with offset < `before` (None: the end), newest first, at least one if there is any."""
        ...

    def head(self, lane: Lane) -> Head:
        """The end of a lane."""
        ...

    def bytes_until(self, lane: Lane, offset: int) -> int:
        """Bytes of all entries of the lane ever appended with an offset ≤ `offset` (whether or not removed
        since)."""
        ...

    def bytes_after(self, lane: Lane, offset: int) -> int:
        """Bytes of all entries with an offset > `offset`: the backlog of a reader that is there."""
        ...

    def append_time_after(self, lane: Lane, offset: int) -> int | None:
        """Append time of the first entry with an offset > `offset`, or None."""
        ...

    def version(self) -> tuple[int, ...]:
        """A cheap token that differs whenever another connection or process has appended since."""
        ...

    def finished(self, lane: Lane, before_us: int) -> list[LogSegment]:
        """The segments of which every entry was appended before a moment, oldest first."""
        ...

    def remove_before(self, lane: Lane, offset: int) -> int:
        """Delete whole segments of which every entry has an offset < `offset` and that are older than the
        idempotency window; returns how many segments went."""
        ...

    def disk_bytes(self, lane: Lane) -> int:
        """Bytes that a lane takes on the disk."""
        ...

    def close(self) -> None:
        """Give back files and threads; further calls fail."""
        ...


class LaneBounds:
    """Finds where in both lanes a moment is. For one thread; what was found last is where the next search
    begins."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._found = dict.fromkeys(Lane, (0, 0))

    def until(self, moment: int) -> tuple[int, int]:
        """Offsets in the main and the derived lane: everything up to them was appended until the moment (µs),
        all that follows later."""
        return self._last(Lane.MAIN, moment), self._last(Lane.DERIVED, moment)

    def _last(self, lane: Lane, moment: int) -> int:
        found_for, low = self._found[lane]
        if found_for == moment:
            return low
        if found_for > moment:
            low = 0
        high = low if self._follows_later(lane, low, moment) else self._log.head(lane).offset
        while low < high:
            middle = (low + high) // 2
            if self._follows_later(lane, middle, moment):
                high = middle
            else:
                low = middle + 1
        self._found[lane] = (moment, low)
        return low

    def _follows_later(self, lane: Lane, offset: int, moment: int) -> bool:
        """True if what follows an offset, if anything, was appended after the moment."""
        time = self._log.append_time_after(lane, offset)
        return time is None or time > moment
