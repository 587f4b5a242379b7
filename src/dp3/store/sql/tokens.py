"""Tokens of clients of the API."""

from dp3.clock import Clock
from dp3.store.ports.errors import TokenExists
from dp3.store.ports.tokens import Token
from dp3.store.sql.session import Database


class Tokens:
    """See `dp3.store.ports.tokens.Tokens`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def create(self, name: str, role: str, digest: bytes, expires: int | None) -> None:
        now = self._clock.now_us()
        with self._database.writing() as session:
            session.run("tokens.revoke_expired", (now, name))
            if session.value("tokens.has_name", (name,)) is not None:
                raise TokenExists(
                    f"there is a token named {name!r} already; revoke it first or use another name"
                )
            session.run("tokens.create", (name, role, digest, now, expires))

    def revoke(self, name: str) -> bool:
        with self._database.writing() as session:
            found = session.value("tokens.revoke", (self._clock.now_us(), name))
        return found is not None

    def all(self) -> list[Token]:
        return [Token(*row) for row in self._database.rows("tokens.all")]

    def not_revoked(self) -> list[Token]:
        return [Token(*row) for row in self._database.rows("tokens.not_revoked")]

    def ever_made(self) -> bool:
        return bool(self._database.value("tokens.ever_made"))
