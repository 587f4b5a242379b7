"""Commits what hooks did for some entities, with how far they are."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from dp3.clock import Clock
from dp3.common.utils import batched
from dp3.engine.jobs.hook_effects import Effects
from dp3.engine.jobs.waiting import Wait
from dp3.model.wire import encode_tasks
from dp3.store.ports.batches import Batch
from dp3.store.ports.dead_letters import DeadLetter
from dp3.store.ports.errors import StoreFull
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State
from dp3.store.ports.updates import UpdateBatch

MOST_LETTERS = 100
"""Dead letters of one hook that are kept of one batch; more are only counted."""

MOST_TASKS = 1_000
"""Tasks in one row of the outbox."""

RETRY_US = 1_000_000
"""Time between attempts to write while the disk is full."""

logger = logging.getLogger(__name__)


class Slices:
    """Writes slice after slice, waiting for room as long as the disk is full, so that hooks are not called
    again for that. For one thread."""

    def __init__(self, state: State, clock: Clock, lease: Lease) -> None:
        self._state = state
        self._clock = clock
        self._lease = lease
        self._letters: Counter[str] = Counter()

    def begin(self) -> None:
        """What was kept of failures so far does not count any more."""
        self._letters.clear()

    def commit(self, batch: UpdateBatch, effects: Effects) -> Wait:
        """Commit a slice with what hooks did."""
        batch.tasks = [encode_tasks(part) for part in batched(effects.tasks, MOST_TASKS)]
        batch.dead_letters = self._kept(effects.dead_letters)
        if effects.errors:
            batch.counters["module_error"] = effects.errors
        batch.hooks = effects.hooks.rows()
        return self._write(lambda: self._state.updates.write(self._lease, batch))

    def finish(self, message: int, result: dict[str, object]) -> Wait:
        """A control message is done."""
        batch = Batch(control_done=[(message, result)])
        return self._write(lambda: self._state.batches.commit(self._lease, batch))

    def _write(self, write: Callable[[], None]) -> Wait:
        while not self._written(write):
            until = self._clock.now_us() + RETRY_US
            while self._clock.now_us() < until:
                yield Future()
        yield None

    def _written(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except StoreFull as error:
            logger.error("results of hooks can not be written, waiting: %s", error)
            return False
        return True

    def _kept(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        kept = []
        for letter in letters:
            self._letters[letter.hook] += 1
            if self._letters[letter.hook] <= MOST_LETTERS:
                kept.append(letter)
        return kept
