"""Takes a worker through the batches of all groups of periodic hooks, beside its other work."""

import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dp3.clock import to_datetime
from dp3.engine.context import Context
from dp3.engine.jobs.hook_effects import HookCaller
from dp3.engine.jobs.schedule import Ticks
from dp3.engine.jobs.updates.batch import GroupBatch, UpdateParts
from dp3.engine.jobs.updates.creation import CreationRefresh
from dp3.engine.jobs.updates.groups import HookGroup, make_groups
from dp3.engine.jobs.waiting import Wait
from dp3.hooks.guard import Guard
from dp3.hooks.pool import DaemonPool
from dp3.hooks.registration import HookRegistration
from dp3.model.spec import ModelSpec
from dp3.store.ports.errors import LeaseLost, StoreFull

SLICE_S = 0.05

PATIENCE_S = 0.01
"""So long a worker without other work waits for hooks before it looks for some again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpdateSettings:
    """`cron`: arguments of a cron trigger that says when batches begin, `batch_period` the same as a
    duration; `threads`: hooks of one group that run at a time. At the moments of `cleaning` all but the
    newest `cycles` records of cycles are removed."""

    cron: Mapping[str, Any]
    batch_period: timedelta
    cleaning: Mapping[str, Any]
    cycles: int = 32
    threads: int = 1


class UpdateWork:
    """Periodic hooks, and creation hooks that are to be called again, as one worker sees them. All methods
    are called by the worker's thread.

    Groups do not wait for each other; a group whose batch is under way leaves out those that come due.
    """

    def __init__(
        self,
        parts: UpdateParts,
        groups: Iterable[HookGroup],
        creation: CreationRefresh,
        ticks: Ticks,
        cleaning: Ticks,
        cycles: int,
    ) -> None:
        self._parts = parts
        self._batches = {group: GroupBatch(parts, group) for group in groups}
        self._creation = creation
        self._ticks = ticks
        self._cleaning = cleaning
        self._cycles = cycles
        self._jobs: dict[HookGroup | CreationRefresh, Wait] = {}
        self._awaited: dict[HookGroup | CreationRefresh, Future[Any]] = {}
        self._resumed = False

    def step(self, may_block: bool) -> bool:
        """Work for at most a slice of time; returns whether there was anything to do. `may_block`: some time
        may be spent on waiting for hooks."""
        if self._batches:
            self._begin()
        if self._creation not in self._jobs and (asked_for := self._creation.next()) is not None:
            self._jobs[self._creation] = asked_for
        end = time.perf_counter() + SLICE_S
        worked = False
        while self._jobs and time.perf_counter() < end:
            advanced = [self._advance(job) for job in list(self._jobs)]
            if any(advanced):
                worked = True
            elif may_block:
                wait(self._awaited.values(), PATIENCE_S, FIRST_COMPLETED)
                return True
            else:
                break
        return worked

    def _begin(self) -> None:
        """See what is due. What was under way when the worker ended comes first."""
        if not self._resumed:
            self._resumed = True
            for group, batch in self._batches.items():
                if batch.is_open():
                    self._jobs[group] = batch.resume()
        now = self._parts.clock.now_us()
        tick = self._ticks.due(now)
        if tick is not None:
            for group in self._batches:
                self._begin_batch(group, tick)
        if self._cleaning.due(now) is not None:
            self._clean()

    def _begin_batch(self, group: HookGroup, tick: int) -> None:
        if group not in self._jobs:
            self._jobs[group] = self._batches[group].steps(tick)
            return
        logger.warning(
            "%s: the batch of %s is left out, the one before is still under way",
            group,
            to_datetime(tick),
        )

    def _clean(self) -> None:
        try:
            self._parts.state.updates.forget_cycles(self._parts.lease, self._cycles)
        except StoreFull as error:
            logger.error("old records of periodic hooks are not removed: %s", error)

    def _advance(self, group: HookGroup | CreationRefresh) -> bool:
        """Do a piece of a job; False if it waits for something."""
        try:
            awaited = next(self._jobs[group])
        except StopIteration:
            self._end(group)
            return True
        except LeaseLost:
            raise
        except Exception:
            logger.exception("%s: the work is interrupted; it goes on later where it was", group)
            self._end(group)
            return True
        if awaited is None or awaited.done():
            self._awaited.pop(group, None)
            return True
        self._awaited[group] = awaited
        return False

    def _end(self, group: HookGroup | CreationRefresh) -> None:
        del self._jobs[group]
        self._awaited.pop(group, None)


def make_update_work(
    context: Context,
    model: ModelSpec,
    registrations: Iterable[HookRegistration],
    guard: Guard,
    settings: UpdateSettings,
) -> UpdateWork:
    """What a worker does for periodic hooks."""
    state, clock = context.store, context.clock
    parts = UpdateParts(
        state=state,
        clock=clock,
        lease=context.lease,
        caller=HookCaller(guard, clock, state.partitions),
        io=DaemonPool(1, "update-reader"),
        threads=settings.threads,
        batch_period=settings.batch_period // timedelta(microseconds=1),
    )
    now = clock.now_us()
    return UpdateWork(
        parts,
        make_groups(model, state, registrations, settings.batch_period),
        CreationRefresh(parts, model, registrations),
        Ticks(settings.cron, now),
        Ticks(settings.cleaning, now),
        settings.cycles,
    )
