"""The model in the state: the numbers of its names, and the one that the state was last run with."""

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from dp3.sqlite import load_statements
from dp3.store.ports.models import Forget, Outdated, Removal
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.garbage import Garbage
from dp3.store.sqlite.leases import Leases
from dp3.store.sqlite.parameters import listed
from dp3.store.sqlite.purge import Checkpoint, Purge, following, in_hex

NOW, REMOVAL, CHECKPOINT = "now", "removal", "mark"
"""Names under which the state keeps the model, the removal under way, and how far that is."""

_removal = msgspec.json.Decoder(Removal).decode
_checkpoint = msgspec.json.Decoder(Checkpoint).decode


class Names:
    """See `dp3.store.ports.models.Names`. Numbers are given once and do not change while anybody works, so
    those seen before are remembered."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._sql = load_statements("dp3.store.sqlite", "names.sql")
        self._readers = readers
        self._etypes: dict[str, int] = {}
        self._attrs: dict[tuple[str, str], int] = {}
        self.read_again()

    def read_again(self) -> None:
        """Forget what was removed: a name that comes again gets another number."""
        self._etypes = dict(self._readers.rows(self._sql["known_etypes"]))
        attrs = self._readers.rows(self._sql["known_attrs"])
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
        with self._writer.transaction() as connection:
            number: int = connection.execute(self._sql[statement], name).get
        return number


class Models:
    """See `dp3.store.ports.models.Models`."""

    def __init__(
        self, writer: Writer, readers: Readers, leases: Leases, names: Names, garbage: Garbage
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._leases = leases
        self._names = names
        self._purge = Purge(garbage)
        self._sql = load_statements("dp3.store.sqlite", "models.sql")
        self._purge_sql = load_statements("dp3.store.sqlite", "purge.sql")

    def tracked(self) -> tuple[str | None, bool]:
        with self._readers.state() as state:
            return self._tracked(state)

    def track(self, model: str, instead_of: str | None) -> bool:
        with self._writer.transaction() as connection:
            if self._tracked(connection) != (instead_of, False):
                return False
            self._put(connection, NOW, model)
            connection.execute(self._sql["forget_outdated"])
        return True

    def require_no_worker(self, host: str, ttl_s: float) -> None:
        with self._writer.transaction() as connection:
            self._leases.require_none(connection, host, ttl_s)

    def begin_removal(self, removal: Removal, instead_of: str, host: str, ttl_s: float) -> bool:
        with self._writer.transaction() as connection:
            self._leases.require_none(connection, host, ttl_s)
            if self._tracked(connection) != (instead_of, False):
                return False
            self._put(connection, REMOVAL, msgspec.json.encode(removal).decode())
            self._put_checkpoint(connection, Checkpoint())
        self._writer.make_durable()
        return True

    def removal(self) -> Removal | None:
        with self._readers.state() as state:
            return self._removal(state)

    def continue_removal(self, forget: Forget) -> tuple[str, int] | None:
        self._writer.wait_for_room()
        with self._writer.transaction() as connection:
            removal = self._removal(connection)
            if removal is None:
                return None
            checkpoint = _checkpoint(connection.execute(self._sql["content"], (CHECKPOINT,)).get)
            after = self._purge.step(connection, removal, checkpoint, forget)
            if after is not None:
                self._put_checkpoint(connection, after)
                return after.stage, after.rows
            self._finish(connection, removal)
        self._writer.make_durable()
        self._names.read_again()
        return None

    def _finish(self, connection: apsw.Connection, removal: Removal) -> None:
        connection.executemany(self._sql["put_outdated"], _outdated(removal))
        self._put(connection, NOW, removal.model)
        for name in (REMOVAL, CHECKPOINT):
            connection.execute(self._sql["forget"], (name,))

    def outdated(self) -> list[Outdated]:
        return list(map(Outdated._make, self._readers.rows(self._sql["outdated"])))

    def attr_rows(
        self, etype: str, attrs: Sequence[str], values: Sequence[bytes], start: str, limit: int
    ) -> tuple[list[tuple[str, int, int]], str | None]:
        with self._readers.state() as state:
            number = state.execute(self._purge_sql["etype_id"], (etype,)).get
            page: list[Any] = state.execute(
                self._purge_sql["next_entities"], (number, start, limit)
            ).fetchall()
            names = {"etype": number, "attrs": listed(attrs)}
            numbers = state.execute(self._purge_sql["attr_ids"], names).fetchall()
            wanted = {
                "entities": listed(key for key, _ in page),
                "attrs": listed(one for (one,) in numbers),
                "values": in_hex(values),
            }
            counts: list[Any] = state.execute(self._sql["attr_rows"], wanted).fetchall()
        return counts, following(page[-1][1]) if len(page) == limit else None

    def _tracked(self, connection: apsw.Connection) -> tuple[str | None, bool]:
        model: str | None = connection.execute(self._sql["content"], (NOW,)).get
        return model, connection.execute(self._sql["content"], (REMOVAL,)).get is not None

    def _removal(self, connection: apsw.Connection) -> Removal | None:
        text = connection.execute(self._sql["content"], (REMOVAL,)).get
        return None if text is None else _removal(text)

    def _put(self, connection: apsw.Connection, name: str, content: str) -> None:
        connection.execute(self._sql["put"], (name, content))

    def _put_checkpoint(self, connection: apsw.Connection, checkpoint: Checkpoint) -> None:
        self._put(connection, CHECKPOINT, msgspec.json.encode(checkpoint).decode())


def _outdated(removal: Removal) -> list[Outdated]:
    """Everything that the log has from before the removal. History that stays keeps its meaning."""
    places = [(etype, "", b"") for etype in removal.etypes]
    for attr in removal.attrs:
        if not attr.history_stays:
            places += [(attr.etype, attr.attr, v) for v in attr.values or (b"",)]
    return [Outdated(*place, lane, offset) for place in places for lane, offset in removal.heads.items()]
