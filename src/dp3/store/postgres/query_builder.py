"""Queries on PostgreSQL."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg.errors import QueryCanceled

from dp3.postgres.arrays import column
from dp3.store.ports.snapshots import Key
from dp3.store.postgres.keys import decoded_key, encoded_key
from dp3.store.postgres.session import PostgresSession, given
from dp3.store.sql.query_builder import QueryBuilder
from dp3.store.sql.session import Values

_PARAMETER = re.compile(r"%\((\w+)\)s")


class PostgresQueryBuilder(QueryBuilder):
    """See `QueryBuilder`. Keys are stored as bytes; statements call no Python."""

    session: PostgresSession
    unindexed_key = "k.key"
    no_limit = "ALL"

    @contextmanager
    def limited(self) -> Iterator[None]:
        """See `QueryBuilder`."""
        self.session.conversation.execute(
            f"SET LOCAL statement_timeout = {max(1, round(self._limit_s * 1_000))}"
        )
        try:
            yield
        except QueryCanceled:
            raise self.too_slow() from None

    def ask(self, sql: str, values: Values) -> Sequence[Any]:
        """See `QueryBuilder`."""
        if self.is_over():
            raise self.too_slow()
        conversation = self.session.conversation
        if isinstance(values, Mapping):
            # A question of hundreds of alternatives has a parameter for each, most statements need few.
            values = {name: values[name] for name in _PARAMETER.findall(sql)}
        return conversation.rows(conversation.connection.execute(sql.encode(), given(values), prepare=False))

    def stored(self, key: Key) -> bytes:
        """See `QueryBuilder`."""
        return encoded_key(key)

    def key_of(self, stored: bytes) -> Key:
        """See `QueryBuilder`."""
        return decoded_key(stored)

    def among(self, keys: Sequence[Key]) -> str:
        """See `QueryBuilder`. A subquery of the keys may be read once for each row."""
        return f"= ANY ({self.parameter(column('bytea', [encoded_key(key) for key in keys]))})"

    def function(self, test: Callable[[Any], bool]) -> None:
        """See `QueryBuilder`."""

    def _placeholder(self, name: str) -> str:
        return f"%({name})s"


def templates(statements: Mapping[str, str]) -> dict[str, str]:
    """See `QueryBuilder.sql`."""
    return {
        name.removeprefix("queries."): text
        for name, text in statements.items()
        if name.startswith("queries.")
    }
