"""Tells the others that the worker is alive, and notices hooks that are not."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from dp3.files import FILE_MODE, DamagedFile, make_directory
from dp3.hooks.table import Hook
from dp3.hooks.watch import HookWatch, RunningHook
from dp3.printable import further_lines
from dp3.store.ports.errors import LeaseLost, StoreUnavailable, StoreUncertain
from dp3.store.ports.leases import Lease
from dp3.store.ports.state import State

PERIOD_S = 1.0
LEASE_TTL_S = 15.0
"""A worker that has not been heard of for so long counts as dead."""

MOST_REPORTED = 10
"""Slow calls that are told one by one at a time."""

WORKING, STARTING = "working", "starting"

logger = logging.getLogger(__name__)


class Heartbeat:
    """A thread that renews the lease and watches running hooks.

    A slow hook is reported once, with its stack, while it runs, and when it has returned with how long it
    took; a hanging one shows in the status, which makes readiness
    fail and the supervisor restart the worker. While the heartbeat can not be written, the file `sign` is
    touched instead, which needs no room and no server: a worker that waits for these is not dead.
    """

    def __init__(
        self,
        store: State,
        lease: Lease,
        watch: HookWatch,
        sign: Path,
        on_lost: Callable[[], None],
        on_damage: Callable[[DamagedFile], None],
        numbers: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._store = store
        self._lease = lease
        self._watch = watch
        self._sign = sign
        self._on_lost = on_lost
        self._on_damage = on_damage
        self._numbers = numbers
        self._reported: frozenset[tuple[int, int]] = frozenset()
        self._working = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        make_directory(self._sign.parent)
        self._sign.touch(FILE_MODE)
        self._thread.start()

    def working(self) -> None:
        """Everything has been started. Told at once, if that can be."""
        self._working = True
        with suppress(StoreUnavailable, StoreUncertain):
            self._store.leases.heartbeat(self._lease, WORKING)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._report_slow()

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            try:
                self.beat()
            except LeaseLost:
                logger.critical("another process has taken over worker %d; stopping", self._lease.index)
                self._on_lost()
                return
            except DamagedFile as error:
                self._on_damage(error)
                return
            except Exception:
                logger.exception("the heartbeat could not be written")

    def beat(self) -> None:
        """Give one sign of life. Called by the thread."""
        self._report_slow()
        read = self._store.entities.rows_read()
        numbers = {
            **self._numbers(),
            "slow_hooks": self._watch.slow_calls,
            "history_read": read.rows,
            "history_read_whole": read.whole,
        }
        try:
            self._store.leases.heartbeat(self._lease, self._status(), numbers)
        except (StoreUnavailable, StoreUncertain) as error:
            logger.error("the heartbeat can not be written: %s", error)
            self._sign.touch()

    def _status(self) -> str:
        slow = [running for running in self._watch.running(time.monotonic_ns()) if running.slow]
        for running in slow:
            if (running.thread, running.since) not in self._reported:
                self._report(running)
        self._reported = frozenset((running.thread, running.since) for running in slow)
        if slow and slow[0].hanging:
            return (
                f"hook {_named(slow[0].hook, slow[0].entity)} has not returned for {slow[0].running_s:.0f} s"
            )
        return WORKING if self._working else STARTING

    def _report(self, running: RunningHook) -> None:
        name = _named(running.hook, running.entity)
        stack = further_lines(running.stack)
        logger.warning("hook %s has been running for %.1f s:", name, running.running_s, extra=stack)

    def _report_slow(self) -> None:
        calls, limit_s = self._watch.take_slow(), self._watch.timeout_s
        for call in calls[:MOST_REPORTED]:
            name = _named(call.hook, call.entity)
            logger.warning("hook %s took %.1f s, more than hook_timeout (%g s)", name, call.took_s, limit_s)
        if (more := len(calls) - MOST_REPORTED) > 0:
            logger.warning("%d more hooks took longer than hook_timeout (%g s)", more, limit_s)


def _named(hook: Hook, entity: str) -> str:
    return f"{hook.module}.{hook.name}" + (f" for {entity}" if entity else "")
