"""Messages to workers."""

from collections.abc import Iterable
from typing import Any

from dp3.clock import Clock
from dp3.store.ports.control import ControlMessage, ControlProgress
from dp3.store.ports.errors import ControlFull
from dp3.store.sql.parameters import from_json, to_json
from dp3.store.sql.session import Database, Session

RESULTS_KEPT_US = 24 * 3_600 * 1_000_000
"""The result of a message can be asked for so long; the sender waits for seconds."""

MAX_PENDING = 10_000
"""So many messages may wait for workers; each wait of a sender ends after seconds, its message stays."""


class Control:
    """See `dp3.store.ports.control.Control`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def send(self, worker: int, action: str, args: dict[str, Any]) -> int:
        now = self._clock.now_us()
        message = (worker, action, to_json(args), now)
        with self._database.writing() as session:
            session.run("control.forget_done", (now - RESULTS_KEPT_US,))
            session.run("control.forget_progress")
            pending = session.value("control.pending_count")
            if pending >= MAX_PENDING:
                raise ControlFull(f"{pending} messages wait for the workers; do they run? Try again later")
            id_: int = session.value("control.send", message)
        return id_

    def give_up(self, session: Session, reason: str) -> None:
        """In the caller's transaction: all pending messages are done, with `reason` as their error."""
        session.run("control.give_up", (to_json({"error": reason}),))

    def pending(self, worker: int) -> list[ControlMessage]:
        rows = self._database.rows("control.pending", (worker,))
        return [ControlMessage(id_, action, from_json(args)) for id_, action, args in rows]

    def results(self, ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        rows = self._database.rows("control.results", (list(ids),))
        return {id_: from_json(result) for id_, result in rows}

    def progress(self, ids: Iterable[int]) -> list[ControlProgress]:
        rows = self._database.rows("control.progress", (list(ids),))
        return [
            ControlProgress(id_, from_json(report), from_json(checkpoint)) for id_, report, checkpoint in rows
        ]

    def note(self, session: Session, progress: ControlProgress) -> None:
        """In the caller's transaction: how far a message is."""
        values = (progress.message, to_json(progress.report), to_json(progress.checkpoint))
        session.run("control.note_progress", values)
