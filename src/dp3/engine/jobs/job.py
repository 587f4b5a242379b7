"""Background work of a worker: one protocol for all of it, when it begins by itself, and the runner that
gives it turns.

The worker takes turns between ingestion and its jobs: after each micro-batch, and whenever there is none, it
calls `JobRunner.turn` once. A job never runs beside ingestion of the same worker, so it may rely on what it
has read until it yields.
"""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import timedelta
from typing import Any, Protocol, TypeAlias, TypeVar

from apscheduler.triggers.cron import CronTrigger

from dp3.clock import Clock, to_datetime, to_us
from dp3.clock_watch import ClockWatch
from dp3.config.kinds import CronExpression
from dp3.files import DamagedFile
from dp3.log.port import LogUnavailable
from dp3.store.ports.errors import LeaseLost, StoreUnavailable, StoreUncertain

SLICE_S = 0.05
"""A job that has worked for so long lets the next one, and then ingestion, have their turn."""

PATIENCE_S = 0.01
"""A worker without other work waits so long for what its jobs wait for, before it looks at the log again."""

STOP_S = 1.0
"""A worker that stops waits so long for what its jobs have begun in other threads. Hooks may take longer."""

RETRY_US = 1_000_000
MOST_DOUBLINGS = 6
"""A job that failed is begun again after 1 s, then 2, 4 … 64 s."""

NEVER = 1 << 62
"""As `wake_at`: the job waits for a request, or for a change of the state."""

ONLY_IDLE = 1 << 62
"""As `every`: the job gets its turns while there is no ingestion."""

LATE_US = 60_000_000
"""A moment that was noticed later than this is passed over."""

ENDING = (DamagedFile, LeaseLost, StoreUncertain)
"""Errors that end the worker."""

T = TypeVar("T")

Write: TypeAlias = Callable[[], None]

Work: TypeAlias = Generator[Future[Any] | Write | None, None, None]
"""Work in pieces of some milliseconds. After a piece it yields None; or a future that has to be done before
the next piece; or a write, which the runner makes at once, and again and again while the state can not be
written: what has led to it is not done again."""

Waiting: TypeAlias = Generator[Future[Any] | None, None, T]
"""A part of such work that waits for threads and returns something."""

logger = logging.getLogger(__name__)


class Job(Protocol):
    """Something that a worker does beside ingestion.

    `name` is what messages call it. The runner asks `begin` when the clock has reached `wake_at` (µs), when
    the clock was set and, if the job `watches`, whenever the state has changed; so both are plain attributes,
    which cost an idle worker nothing. A job sets `wake_at` anew in `begin`; a request from outside sets it to
    0. While there is ingestion the job gets a turn after `every` micro-batches only."""

    name: str
    wake_at: int
    watches: bool
    every: int

    def begin(self, now: int, failures: int) -> Work | None:
        """The work to be done now, or None if there is none. The runner goes on with it in this turn and
        those that follow, until it is through, and does not ask again before. `failures`: how often the work
        has failed since it was last through.

        Work that raises `StoreUnavailable` or `LogUnavailable` is begun again after a pause, as is work that
        fails in another way, which is logged: then `begin` is asked whatever `wake_at` is. `LeaseLost`,
        `DamagedFile` and `StoreUncertain` end the worker: nobody knows whether it is to be done again, before
        another worker begins with what is stored."""
        ...


