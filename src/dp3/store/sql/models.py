"""The model in the state: the numbers of its names, and the one that the state was last run with."""

from collections.abc import Sequence
from typing import Any

import msgspec

from dp3.store.ports.models import Forget, Outdated, Removal
from dp3.store.sql.garbage import Garbage
from dp3.store.sql.leases import Leases
from dp3.store.sql.purge import Checkpoint, Purge, following, in_hex
from dp3.store.sql.session import Database, Session

NOW, REMOVAL, CHECKPOINT = "now", "removal", "mark"
"""Names under which the state keeps the model, the removal under way, and how far that is."""

_removal = msgspec.json.Decoder(Removal).decode
_checkpoint = msgspec.json.Decoder(Checkpoint).decode


class Names:
    """See `dp3.store.ports.models.Names`. Numbers are given once and do not change while anybody works, so
    those seen before are remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._etypes: dict[str, int] = {}
        self._attrs: dict[tuple[str, str], int] = {}
        self.read_again()

    def read_again(self) -> None:
        """Forget what was removed: a name that comes again gets another number."""
        self._etypes = dict(self._database.rows("names.known_etypes"))
        attrs = self._database.rows("names.known_attrs")
        self._attrs = {(etype, attr): number for etype, attr, number in attrs}

    def etype_id(self, etype: str) -> int:
        if etype not in self._etypes:
            self._etypes[etype] = self._make("etype_id", etype)
        return self._etypes[etype]

    def attr_id(self, etype: str, attr: str) -> int:
        if (etype, attr) not in self._attrs:
            self._attrs[etype, attr] = self._make("attr_id", self.etype_id(etype), attr)
        return self._attrs[etype, attr]

    def _make(self, statement: str, *name: int | str) -> int:
        with self._database.writing() as session:
            number: int = session.value(f"names.{statement}", name)
        return number


class Models:
    """See `dp3.store.ports.models.Models`."""

    def __init__(self, database: Database, leases: Leases, names: Names, garbage: Garbage) -> None:
        self._database = database
        self._leases = leases
        self._names = names
        self._purge = Purge(garbage)

    def tracked(self) -> tuple[str | None, bool]:
        with self._database.reading() as session:
            return self._tracked(session)

    def track(self, model: str, instead_of: str | None) -> bool:
        with self._database.writing() as session:
            if self._tracked(session) != (instead_of, False):
                return False
            self._put(session, NOW, model)
            session.run("models.forget_outdated")
        return True

    def require_no_worker(self, host: str, ttl_s: float) -> None:
        with self._database.writing() as session:
            self._leases.require_none(session, host, ttl_s)

    def begin_removal(self, removal: Removal, instead_of: str, host: str, ttl_s: float) -> bool:
        with self._database.writing() as session:
            self._leases.require_none(session, host, ttl_s)
            if self._tracked(session) != (instead_of, False):
                return False
            self._put(session, REMOVAL, msgspec.json.encode(removal).decode())
            self._put_checkpoint(session, Checkpoint())
        self._database.make_durable()
        return True

    def removal(self) -> Removal | None:
        with self._database.reading() as session:
            return self._removal(session)

    def continue_removal(self, forget: Forget) -> tuple[str, int] | None:
        self._database.wait_for_room()
        with self._database.writing() as session:
            removal = self._removal(session)
            if removal is None:
                return None
            checkpoint = _checkpoint(session.value("models.content", (CHECKPOINT,)))
            after = self._purge.step(session, removal, checkpoint, forget)
            if after is not None:
                self._put_checkpoint(session, after)
                return after.stage, after.rows
            self._finish(session, removal)
        self._database.make_durable()
        self._names.read_again()
        return None

    def _finish(self, session: Session, removal: Removal) -> None:
        session.each("models.put_outdated", _outdated(removal))
        self._put(session, NOW, removal.model)
        for name in (REMOVAL, CHECKPOINT):
            session.run("models.forget", (name,))

    def outdated(self) -> list[Outdated]:
        return list(map(Outdated._make, self._database.rows("models.outdated")))

    def attr_rows(
        self, etype: str, attrs: Sequence[str], values: Sequence[bytes], start: str, limit: int
    ) -> tuple[list[tuple[str, int, int]], str | None]:
        with self._database.reading() as session:
            number = session.value("purge.etype_id", (etype,))
            page: list[Any] = session.rows("purge.next_entities", (number, start, limit))
            names = {"etype": number, "attrs": list(attrs)}
            numbers = session.rows("purge.attr_ids", names)
            wanted = {
                "entities": [key for key, _ in page],
                "attrs": [one for (one,) in numbers],
                "values": in_hex(values),
                "whole": not values,
            }
            counts: list[Any] = session.rows("models.attr_rows", wanted)
        return counts, following(page[-1][1]) if len(page) == limit else None

    def _tracked(self, session: Session) -> tuple[str | None, bool]:
        model: str | None = session.value("models.content", (NOW,))
        return model, session.value("models.content", (REMOVAL,)) is not None

    def _removal(self, session: Session) -> Removal | None:
        text = session.value("models.content", (REMOVAL,))
        return None if text is None else _removal(text)

    def _put(self, session: Session, name: str, content: str) -> None:
        session.run("models.put", (name, content))

    def _put_checkpoint(self, session: Session, checkpoint: Checkpoint) -> None:
        self._put(session, CHECKPOINT, msgspec.json.encode(checkpoint).decode())


def _outdated(removal: Removal) -> list[Outdated]:
    """Everything that the log has from before the removal. History that stays keeps its meaning."""
    places = [(etype, "", b"") for etype in removal.etypes]
    for attr in removal.attrs:
        if not attr.history_stays:
            places += [(attr.etype, attr.attr, v) for v in attr.values or (b"",)]
    return [Outdated(*place, lane, offset) for place in places for lane, offset in removal.heads.items()]
