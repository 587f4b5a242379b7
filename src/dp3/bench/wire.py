"""Transactions, statements and round trips of clients of a PostgreSQL server, as seen on the way.

A round trip is a change of direction: the client sends after the server has answered. Statements are told by
the names that they have in the product, others by their first words.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from dp3.log.port import Lane
from dp3.statements import load_statements
from dp3.store.postgres.dialect import translated
from dp3.store.postgres.opening import PACKAGE
from dp3.store.sql.statements import load_state_statements

_PLACE = re.compile(r"%\(\w+\)s|%s|\$\d+")

WORDS = 2
"""Of a statement without a name."""

IDLE = b"I"
"""No transaction is open."""


@dataclass(slots=True)
class Kind:
    """Sums over transactions of a kind."""

    transactions: int = 0
    round_trips: int = 0
    names: Counter[str] = field(default_factory=Counter)

    @property
    def statements(self) -> int:
        return self.names.total()

    def add(self, other: "Kind") -> None:
        self.transactions += other.transactions
        self.round_trips += other.round_trips
        self.names.update(other.names)


def kind_of(names: Counter[str]) -> str:
    """The kind of a transaction: `commit` of a batch, `page` of a snapshot run, `append` to the log, `read`
    (of several statements), `single` (one statement), `other`."""
    if "batches.advance" in names:
        return "commit"
    if any(name.startswith("BEGIN ISOLATION") for name in names):
        return "read"
    if names.total() == 1:
        return "single"
    if any(name.startswith("log.") for name in names):
        return "append"
    if any(name.startswith(("snapshots.", "runs.")) for name in names):
        return "page"
    return "other"


class Dialogue:
    """One connection. `kinds`: its transactions that are over, by kind."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}
        self._from_client = _Messages(b"PBEQ", begun=False)
        self._from_server = _Messages(b"Z", begun=True)
        self._prepared: dict[bytes, str] = {}
        self._bound = ""
        self._has_answered = True
        self._current = Kind(transactions=1)

    def client_sent(self, data: bytes) -> None:
        """Some bytes of the client."""
        self._current.round_trips += self._has_answered
        self._has_answered = False
        for type_, body in self._from_client.feed(data):
            if type_ == b"P":
                name, text = body.split(b"\0", 2)[:2]
                self._prepared[name] = name_of(text.decode(errors="replace"))
            elif type_ == b"B":
                self._bound = self._prepared.get(body.split(b"\0", 2)[1], "")
            elif type_ == b"E":
                self._current.names[self._bound] += 1
            elif type_ == b"Q":
                self._current.names[name_of(body.rstrip(b"\0").decode(errors="replace"))] += 1

    def server_sent(self, data: bytes) -> None:
        """Some bytes of the server."""
        self._has_answered = True
        for type_, body in self._from_server.feed(data):
            if type_ == b"Z" and body == IDLE:
                self._end()

    def _end(self) -> None:
        current, self._current = self._current, Kind(transactions=1)
        if current.names:
            self.kinds.setdefault(kind_of(current.names), Kind()).add(current)


class _Messages:
    """Divides a stream into messages. `wanted`: types whose bodies are told; `begun`: False if the first one,
    the startup message, has no type."""

    def __init__(self, wanted: bytes, *, begun: bool) -> None:
        self._wanted = wanted
        self._begun = begun
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        rest = self._rest
        rest += data
        place = 0
        while len(rest) - place >= 5:
            typed = int(self._begun)
            end = place + typed + int.from_bytes(rest[place + typed : place + typed + 4])
            if len(rest) < end:
                break
            type_ = bytes(rest[place : place + typed])
            if type_ and type_ in self._wanted:
                yield type_, bytes(rest[place + 5 : end])
            self._begun = True
            place = end
        del rest[:place]


@cache
def name_of(text: str) -> str:
    """The name of a statement."""
    return _names().get(_normal(text)) or " ".join(text.split()[:WORDS])


@cache
def _names() -> dict[str, str]:
    state = {
        translated(sql).text: name
        for name, sql in load_state_statements(PACKAGE).items()
        if not name.startswith("schema.")
    }
    log = {
        sql.replace("{lane}", f"log_{lane.name.lower()}"): f"log.{name}"
        for name, sql in load_statements("dp3.log.postgres", "log.sql").items()
        for lane in Lane
    }
    return {_normal(text): name for text, name in {**state, **log}.items()}


def _normal(text: str) -> str:
    """The same before and after the driver has put in its places for parameters."""
    return _PLACE.sub("?", text).replace("%%", "%").strip()