class _Slot:
    """A job, and its work that is under way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.work: Work | None = None
        self.awaited: Future[Any] | None = None
        self.write: Write | None = None
        self.asked = False
        self.failures = 0
        self.not_before_us = 0

    def next_piece(self, work: Work) -> None:
        """Do a piece of the work, or the write that it waits for. Raises `StopIteration` at the end."""
        if self.write is None:
            found = next(work)
            self.awaited = found if isinstance(found, Future) else None
            self.write = None if isinstance(found, Future) else found
        if self.write is not None:
            self.write()
            self.write = None

    def drop(self) -> None:
        """Leave the work as it is."""
        work, self.work = self.work, None
        self.awaited = self.write = None
        if work is not None:
            work.close()


class JobRunner:
    """Gives jobs their turns, in the order given. All methods are called by the worker's thread.

    `worked` is called after each turn in which a job did something: there may be tasks in the outbox.
    """

    def __init__(
        self, jobs: Sequence[Job], clock: Clock, watch: ClockWatch, worked: Callable[[], None]
    ) -> None:
        self._slots = [_Slot(job) for job in jobs]
        self._clock = clock
        self._watch = watch
        self._worked = worked
        self._seen: int | None = None
        self._turns = 0

    def turn(self, version: int, may_block: bool) -> bool:
        """Give every job with something to do a slice of time; whether any did something.

        `version` is the token of `Changes.version`: another one than before means that the state has
        changed. `may_block`: nothing else is to be done, so time may be spent on waiting for what jobs wait
        for."""
        clock_set = self._watch.look()
        now, changed = self._clock.now_us(), version != self._seen
        monotonic = self._clock.monotonic_us()
        self._seen = version
        self._turns += 1
        worked = False
        for slot in self._slots:
            job = slot.job
            slot.asked |= clock_set or (changed and job.watches)
            if monotonic < slot.not_before_us or not (may_block or self._turns % job.every == 0):
                continue
            if slot.work is None and (slot.asked or now >= job.wake_at):
                self._begin(slot, now)
            if slot.work is not None and self._go_on(slot, slot.work):
                worked = True
        if worked:
            self._worked()
        elif may_block and (awaited := self._awaited()):
            wait(awaited, PATIENCE_S, FIRST_COMPLETED)
            return True
        return worked

    def close(self) -> None:
        """Give up all work that is under way. Called when the worker stops; what was begun in other threads
        has some time to end, lest it find files closed."""
        wait(self._awaited(), STOP_S)
        for slot in self._slots:
            slot.drop()

    def _awaited(self) -> list[Future[Any]]:
        return [slot.awaited for slot in self._slots if slot.awaited is not None]

    def _begin(self, slot: _Slot, now: int) -> None:
        slot.asked = False
        try:
            slot.work = slot.job.begin(now, slot.failures)
        except ENDING:
            raise
        except Exception as error:
            self._fail(slot, error)

    def _go_on(self, slot: _Slot, work: Work) -> bool:
        """Do pieces of the work for a slice of time; False if it only waits."""
        end, worked = time.perf_counter() + SLICE_S, False
        try:
            while slot.awaited is None or slot.awaited.done():
                slot.next_piece(work)
                worked = True
                if time.perf_counter() >= end:
                    break
        except StopIteration:
            slot.work, slot.awaited, slot.failures = None, None, 0
            return True
        except ENDING:
            raise
        except Exception as error:
            self._fail(slot, error)
        return worked

    def _fail(self, slot: _Slot, error: Exception) -> None:
        """Have the work, or the write alone, done again later."""
        if isinstance(error, StoreUnavailable | LogUnavailable):
            logger.error("%s: waiting: %s", slot.job.name, error)
            slot.not_before_us = self._clock.monotonic_us() + RETRY_US
            if slot.write is not None:
                return
        else:
            slot.failures += 1
            pause = RETRY_US << min(slot.failures - 1, MOST_DOUBLINGS)
            slot.not_before_us = self._clock.monotonic_us() + pause
            logger.error("%s: failed (%d), to be begun again", slot.job.name, slot.failures, exc_info=error)
        slot.drop()
        slot.asked = True


def finished(awaited: Future[Any]) -> Waiting[None]:
    """Wait until something is done, well or not."""
    while not awaited.done():
        yield awaited


def result_of(awaited: Future[T]) -> Waiting[T]:
    """Wait for what another thread does; returns or raises what it did."""
    yield from finished(awaited)
    return awaited.result()


class Schedule:
    """The moments of a cron expression. They are the same for all workers, however late each one looks.

    `next` is the next one (µs), for `wake_at` of a job; what was before `now_us` does not count.
    """

    def __init__(self, cron: CronExpression, now_us: int) -> None:
        self._trigger = CronTrigger(**cron.fields(), timezone=cron.timezone)
        self._asked = now_us
        self.next = self._after(now_us - 1)

    def due(self, now_us: int) -> int | None:
        """The latest moment (µs) that has come since the last call, or None."""
        self._follow(now_us)
        if now_us < self.next:
            return None
        latest, following = self.next, self._after(max(self.next, now_us - LATE_US))
        while following <= now_us:
            latest, following = following, self._after(following)
        self.next = following
        return latest if now_us - latest <= LATE_US else None

    def passed(self, now_us: int) -> bool:
        """True if a moment has come since the last call, however long ago."""
        self._follow(now_us)
        if now_us < self.next:
            return False
        self.next = self._after(now_us)
        return True

    def _follow(self, now_us: int) -> None:
        """If the clock was set back, moments that have been come again."""
        if now_us < self._asked:
            self.next = self._after(now_us)
        self._asked = now_us

    def _after(self, us: int) -> int:
        found = self._trigger.get_next_fire_time(None, to_datetime(us) + timedelta(microseconds=1))
        return NEVER if found is None else to_us(found)


class SlicePace:
    """The number of things to do in one slice of time."""

    def __init__(self, first: int, most: int, target_s: float) -> None:
        self._most = most
        self._target_s = target_s
        self.size = min(first, most)

    def learn(self, done: int, took_s: float) -> None:
        """Take into account a slice. One that had to wait makes the next ones half as large at most: small
        ones cost more for each thing."""
        fitting = int(done * self._target_s / max(took_s, 1e-6))
        if fitting < self.size or done >= self.size:
            self.size = max(1, self.size // 2, min(fitting, self.size * 2, self._most))
