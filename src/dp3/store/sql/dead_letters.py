"""Keeping dead letters, up to a limit, and reading them."""

from collections.abc import Mapping, Sequence
from typing import Any

from dp3.store.ports.dead_letters import FILTERS, DeadLetter, LetterGroup
from dp3.store.sql.parameters import from_json, to_json
from dp3.store.sql.session import Database, Session

_ABOVE_ALL = (1 << 63) - 1


class DeadLetterWriter:
    """Keeps dead letters in the caller's transaction; those above the limit are only counted."""

    def __init__(self, most: int) -> None:
        self._most = most

    def add(self, session: Session, failures: Sequence[DeadLetter]) -> None:
        """Keep as many as there is room for."""
        if not failures:
            return
        room = max(0, self._most - session.value("dead_letters.dead_letter_count"))
        session.bulk("dead_letters.add_dead_letters", list(map(_columns, failures[:room])))
        if len(failures) > room:
            session.run("dead_letters.count_dropped", (len(failures) - room,))


class DeadLetters:
    """See `dp3.store.ports.dead_letters.DeadLetters`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, after: int, limit: int, filters: Mapping[str, str] | None = None, *, newest_first: bool = False
    ) -> list[tuple[int, DeadLetter]]:
        values = _filter_values(filters) | {"limit": limit}
        if not filters:
            statement = "previous_dead_letters" if newest_first else "next_dead_letters"
            values |= {"after": after}
        else:
            statement, sign = "dead_letters", -1 if newest_first else 1
            values |= {"sign": sign, "after": after * sign or -_ABOVE_ALL}
        return [
            (row[0], _dead_letter(row)) for row in self._database.rows(f"dead_letters.{statement}", values)
        ]

    def groups(self, limit: int, filters: Mapping[str, str] | None = None) -> list[LetterGroup]:
        values = _filter_values(filters) | {"limit": limit}
        return list(map(LetterGroup._make, self._database.rows("dead_letters.dead_letter_groups", values)))

    def get(self, id: int) -> DeadLetter | None:
        row = self._database.value("dead_letters.dead_letter", (id,))
        return _dead_letter(row) if row else None

    def count(self, filters: Mapping[str, str] | None = None) -> int:
        if filters:
            count: int = self._database.value("dead_letters.count_dead_letters", _filter_values(filters))
        else:
            count = self._database.value("dead_letters.dead_letter_count")
        return count


def _filter_values(filters: Mapping[str, str] | None) -> dict[str, Any]:
    """Filters as parameters of statements, None where there is none."""
    if unknown := set(filters or ()) - set(FILTERS):
        raise ValueError(f"dead letters can be filtered by {', '.join(FILTERS)}, got {sorted(unknown)}")
    return dict.fromkeys(FILTERS) | dict(filters or {})


def _dead_letter(row: tuple[Any, ...]) -> DeadLetter:
    return DeadLetter._make((*row[1:-1], from_json(row[-1])))


def _columns(failure: DeadLetter) -> tuple[Any, ...]:
    texts = failure._replace(reason=_storable(failure.reason), traceback=_storable(failure.traceback))
    return *texts[:-1], to_json(failure.context)


def _storable(text: str) -> str:
    """Messages of exceptions may hold lone surrogates (file names do), which have no UTF-8 form."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
