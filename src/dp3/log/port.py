"""The log: the durable, ordered record of everything that entered.

Each *lane* is a sequence of entries with increasing offsets. An entry is one atomic append: the encoded
tasks of one request, in slices per partition. Entries are never changed; old ones are removed in whole
segments. Any number of processes may append and read at the same time.
"""

from collections.abc import Collection, Mapping, Sequence
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
    """`order` says what came before what, over both lanes. It strictly increases within a lane and is never
    equal in two lanes: even in MAIN, odd in DERIVED. It is above that of everything that was in the log when
    the entry was appended, so a derived entry's is above that of the entries that caused it.

    `append_time` (µs) is what the clock said, right or wrong: nothing is ordered by it. `damage` says why the
    entry, or the entries up to it, could not be read; such a one has no slices."""

    lane: Lane
    offset: int
    order: int
    append_time: int
    slices: Mapping[int, bytes]
    size: int = field(default=0)
    damage: str = ""


class Head(NamedTuple):
    """The last offset of a lane (0 when empty), the bytes of all entries ever appended to it, and the order
    of the last one."""

    offset: int
    bytes: int
    order: int


class Waiting(NamedTuple):
    """A part of a lane that a reader has not passed: bytes of all its entries, and the append time (µs) of
    the first one that can be read, None if there is none."""

    bytes: int
    oldest: int | None


class LogSegment(NamedTuple):
    """A piece of a lane that gets no further entry: first and last offset, the append time of the first and
    the latest one (µs)."""

    first: int
    last: int
    first_us: int
    last_us: int


class IdempotencyConflict(ValueError):
    """The same idempotency key was used for a different request."""


class LogIncomplete(Exception):
    """Entries of the log are missing; the message says which, and how to go on without them."""


class LogUnavailable(Exception):
    """The log can not be read or appended to now; nothing was added. The same may succeed a little later."""


class LogFull(LogUnavailable):
    """The disk refused the append; nothing was added."""


class LogUncertain(Exception):
    """The log did not answer in time: what was to be appended may be there or not."""


class Log(Protocol):
    """See the module's docstring. All methods are blocking and may be called from any thread."""

    def append(self, appends: Sequence[Append]) -> list[Appended | IdempotencyConflict]:
        """Add entries to the MAIN lane in one durable commit; returns after it survives power loss.

        One outcome per append, in order. Raises `LogFull` when nothing could be written, `LogUncertain`."""
        ...

    def append_outbox(self, parts: Sequence[OutboxSlice], after: int) -> Appended | None:
        """Add one entry to the DERIVED lane with all parts whose key is above the last key taken from
        their producer, and remember the keys, in one durable commit. None when nothing was new.
        `after`: the order of the last of the entries that caused them; 0 if none did. Raises as `append`."""
        ...

    def producer_keys(self) -> dict[Producer, int]:
        """The last key taken from every producer."""
        ...

    def read(self, lane: Lane, after: int, max_bytes: int) -> list[Entry]:
        """Entries with offset > `after` in order, at least one if there is any, about `max_bytes` of
        bodies. Where entries are missing, one with `damage` and the offset of the last of them stands for
        all, also for those that were removed."""
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

    def begin(self, lane: Lane) -> int:
        """The first offset that is there, or that comes next when the lane is empty; others were removed."""
        ...

    def resume_after(self, lane: Lane, offset: int, order: int) -> None:
        """Go on above an offset and an order that are known to have been reached, in a log that has lost its
        end. Raises `LogFull`."""
        ...

    def order_after(self, lane: Lane, offset: int) -> int | None:
        """Order of the first entry with an offset > `offset` that can be read, or None."""
        ...

    def append_time_after(self, lane: Lane, offset: int) -> int | None:
        """Append time of the first entry with an offset > `offset` that can be read, or None."""
        ...

    def bounds(self, orders: Collection[int]) -> dict[int, tuple[int, int]]:
        """Offsets in the main and the derived lane, for each of some orders: all entries up to them are of
        that order or one below, all that follow of one above."""
        ...

    def waiting(self, lane: Lane, offsets: Collection[int]) -> dict[int, Waiting]:
        """The part of a lane that is above each of some offsets."""
        ...

    def offset_at(self, lane: Lane, time_us: int) -> int | None:
        """The first offset that is there of an entry appended at a time or later, or None."""
        ...

    def version(self) -> tuple[int, ...]:
        """A cheap token that differs whenever another connection or process has appended since."""
        ...

    def finished(self, lane: Lane, before_us: int) -> list[LogSegment]:
        """The segments of which every entry was appended before a moment, oldest first. An append time in
        the future is wrong; such an entry counts as no older than the next one that is not."""
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
