"""Tokens of clients of the API."""

from dp3.clock import Clock
from dp3.sqlite import load_statements
from dp3.store.ports.errors import TokenExists
from dp3.store.ports.tokens import Token
from dp3.store.sqlite.connections import Readers, Writer


class Tokens:
    """See `dp3.store.ports.tokens.Tokens`."""

    def __init__(self, writer: Writer, readers: Readers, clock: Clock) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._sql = load_statements("dp3.store.sqlite", "tokens.sql")

    def create(self, name: str, role: str, digest: bytes, expires: int | None) -> None:
        now = self._clock.now_us()
        with self._writer.transaction() as connection:
            connection.execute(self._sql["revoke_expired"], (now, name))
            if connection.execute(self._sql["has_name"], (name,)).get is not None:
                raise TokenExists(
                    f"there is a token named {name!r} already; revoke it first or use another name"
                )
            connection.execute(self._sql["create"], (name, role, digest, now, expires))

    def revoke(self, name: str) -> bool:
        with self._writer.transaction() as connection:
            found = connection.execute(self._sql["revoke"], (self._clock.now_us(), name)).get
        return found is not None

    def all(self) -> list[Token]:
        return [Token(*row) for row in self._readers.rows(self._sql["all"])]

    def not_revoked(self) -> list[Token]:
        return [Token(*row) for row in self._readers.rows(self._sql["not_revoked"])]

    def ever_made(self) -> bool:
        return bool(self._readers.value(self._sql["ever_made"]))
