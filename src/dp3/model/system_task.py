"""Chores: what the platform itself wants of an entity. They travel as tasks, which no hook gets to see."""

import msgspec


class Expire(msgspec.Struct, array_like=True, frozen=True, tag="collect"):
    """Delete the entity if it has existed since `moment` (µs) and, unless it is weak, all its tokens were
    over then."""

    moment: int


class RemoveLinks(msgspec.Struct, array_like=True, frozen=True, tag="unlink"):
    """Forget the links through `attr` to `target` (an eid as text) of type `etype`, deleted at `at` (µs).

    Only those that are older: written until `at`, by entries up to the offset `main` or `derived` of their
    lane."""

    attr: str
    etype: str
    target: str
    at: int
    main: int
    derived: int


class TombstoneDone(msgspec.Struct, array_like=True, frozen=True, tag="swept"):
    """All who linked to the entity when it was deleted at `at` (µs) have been told to forget that."""

    at: int


class MarkDirty(msgspec.Struct, array_like=True, frozen=True, tag="noticed"):
    """Nothing is to be done, but values of the entity have become others without data: its history was
    cleaned. That this is in the log makes the next run of snapshots look at it."""


SystemTask = Expire | RemoveLinks | TombstoneDone | MarkDirty
