"""The encoded form of tasks: what the log stores and what workers read.

A *wire value* is the canonical JSON-compatible form of a typed value, so that readers can render it
without knowing its type: `bool`, `int`, `float`, `str`, `list`, `dict` or `None`. Addresses are their
canonical text, times are RFC 3339 text in UTC (`2020-01-01T00:00:00Z`, with six fraction digits if and
only if they are not zero), sets are sorted lists without duplicates, links are `{"eid": …[, "data": …]}`.
Two typed values are equal if and only if `encode_value` gives the same bytes.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from dp3.clock import to_datetime


class Expire(msgspec.Struct, array_like=True, frozen=True, tag="collect"):
    """Delete the entity if it has existed since `moment` (µs) and, unless it is weak, all its tokens were
    over then."""

    moment: int


class RemoveLinks(msgspec.Struct, array_like=True, frozen=True, tag="unlink"):
    """Forget the links through `attr` to `target` (an eid as text) of type `etype`, deleted at `at` (µs).

    Only those that are older: of entries up to `order`, which are those up to the offset `main` or `derived`
    of their lane."""

    attr: str
    etype: str
    target: str
    at: int
    main: int
    derived: int
    order: int = 0

    @property
    def until(self) -> int:
        """The order. Before there were orders, `at` was one."""
        return self.order or self.at


class TombstoneDone(msgspec.Struct, array_like=True, frozen=True, tag="swept"):
    """All who linked to the entity when it was deleted at `at` (µs), by an entry of `order`, have been told
    to forget that."""

    at: int
    order: int = 0

    @property
    def until(self) -> int:
        """The order. Before there were orders, `at` was one."""
        return self.order or self.at


class MarkDirty(msgspec.Struct, array_like=True, frozen=True, tag="noticed"):
    """Nothing is to be done, but values of the entity have become others without data: its history was
    cleaned. That this is in the log makes the next run of snapshots look at it."""


SystemTask = Expire | RemoveLinks | TombstoneDone | MarkDirty
"""A step that the platform itself takes for an entity. It travels as tasks do, but no hook gets to see it."""


class WirePoint(msgspec.Struct, array_like=True, gc=False):
    """One data-point of a task; times in microseconds since the epoch, `c` in units of 10⁻⁹."""

    attr: str
    v: Any
    t1: int | None = None
    t2: int | None = None
    c: int | None = None
    src: str | None = None


class WireTask(msgspec.Struct, array_like=True, gc=False, omit_defaults=True):
    """A task for one entity.

    `first` numbers the task within its log entry: the running count of data-points before it (a task
    without data-points counts as one), so `first + i` identifies data-point `i` in the entry.

    With a `system_task` it is of the platform itself and has nothing else; all tasks of an entry have one or
    none. Fields may be added at the end: who does not know them leaves them out.
    """

    etype: str
    eid: int | str
    points: list[WirePoint]
    first: int = 0
    generation: int = 0
    ttl_tokens: dict[str, int] | None = None
    delete: bool = False
    tags: list[Any] = []
    system_task: SystemTask | None = None

    @property
    def width(self) -> int:
        """The count of numbers of its log entry that the task takes."""
        return len(self.points) or 1


encode_tasks = msgspec.msgpack.Encoder().encode
decode_tasks = msgspec.msgpack.Decoder(list[WireTask]).decode

encode_value = msgspec.msgpack.Encoder(order="sorted").encode
decode_value = msgspec.msgpack.Decoder().decode

CONFIDENCE_UNIT = 1_000_000_000


class Undecodable(ValueError):
    """Bytes of the log that hold no tasks; the message describes them without showing them."""


def decode_slice(tasks: bytes) -> list[WireTask]:
    """The tasks of a slice. Raises `Undecodable`."""
    try:
        return decode_tasks(tasks)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        digest = blake2b(tasks, digest_size=8).hexdigest()
        what = f"damaged slice of {len(tasks)} bytes (BLAKE2b {digest}): {type(error).__name__}: {error}"
        raise Undecodable(what) from None


def raw_row(task: WireTask, point: WirePoint) -> dict[str, Any]:
    """One data-point as data-points are sent to the API; what it does not have is None."""
    return {
        "attr": point.attr,
        "src": point.src,
        "v": point.v,
        "c": None if point.c is None else point.c / CONFIDENCE_UNIT,
        "t1": None if point.t1 is None else to_datetime(point.t1),
        "t2": None if point.t2 is None else to_datetime(point.t2),
        "type": task.etype,
        "id": task.eid,
    }


def raw_rows(task: WireTask) -> Iterator[dict[str, Any]]:
    """All data-points of a task, in their order."""
    return (raw_row(task, point) for point in task.points)
