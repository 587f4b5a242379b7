"""Reading dead letters."""

from typing import Any

from dp3.sqlite import load_statements
from dp3.store.port import DeadLetter, StoredDeadLetter
from dp3.store.sqlite.connections import Readers
from dp3.store.sqlite.json_columns import from_json

FILTERS = ("kind", "module", "hook", "etype", "eid")


class DeadLetters:
    """See the methods of the same names in `Store`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._sql = load_statements("dp3.store.sqlite", "letters.sql")

    def page(self, after: int, limit: int, filters: dict[str, str] | None) -> list[StoredDeadLetter]:
        if unknown := set(filters or ()) - set(FILTERS):
            raise ValueError(f"dead letters can be filtered by {', '.join(FILTERS)}, got {sorted(unknown)}")
        values: dict[str, Any] = {"after": after, "limit": limit}
        statement = "next_dead_letters"
        if filters:
            values |= dict.fromkeys(FILTERS) | filters
            statement = "dead_letters"
        with self._readers.state() as state:
            return [_stored(row) for row in state.execute(self._sql[statement], values)]

    def get(self, id_: int) -> StoredDeadLetter | None:
        with self._readers.state() as state:
            row = state.execute(self._sql["dead_letter"], (id_,)).fetchone()
        return _stored(row) if row else None

    def count(self) -> int:
        with self._readers.state() as state:
            count: int = state.execute(self._sql["dead_letter_count"]).get
            return count


def _stored(row: tuple[Any, ...]) -> StoredDeadLetter:
    return StoredDeadLetter(row[0], DeadLetter._make((*row[1:-1], from_json(row[-1]))))
