"""Keeping dead letters, up to a limit, and reading them."""

from collections.abc import Sequence
from typing import Any

import apsw

from dp3.sqlite import load_statements
from dp3.store.ports.dead_letters import DeadLetter, StoredDeadLetter
from dp3.store.sqlite.connections import Readers
from dp3.store.sqlite.json_columns import from_json, to_json

FILTERS = ("kind", "module", "hook", "etype", "eid")


class DeadLetterWriter:
    """Keeps dead letters in the caller's transaction; those above the limit are only counted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sql = load_statements("dp3.store.sqlite", "dead_letters.sql")

    def add(self, connection: apsw.Connection, letters: Sequence[DeadLetter]) -> None:
        if not letters:
            return
        room = max(0, self._most - connection.execute(self._sql["dead_letter_count"]).get)
        connection.executemany(self._sql["add_dead_letter"], map(_columns, letters[:room]))
        if len(letters) > room:
            connection.execute(self._sql["count_dropped"], (len(letters) - room,))


class DeadLetters:
    """See the methods of the same names in `Store`."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._sql = load_statements("dp3.store.sqlite", "dead_letters.sql")

    def page(self, after: int, limit: int, filters: dict[str, str] | None = None) -> list[StoredDeadLetter]:
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


def _columns(letter: DeadLetter) -> tuple[Any, ...]:
    texts = letter._replace(reason=_storable(letter.reason), traceback=_storable(letter.traceback))
    return *texts[:-1], to_json(letter.context)


def _storable(text: str) -> str:
    """Messages of exceptions may hold lone surrogates (file names do), which have no UTF-8 form."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
