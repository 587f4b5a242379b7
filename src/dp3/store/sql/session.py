"""Sessions: what the adapters of all engines run their statements with, by name.

A name is `file.statement`: `"leases.take"` stands in `leases.sql`. Parameters are given by place or by name.
A list as a parameter is a list for the statement: of numbers or texts, or of rows, that is tuples.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from dp3.store.ports.leases import Lease

Values: TypeAlias = Sequence[Any] | Mapping[str, Any]
"""Parameters of a statement: by place or by name."""

Row: TypeAlias = tuple[Any, ...]


class Session(Protocol):
    """A transaction, or one committed state. For one thread."""

    def run(self, name: str, values: Values = ()) -> None:
        """Run a statement that changes rows. An engine may send it later, but before any that follows."""
        ...

    def affected(self, name: str, values: Values = ()) -> int:
        """The same, at once; returns how many rows changed."""
        ...

    def rows(self, name: str, values: Values = ()) -> list[Any]:
        """All rows, as tuples."""
        ...

    def stream(self, name: str, values: Values = ()) -> Iterator[Any]:
        """The same one by one, for who may not want all of them."""
        ...

    def row(self, name: str, values: Values = ()) -> Row | None:
        """The first row, None without one."""
        ...

    def value(self, name: str, values: Values = ()) -> Any:
        """The one row of a statement: a tuple, or its value if that is the only one; None without a row."""
        ...

    def each(self, name: str, rows: Iterable[Values]) -> None:
        """Run a statement once for each of some parameters. For few of them: each is a round trip."""
        ...

    def bulk(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> None:
        """`run` for a statement in which `{rows}` stands for a list of rows, all of the same length: for some
        hundreds at a time. `others` are the values of parameters that follow the rows."""
        ...

    def bulk_rows(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> list[Any]:
        """The same for a statement that returns rows: those of all."""
        ...

    def ask_bulk(self, name: str, rows: Sequence[Sequence[Any]], *others: Any) -> Callable[[], list[Any]]:
        """`bulk_rows` whose answer is had later, by calling what is returned: several questions are sent
        before the first one is waited for."""
        ...

    def named(self, prefix: str) -> list[str]:
        """The names that begin so, in the order of their file."""
        ...


class Database(Protocol):
    """The state that a process has open. Everything may be called by any thread, and raises
    `StoreUnavailable` while a server is away; then nothing was written. `commit_target_s`: so long a commit
    of a batch should take at most."""

    commit_target_s: float

    def rows(self, name: str, values: Values = ()) -> list[Any]:
        """All rows of one statement, as tuples."""
        ...

    def value(self, name: str, values: Values = ()) -> Any:
        """The one row of a statement, as `Session.value`."""
        ...

    def reading(self) -> AbstractContextManager[Session]:
        """One committed state, the same for all statements of the block."""
        ...

    def writing(self, lease: Lease | None = None) -> AbstractContextManager[Session]:
        """Everything in the block is committed, or nothing. Raises `StoreFull` when the disk refuses,
        `DamagedFile`, and `LeaseLost` before the block when a lease is given that is not held any more.
        `StoreUncertain` when a server has gone away in the middle of the commit."""
        ...

    def owned(self, lease: Lease) -> AbstractContextManager[Session]:
        """A transaction of the worker that holds a lease, once there is room. Raises `LeaseLost` before the
        first change, `StoreFull`."""
        ...

    def wait_for_room(self) -> None:
        """Back-pressure: wait (bounded) while more is written than the disk has taken."""
        ...

    def make_durable(self) -> None:
        """Have everything that is committed written to the disk. Raises `StoreFull` when that refuses."""
        ...

    def disk_bytes(self) -> int:
        """Number of bytes that the state takes on the disk."""
        ...
