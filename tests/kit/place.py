"""Log and state of one application, in a directory as the program lays it out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dp3.clock import FakeClock
from dp3.log.port import Append, Lane
from dp3.model.partition import partition_of
from dp3.model.wire import WireTask, encode_tasks
from kit.rooms import a_room

PARTITIONS = 8
LEASE_TTL_S = 15.0

Cron = Mapping[str, Any]
"""The arguments of a cron trigger."""

NEVER: Cron = {"year": 9999}


class Place:
    """`clock` stands still until a test moves it."""

    def __init__(
        self, directory: Path, now_us: int, *, partitions: int = PARTITIONS, **log_options: Any
    ) -> None:
        self.directory = directory
        self.partitions = partitions
        self._copies = 0
        self.clock = FakeClock(now_us)
        self.room = a_room(directory, partitions)
        self.log = self.room.open_log(self.clock, **log_options)
        self._open_state()

    def _open_state(self) -> None:
        self.store = self.room.open_state(self.clock)

    def close(self) -> None:
        self.store.close()
        self.log.close()
        self.room.close()

    # -- the log ---------------------------------------------------------------------------------------
    def send(self, *tasks: WireTask) -> int:
        """Append one entry with these tasks, as the API does; returns its offset."""
        slices: dict[int, list[WireTask]] = {}
        first = 0
        for item in tasks:
            item.first = first
            first += item.width
            slices.setdefault(partition_of(item.etype, item.eid, self.partitions), []).append(item)
        encoded = {partition: encode_tasks(content) for partition, content in slices.items()}
        (appended,) = self.log.append([Append([encoded])])
        assert not isinstance(appended, ValueError)
        return appended.offset

    def append_time(self, offset: int, lane: Lane = Lane.MAIN) -> int:
        """When an entry was appended."""
        moment = self.log.append_time_after(lane, offset - 1)
        assert moment is not None
        return moment

    def entry_order(self, offset: int, lane: Lane = Lane.MAIN) -> int:
        """The order of an entry."""
        order = self.log.order_after(lane, offset - 1)
        assert order is not None
        return order

    # -- the state -------------------------------------------------------------------------------------
    def reopen(self) -> None:
        """As after a process was killed."""
        self.store.close()
        self._open_state()

    def lose_state(self) -> None:
        """The state falls back to its beginning, the log stays: a power loss at its worst."""
        self.store.close()
        self.room.lose_state()
        self._open_state()

    def copy_state(self, target: Path) -> None:
        """Copy the state away."""
        self.store.close()
        self.room.copy_state(target)
        self._open_state()

    def replace_state(self, source: Path) -> None:
        """Go on with a copy of the state."""
        self.store.close()
        self.room.replace_state(source)
        self._open_state()

    def remember_state(self) -> None:
        """Keep a copy of the state as it is, for `fall_back`. Nobody writes meanwhile."""
        self.room.copy_state(self.directory / "copies" / str(self._copies))
        self._copies += 1

    def fall_back(self, copy: int = 0) -> None:
        """The state falls back to one of its copies, or to its beginning if there is none: a power loss."""
        if self._copies:
            self.replace_state(self.directory / "copies" / str(copy % self._copies))
        else:
            self.lose_state()

    def sql(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        """Execute a statement on the state, beside all that is open; rows by column."""
        return self.room.sql(statement, *arguments)

    def count(self, table: str) -> int:
        """How many rows a table has."""
        (row,) = self.sql(f"SELECT count(*) AS n FROM {table}")
        found: int = row["n"]
        return found

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Everything in the state, by table."""
        return {name: self.sql(f'SELECT * FROM "{name}"') for name in self.room.tables()}
