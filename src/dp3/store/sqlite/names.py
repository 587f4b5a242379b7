"""Numbers of entity types and attributes."""

from dp3.sqlite import load_statements
from dp3.store.sqlite.connections import Readers, Writer


class Names:
    """See `dp3.store.ports.names.Names`. Numbers are given once and do not change while anybody works, so
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
