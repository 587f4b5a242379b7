"""Removal of data that a former model gave a meaning, a piece at a time."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import msgspec

from dp3.store.ports.leases import Lease
from dp3.store.ports.models import Forget, Removal, RemovedAttr
from dp3.store.sql.garbage import Garbage
from dp3.store.sql.session import Session

ENTITIES = 100
"""Entities whose values are looked for at once."""

ROWS = 1_000
"""Rows removed by one statement: they are scattered, one costs up to some 20 µs."""

DOCS = 300
"""Snapshots rewritten in one transaction, at some 30 µs each."""

NODES = 1_000

ALL_PARTITIONS = Lease(0, 1, 0)
"""Nobody else works: garbage is removed wherever it is."""


class Checkpoint(msgspec.Struct, frozen=True):
    """Progress of a removal: the stage, in it the number of the group, in that which entity (id) is next and
    after which snapshot, or the last row (by number), and how many rows it has changed."""

    stage: str = "entities"
    group: int = 0
    start: str = ""
    run: int = 0
    id: int = 0
    rows: int = 0


_Group: TypeAlias = tuple[str, tuple[str, ...], tuple[bytes, ...]]
"""Attributes of one entity type of which the same is removed: type, attributes, values."""


class Purge:
    """One step is one piece, in the caller's transaction. The stages come in the order of `STAGES`; each can
    be done again from its checkpoint."""

    def __init__(self, garbage: Garbage) -> None:
        self._garbage = garbage
        self._stages: dict[str, Callable[[Session, Removal, Checkpoint, Forget], Checkpoint | None]] = {
            "entities": self._entities,
            "garbage": self._collect,
            "values": self._values,
            "snapshots": self._snapshots,
            "links": self._links,
            "index": self._index,
            "dead letters": self._dead_letters,
            "ends of links": self._nodes,
            "types": self._types,
        }

    def step(
        self, session: Session, removal: Removal, checkpoint: Checkpoint, forget: Forget
    ) -> Checkpoint | None:
        """Do the next piece. Returns the checkpoint after it; None when all is done: the names are free as
        well."""
        after = self._stages[checkpoint.stage](session, removal, checkpoint, forget)
        if after is not None:
            return after
        stages = list(self._stages)
        number = stages.index(checkpoint.stage) + 1
        if number < len(stages):
            return Checkpoint(stages[number], rows=checkpoint.rows)
        self._forget_names(session, removal)
        return None

    def _entities(
        self, session: Session, removal: Removal, checkpoint: Checkpoint, _: Forget
    ) -> Checkpoint | None:
        """Delete the entities of removed types."""
        for etype in removal.etypes:
            removed = self._run(session, "remove_entities", etype=self._etype(session, etype))
            if removed:
                return _changed(checkpoint, removed)
        return None

    def _collect(self, session: Session, _: Removal, checkpoint: Checkpoint, __: Forget) -> Checkpoint | None:
        """Remove the rows of deleted entities, whose attributes nobody asks for any more."""
        removed = self._garbage.remove_some(session, ALL_PARTITIONS, ROWS)
        return _changed(checkpoint, ROWS) if removed is None else None

    def _values(
        self, session: Session, removal: Removal, checkpoint: Checkpoint, _: Forget
    ) -> Checkpoint | None:
        groups = _groups(removal.attrs)
        if checkpoint.group == len(groups):
            return None
        name, attrs, values = groups[checkpoint.group]
        etype = self._etype(session, name)
        page = self._fetch(session, "next_entities", etype, checkpoint.start, ENTITIES)
        if not page:
            return msgspec.structs.replace(checkpoint, group=checkpoint.group + 1, start="")
        what = {
            "entities": [key for key, _ in page],
            "attrs": self._ids(session, "attr_ids", name, attrs),
            "values": in_hex(values),
            "whole": not values,
        }
        removed = [
            session.affected(each, what | {"limit": ROWS}) for each in session.named("purge.purge_values_")
        ]
        after = _changed(checkpoint, sum(removed))
        return after if ROWS in removed else msgspec.structs.replace(after, start=following(page[-1][1]))

    def _snapshots(
        self, session: Session, removal: Removal, checkpoint: Checkpoint, forget: Forget
    ) -> Checkpoint | None:
        etypes = sorted({attr.etype for attr in removal.attrs})
        if checkpoint.group == len(etypes):
            return None
        etype = etypes[checkpoint.group]
        number, first = self._etype(session, etype), checkpoint.start
        looked_at, run = 0, checkpoint.run
        for entity, eid in self._fetch(session, "next_entities", number, first, ENTITIES):
            docs = self._fetch(session, "next_snapshots", entity, run, DOCS - looked_at)
            new = [(forget.doc(etype, doc), entity, at) for at, doc in docs]
            changed = [row for row, (_, doc) in zip(new, docs, strict=True) if row[0] != doc]
            session.each("purge.put_snapshot", changed)
            looked_at += len(docs)
            checkpoint = _changed(checkpoint, len(changed))
            if looked_at == DOCS:
                return msgspec.structs.replace(checkpoint, run=docs[-1][0])
            checkpoint, run = msgspec.structs.replace(checkpoint, start=following(eid), run=0), 0
        if checkpoint.start == first:
            return msgspec.structs.replace(checkpoint, group=checkpoint.group + 1, start="")
        return checkpoint

    def _links(
        self, session: Session, removal: Removal, checkpoint: Checkpoint, _: Forget
    ) -> Checkpoint | None:
        """Remove what is kept by attribute only."""
        for ids in self._removed_ids(session, removal):
            for name in session.named("purge.purge_attr_"):
                if removed := session.affected(name, {"attrs": ids, "limit": ROWS}):
                    return _changed(checkpoint, removed)
        return None

    def _index(
        self, session: Session, removal: Removal, checkpoint: Checkpoint, _: Forget
    ) -> Checkpoint | None:
        """Remove keys of the index. The next run makes it anew for what stays."""
        for etype, attrs in _by_type(removal.attrs):
            paths = self._ids(session, "path_ids", etype, attrs)
            if removed := self._run(session, "remove_keys", paths=paths):
                return _changed(checkpoint, removed)
        return None

    def _dead_letters(
        self, session: Session, removal: Removal, checkpoint: Checkpoint, forget: Forget
    ) -> Checkpoint | None:
        page = self._fetch(session, "next_dead_letters", checkpoint.id, DOCS)
        if not page:
            return None
        for number, etype, task in page:
            left = None if etype in removal.etypes else forget.task(task) if task else task
            if left is None:
                session.run("purge.remove_dead_letter", (number,))
            elif left != task:
                session.run("purge.put_dead_letter", (left, number))
        return msgspec.structs.replace(checkpoint, id=page[-1][0])

    def _nodes(self, session: Session, _: Removal, checkpoint: Checkpoint, __: Forget) -> Checkpoint | None:
        last = session.value("purge.next_nodes", (checkpoint.id, NODES))
        if last is None:
            return None
        ends = {"after": checkpoint.id, "last": last}
        removed = session.affected("purge.remove_lonely_nodes", ends)
        return msgspec.structs.replace(_changed(checkpoint, removed), id=last)

    def _types(
        self, session: Session, removal: Removal, checkpoint: Checkpoint, _: Forget
    ) -> Checkpoint | None:
        """Remove what is kept by entity type."""
        for etype in removal.etypes:
            number = self._etype(session, etype)
            for name in session.named("purge.purge_type_"):
                if removed := session.affected(name, {"etype": number, "limit": ROWS}):
                    return _changed(checkpoint, removed)
        return None

    def _forget_names(self, session: Session, removal: Removal) -> None:
        """Names that come again get another number."""
        for ids in self._removed_ids(session, removal):
            for statement in ("forget_paths", "forget_names"):
                session.run(f"purge.{statement}", (ids,))
        for etype in removal.etypes:
            session.run("purge.forget_etype", (self._etype(session, etype),))

    def _removed_ids(self, session: Session, removal: Removal) -> list[list[int]]:
        """The numbers of all attributes, and paths below them, of which nothing stays, by entity type."""
        of_types = [self._ids(session, "path_ids", etype, None) for etype in removal.etypes]
        whole = _by_type(attr for attr in removal.attrs if attr.whole)
        return of_types + [self._ids(session, "path_ids", etype, attrs) for etype, attrs in whole]

    def _run(self, session: Session, statement: str, **values: Any) -> int:
        return session.affected(f"purge.{statement}", values | {"limit": ROWS})

    def _fetch(self, session: Session, statement: str, *values: Any) -> list[Any]:
        return session.rows(f"purge.{statement}", values)

    def _etype(self, session: Session, etype: str) -> int | None:
        number: int | None = session.value("purge.etype_id", (etype,))
        return number

    def _ids(self, session: Session, statement: str, etype: str, attrs: Sequence[str] | None) -> list[int]:
        names = list(attrs or ())
        values = {"etype": self._etype(session, etype), "attrs": names, "whole": attrs is None}
        found: list[Any] = session.rows(f"purge.{statement}", values)
        return [number for (number,) in found]


def following(eid: str) -> str:
    """The first text above an id."""
    return eid + "\0"


def in_hex(values: Sequence[bytes]) -> list[str]:
    """Encoded values as statements write them."""
    return [v.hex().upper() for v in values]


def _changed(checkpoint: Checkpoint, rows: int) -> Checkpoint:
    return msgspec.structs.replace(checkpoint, rows=checkpoint.rows + rows)


def _by_type(attrs: Iterable[RemovedAttr]) -> list[tuple[str, tuple[str, ...]]]:
    ordered = sorted(attrs, key=_etype_of)
    return [(etype, tuple(one.attr for one in some)) for etype, some in groupby(ordered, _etype_of)]


def _etype_of(attr: RemovedAttr) -> str:
    return attr.etype


def _groups(attrs: Iterable[RemovedAttr]) -> list[_Group]:
    """Attributes whose values are removed: those of which all goes together, others one by one."""
    attrs = list(attrs)
    together: list[_Group] = [
        (etype, names, ()) for etype, names in _by_type(one for one in attrs if one.whole)
    ]
    return together + [(one.etype, (one.attr,), one.values) for one in attrs if one.values]
