"""Entities and their profiles.

Values leave the state in two forms: the rows of one entity have the encoded value (`encode_value`), profiles
of many have tokens, which are cheaper.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

from dp3.history.ranges import HistorySource
from dp3.history.scan import Scan, Told
from dp3.history.segments import PackedSegment, Params, SegmentRow
from dp3.store.ports.leases import ENTITY_SHIFT as ENTITY_SHIFT
from dp3.store.ports.leases import Lease


class NewEntity(NamedTuple):
    """An entity that is made at `created` (µs). A key is used once, ever."""

    key: int
    etype: int
    eid: str
    created: int


class PlainRow(NamedTuple):
    """The value of a plain attribute; `order` and `written` are order and append time (µs) of its log entry.
    A row is replaced only by one with an order that is not smaller."""

    entity: int
    attr: int
    order: int
    written: int
    v: bytes


class HistoryRow(NamedTuple):
    """One observation or timeseries data-point. `key` identifies it in the log (see `history_key`). `c` is
    None for timeseries."""

    key: int
    entity: int
    attr: int
    t1: int
    t2: int
    c: int | None
    v: bytes


PackedHistory: TypeAlias = tuple[int, bytes, list[PackedSegment]]
"""Data-points of one value of an attribute, several of them in one segment: attribute, value, segments."""


class ProfileRows(NamedTuple):
    """All rows of one entity; `history` in ascending `key`, `packed` is the rest of it."""

    created: int
    plain: list[PlainRow]
    history: list[HistoryRow]
    ttl: dict[str, int]
    packed: list[PackedHistory]


Token: TypeAlias = str
"""A value in the form of the state. Tokens of one state are equal if the values are, and compare as encoded
values do; `Entities.decode_value` tells what they stand for."""


StoredPlain: TypeAlias = tuple[int, int, int, Token]
"""A plain value: number of the attribute, order and append time (µs) of its log entry, value."""


StoredChunk: TypeAlias = tuple[int, int, int, Token]
"""One data-point of a timeseries: number of the attribute, `t1`, `t2` (µs), value."""


class Profile(msgspec.Struct, frozen=True):
    """An entity as snapshots see it: `observed` by attribute, in any order; `chunks` and `ttl` only if the
    whole was asked for, and if not, of some attributes, `scans` in the place of what is packed, or just what
    is `told` at the moment that was asked for."""

    key: int
    created: int
    plain: list[StoredPlain] = []
    observed: list[tuple[int, list[SegmentRow[Token]]]] = []
    chunks: list[StoredChunk] = []
    ttl: dict[str, int] = {}
    scans: dict[int, Scan[Token]] = {}
    told: dict[int, Told[Token]] = {}


class RowsRead(NamedTuple):
    """The history that was read: rows, which are segments, parts of scans and data-points that are not
    packed; and how often all that is packed of an attribute had to be read for want of a scan."""

    rows: int
    whole: int


class EntityHistory(Protocol):
    """One entity, read attribute by attribute, all at one time. Attributes that the state does not know have
    nothing."""

    @property
    def created(self) -> int:
        """The time of its creation (µs)."""
        ...

    @property
    def ttl(self) -> dict[str, int]:
        """Its tokens: until when (µs) they hold."""
        ...

    def plain(self, attr: str) -> PlainRow | None:
        """The value of a plain attribute."""
        ...

    def observed(self, attr: str, params: Params) -> HistorySource:
        """The history of an observations attribute, which is read with these parameters."""
        ...

    def chunks(self, attr: str, first: int, last: int) -> list[tuple[int, bytes]]:
        """The data-points (`t1`, value) of a timeseries that have bounds (`t1`, `t2`) within a range (µs),
        and some more."""
        ...


EncodedProfile: TypeAlias = str | bytes
"""A profile in the form of the state. Until `Entities.decode_profile`, just before it is used, it is one
object, which threads can hand to each other; its length tells how large it is."""


class Entities(Protocol):
    """Entities and their profiles. Links to entities that were deleted since do not show, wherever profiles
    are read."""

    def find(self, wanted: Sequence[tuple[int, str]]) -> dict[tuple[int, str], tuple[int, int]]:
        """(key, time of creation) of those of the (etype number, eid text) pairs that exist."""
        ...

    def last_keys(self) -> dict[int, int]:
        """The highest entity key ever used in each partition that has any (deleted ones included); asked
        once, when a worker starts."""
        ...

    def profile(self, etype: str, eid: str) -> ProfileRows | None:
        """All rows of one entity, or None if it does not exist."""
        ...

    def history(self, etype: str, eid: str) -> AbstractContextManager[EntityHistory | None]:
        """One entity for the time of the block, None if it does not exist."""
        ...

    def page(self, etype: str, limit: int, after: str | None = None) -> list[tuple[int, str, int]]:
        """(key, eid, created) of up to `limit` entities of a type, by eid as text, of those after `after`."""
        ...

    def counts(self) -> dict[str, int]:
        """Number of entities by type."""
        ...

    def own(self, lease: Lease, etypes: Sequence[int], after: int, limit: int) -> list[tuple[int, int, str]]:
        """(key, type, eid) of own entities of these types, ascending by key, above key `after`."""
        ...

    def by_key(self, keys: Sequence[int]) -> dict[int, tuple[int, str, int]]:
        """key → (type, eid, created) of those that exist."""
        ...

    def profiles(
        self, keys: Sequence[int], whole: bool = False, moment: int | None = None
    ) -> dict[int, EncodedProfile]:
        """The profiles of those of the entities that exist; with a moment (µs) they may have only what holds
        then. Holds the interpreter's lock for a moment only:
        other threads can compute meanwhile."""
        ...

    def decode_profile(self, encoded: EncodedProfile) -> Profile:
        """A profile of `profiles`, with all that was packed among the rest. Needs no access to the disk."""
        ...

    def complete(
        self, profile: Profile, untold: Mapping[int, Params], moment: int, *, later: bool
    ) -> Profile:
        """The profile, read anew for some attributes (by number), with how their history is read, of which it
        does not tell what holds at a moment (µs); and `later`."""
        ...

    def rows_read(self) -> RowsRead:
        """The history that all methods have read since the state was opened."""
        ...

    def decode_value(self, token: Token) -> Any:
        """The wire value that a token stands for."""
        ...

    def encode_value(self, value: Any) -> Token:
        """The token that a wire value would have if it were stored."""
        ...

    def count_between(self, etype: int, after: int, end: int) -> int:
        """Number of entities of a type with keys between two (both excluded)."""
        ...

    def between(self, etype: int, after: int, end: int, limit: int) -> list[tuple[int, str]]:
        """(key, eid) of up to `limit` entities of a type with keys between two (both excluded), ascending."""
        ...

    def range_after(self, after: int, limit: int) -> tuple[int, int] | None:
        """The first and the last key of the next up to `limit` entities above `after`; None at the end."""
        ...

    def collect_garbage(self, lease: Lease, max_rows: int, by_age: Callable[[], bool] = lambda: True) -> bool:
        """Remove up to `max_rows` rows of deleted entities and of links that ended long ago, for some 30 ms
        at most; called between micro-batches. `by_age` is asked whether the clock, which was just read, is
        right enough for the latter. True when there may be more. Raises `LeaseLost`, `StoreFull`."""
        ...
