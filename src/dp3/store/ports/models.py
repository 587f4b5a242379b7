"""The model in the state: the numbers of its names, the one that the state was last run with, its changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec


class Names(Protocol):
    """Numbers of entity types and attributes. Both raise `StoreFull` when a number can not be made."""

    def etype_id(self, etype: str) -> int:
        """The number of an entity type, made when first asked for and never used again for another."""
        ...

    def attr_id(self, etype: str, attr: str) -> int:
        """The number of an attribute, or of another path below a type, likewise."""
        ...


class RemovedAttr(msgspec.Struct, frozen=True):
    """An attribute of which data is removed: the stored values (all of them, or those that are listed,
    encoded) unless `history_stays`, and what snapshots show of it."""

    etype: str
    attr: str
    values: tuple[bytes, ...] = ()
    history_stays: bool = False

    @property
    def whole(self) -> bool:
        """Nothing of it stays."""
        return not self.values and not self.history_stays


class Removal(msgspec.Struct, frozen=True):
    """Everything that goes before the state has a new `model`: entity types and data of attributes. `heads`:
    lane of the log → last offset that the old model applies to."""

    model: str
    etypes: tuple[str, ...]
    attrs: tuple[RemovedAttr, ...]
    heads: dict[int, int]


class Outdated(NamedTuple):
    """Up to `offset` in a lane of the log, values `v` (encoded; empty: all) of an attribute (empty: of the
    entity type) have the meaning of a former model."""

    etype: str
    attr: str
    v: bytes
    lane: int
    offset: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Takes removed data out of stored bytes that the state does not understand. `doc`: (entity type,
    snapshot) → snapshot; `task`: (task of a dead letter) → task, None if nothing is left of it."""

    doc: Callable[[str, bytes], bytes]
    task: Callable[[bytes], bytes | None]


class Models(Protocol):
    """The model that the state was last run with, and its changes."""

    def tracked(self) -> tuple[str | None, bool]:
        """The model that the state was last run with, None if it never was; and whether data is being
        removed."""
        ...

    def track(self, model: str, instead_of: str | None) -> bool:
        """Note the model of this run, when a process starts; False if the state has another one than
        `instead_of` by now, or is being changed. Raises `StoreFull`."""
        ...

    def require_no_worker(self, host: str, ttl_s: float) -> None:
        """Raises `LeaseRefused` while a worker lives, judged from `host` as by `Leases.take`."""
        ...

    def begin_removal(self, removal: Removal, instead_of: str, host: str, ttl_s: float) -> bool:
        """From now on nobody may work until the removal is finished. False as in `track`. Raises
        `LeaseRefused` while a worker lives, `StoreFull`."""
        ...

    def removal(self) -> Removal | None:
        """The removal that is under way."""
        ...

    def continue_removal(self, forget: Forget) -> tuple[str, int] | None:
        """Do a piece of it in one transaction of some ten milliseconds; called until it returns None, which
        is when the removal is finished: names of what was removed are then free for another meaning. Else the
        stage that it is at, and how many rows it has changed since `begin_removal`. Raises `StoreFull`."""
        ...

    def outdated(self) -> list[Outdated]:
        """Everything that the log still has from before removals."""
        ...

    def attr_rows(
        self, etype: str, attrs: Sequence[str], values: Sequence[bytes], start: str, limit: int
    ) -> tuple[list[tuple[str, int, int]], str | None]:
        """Counts rows of attributes (with one of some encoded values, if any are given) of `limit` entities
        of a type, from the id `start` on, in the order of ids as text: (attribute, rows, entities that have
        any) of each, and the id with which the next page begins, None if there are no more."""
        ...
