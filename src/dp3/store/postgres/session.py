"""Sessions on PostgreSQL."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from psycopg import Cursor

from dp3.postgres.arrays import column
from dp3.postgres.transactions import Conversation
from dp3.store.postgres.dialect import PostgresStatement
from dp3.store.postgres.keys import encoded_key
from dp3.store.sql.session import Row, Values

LARGEST = 8_192
"""Rows in one statement."""


class PostgresSession:
    """See `dp3.store.sql.session.Session`. In a pipeline only what reads waits for the server; a statement
    that fails is told of by the next wait, the end of the pipeline at the latest.

    `check`, if there is one, is called once, when the first answer is there."""

    def __init__(self, conversation: Conversation, statements: Mapping[str, PostgresStatement]) -> None:
        self.conversation = conversation
        self.check: Callable[[], object] | None = None
        self._statements = statements
        self._unanswered: list[Cursor[Row]] = []
        self._has_changed = False

    @property
    def has_changed(self) -> bool:
        """Whether a statement has changed a row, or may have: its answer is not there yet."""
        return self._has_changed or any(cursor.rowcount != 0 for cursor in self._unanswered)

    def run(self, name: str, values: Values = ()) -> None:
        """See the protocol."""
        self._unanswered.append(self.ask(name, values))

    def affected(self, name: str, values: Values = ()) -> int:
        """See the protocol."""
        cursor = self.ask(name, values)
        self.conversation.wait()
        self._note(cursor)
        return cursor.rowcount

    def rows(self, name: str, values: Values = ()) -> list[Any]:
        """See the protocol."""
        return self._answer(self.ask(name, values))

    def stream(self, name: str, values: Values = ()) -> Iterator[Any]:
        """See the protocol. The driver has all of them anyway."""
        return iter(self.rows(name, values))

    def row(self, name: str, values: Values = ()) -> Row | None:
        """See the protocol."""
        rows = self._answer(self.ask(name, values))
        return rows[0] if rows else None

    def value(self, name: str, values: Values = ()) -> Any:
        """See the protocol."""
        row = self.row(name, values)
        return row[0] if row is not None and len(row) == 1 else row

    def each(self, name: str, rows: Iterable[Values]) -> None:
        """See the protocol."""
        for values in rows:
            self.run(name, values)

    def bulk(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> None:
        """See the protocol."""
        self._unanswered += self._bulk(name, rows, others)

    def bulk_rows(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> list[Any]:
        """See the protocol."""
        return self.ask_bulk(name, rows, *others)()

    def ask_bulk(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> Callable[[], list[Any]]:
        """See the protocol."""
        asked = list(self._bulk(name, rows, others))
        return lambda: [row for cursor in asked for row in self._answer(cursor)]

    def named(self, prefix: str) -> list[str]:
        """See the protocol."""
        return [name for name in self._statements if name.startswith(prefix)]

    def checked(self) -> None:
        """Do the check, unless it is done."""
        if self.check is not None:
            check, self.check = self.check, None
            check()

    def ask(self, name: str, values: Values = ()) -> Cursor[Row]:
        """Run a statement whose answer is looked at later."""
        statement = self._statements[name]
        parameters = given(values)
        for parameter, types in statement.lists.items():
            values_ = parameters[parameter]
            if len(types) == 1:
                parameters[parameter] = column(types[0], values_)
            else:
                for number, type_ in enumerate(types):
                    parameters[f"{parameter}_{number}"] = column(type_, [row[number] for row in values_])
        return self.conversation.execute(statement.text, parameters)

    def _bulk(self, name: str, rows: Sequence[Sequence[Any]], others: Sequence[Any]) -> Iterator[Cursor[Row]]:
        statement = self._statements[name]
        more = [
            value if type_ is None else column(type_, value)
            for type_, value in zip(statement.others, others, strict=True)
        ]
        for begin in range(0, len(rows), LARGEST):
            values = zip(*rows[begin : begin + LARGEST], strict=True)
            columns = list(map(_column, statement.columns, values))
            yield self.conversation.execute(statement.text, [*columns, *more])

    def _answer(self, cursor: Cursor[Row]) -> list[Any]:
        rows = self.conversation.rows(cursor)
        self._note(cursor)
        return rows

    def _note(self, cursor: Cursor[Row]) -> None:
        if cursor.rowcount > 0 and not (cursor.statusmessage or "").startswith("SELECT"):
            self._has_changed = True
        self.checked()


def _column(type_: str, values: Sequence[Any]) -> bytes:
    return column("bytea", list(map(encoded_key, values))) if type_ == "key" else column(type_, values)


def given(values: Values) -> dict[str, Any]:
    """Parameters by name; those given by place are `p1`, `p2`, …"""
    if isinstance(values, Mapping):
        return {name: _listed(value) for name, value in values.items()}
    return {f"p{number}": _listed(value) for number, value in enumerate(values, 1)}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
