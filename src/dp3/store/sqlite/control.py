"""Messages to workers."""

from collections.abc import Iterable
from typing import Any

import apsw

from dp3.clock import Clock
from dp3.sqlite import load_statements
from dp3.store.ports.control import ControlMessage, ControlProgress
from dp3.store.ports.errors import ControlFull
from dp3.store.sqlite.connections import Readers, Writer
from dp3.store.sqlite.parameters import from_json, listed, to_json

RESULTS_KEPT_US = 24 * 3_600 * 1_000_000
"""The result of a message can be asked for so long; the sender waits for seconds."""

MAX_PENDING = 10_000
"""So many messages may wait for workers; each wait of a sender ends after seconds, its message stays."""


class Control:
    """See `dp3.store.ports.control.Control`."""

    def __init__(self, writer: Writer, readers: Readers, clock: Clock) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._sql = load_statements("dp3.store.sqlite", "control.sql")

    def send(self, worker: int, action: str, args: dict[str, Any]) -> int:
        now = self._clock.now_us()
        message = (worker, action, to_json(args), now)
        with self._writer.transaction() as connection:
            connection.execute(self._sql["forget_done"], (now - RESULTS_KEPT_US,))
            connection.execute(self._sql["forget_progress"])
            pending = connection.execute(self._sql["pending_count"]).get
            if pending >= MAX_PENDING:
                raise ControlFull(f"{pending} messages wait for the workers; do they run? Try again later")
            id_: int = connection.execute(self._sql["send"], message).get
        return id_

    def give_up(self, connection: apsw.Connection, reason: str) -> None:
        """In the caller's transaction: all pending messages are done, with `reason` as their error."""
        connection.execute(self._sql["give_up"], (to_json({"error": reason}),))

    def pending(self, worker: int) -> list[ControlMessage]:
        rows = self._readers.rows(self._sql["pending"], (worker,))
        return [ControlMessage(id_, action, from_json(args)) for id_, action, args in rows]

    def results(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        rows = self._readers.rows(self._sql["results"], (listed(ids),))
        return {id_: from_json(result) for id_, result in rows}

    def progress(self, ids: Iterable[int]) -> list[ControlProgress]:
        rows = self._readers.rows(self._sql["progress"], (listed(ids),))
        return [
            ControlProgress(id_, from_json(report), from_json(checkpoint)) for id_, report, checkpoint in rows
        ]

    def note(self, connection: apsw.Connection, progress: ControlProgress) -> None:
        """In the caller's transaction: how far a message is."""
        values = (progress.message, to_json(progress.report), to_json(progress.checkpoint))
        connection.execute(self._sql["note_progress"], values)
