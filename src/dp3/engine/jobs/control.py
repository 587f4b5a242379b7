"""Carries out messages to a worker: at once, or by asking another job for what takes long."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from dp3.engine.context import Context
from dp3.engine.control import ControlHandler
from dp3.engine.ingest.attempts import Attempts
from dp3.engine.jobs.job import NEVER, Work
from dp3.engine.jobs.updates.creation import ACTION as CREATION_ACTION
from dp3.engine.jobs.updates.creation import CreationRefresh
from dp3.store.ports.batches import Stream
from dp3.store.ports.control import ControlMessage

MOST_FAILURES = 3
"""After so many in a row a message is given up."""

logger = logging.getLogger(__name__)


class ControlMessages:
    """The messages for one worker, the oldest first. `flush` is called before hooks may run: it waits for
    what is being written."""

    name = "control messages"
    wake_at = NEVER
    watches = True
    every = 1

    def __init__(
        self,
        context: Context,
        handler: ControlHandler,
        attempts: Attempts,
        creation: CreationRefresh,
        flush: Callable[[], None],
    ) -> None:
        self._state = context.store
        self._lease = context.lease
        self._handler = handler
        self._attempts = attempts
        self._creation = creation
        self._flush = flush

    def begin(self, now: int, failures: int) -> Work | None:
        """See `Job.begin`."""
        short = []
        for message in self._state.control.pending(self._lease.index):
            if message.action == CREATION_ACTION:
                self._creation.request(message)
            else:
                short.append(message)
        return self._carry_out(short, failures) if short else None

    def _carry_out(self, messages: Sequence[ControlMessage], failures: int) -> Work:
        for message in messages:
            self._flush()
            if failures >= MOST_FAILURES:
                batch = self._handler.give_up(message, "it failed repeatedly, see the log of the worker")
            elif self._attempts.begin(Stream.CONTROL, message.id - 1, message.id):
                batch = self._handler.carry_out(message)
            else:
                logger.error("control message %d given up: it ended the worker repeatedly", message.id)
                batch = self._handler.give_up(message, "it ended the worker process repeatedly")
            failures = 0
            yield partial(self._state.batches.commit, self._lease, batch)
