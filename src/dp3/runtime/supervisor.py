"""`dp3 run`: the API and the workers as child processes under one supervisor, which judges workers by what
they say of themselves, never by the time of day."""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from dp3.engine.heartbeat import LEASE_TTL_S, STARTING, WORKING
from dp3.engine.ingest.attempts import hooks_under_way
from dp3.runtime.places import open_lock
from dp3.runtime.resources import DataDir
from dp3.runtime.signals import FAILED_BY_ITSELF_ENV, PARENT_FD_ENV, STOP_LIMIT_S, hang_ups_wait
from dp3.store.ports.errors import StoreUnavailable
from dp3.store.ports.leases import LeaseState

LOOK_EVERY_S = 2.0

SILENT_LOOKS = round(LEASE_TTL_S / LOOK_EVERY_S)
"""So many looks in a row without a new sign of life, and a worker counts as dead. Looks are counted, not
seconds: a clock that is set, or a machine that stood still, makes nobody older."""

COMPUTING_S = 0.1
"""A process that used so much of a processor between two looks computes. One C function that decodes a large
value, or a regular expression, stops all threads of its process, also the one that gives signs of life."""

BACK_OFF_S = (0.2, 1, 2, 5, 10, 30)
"""Pauses before a child is started again; the last one repeats. A worker begins with the first one as long as
every death shows more of which task it dies of."""

STEADY_S = 60.0
"""A child that lived so long starts again with the first pause."""

FAULTS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS}
)
"""Signals by which a process ends for what it does; nobody else sends them."""

POLL_S = 0.1
CONFIGURATION_STATUS = 2
"""A child that ends with this status can not be helped by starting it again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A worker at the latest look. `sign` differs whenever it has given a new sign of life. `idle_looks`: the
    silent ones between which it did not compute. `used_s`: processor time of its process."""

    state: LeaseState
    sign: tuple[int, int]
    silent_looks: int
    idle_looks: int
    used_s: float


class WorkerHealth:
    """Looks at the workers of a data directory every `LOOK_EVERY_S`.

    A sign of life is a new heartbeat in the lease or, from a worker whose heartbeat the disk refuses, a new
    time of its file in `run/`. A worker that computes may be silent for `hang_s`. One that does not work
    `start_limit_s` after its start is sick too.
    """

    def __init__(
        self,
        leases: Callable[[], Sequence[LeaseState]],
        data: DataDir,
        *,
        hang_s: float,
        start_limit_s: float,
    ) -> None:
        self._leases = leases
        self._data = data
        self._hang_looks = max(round(hang_s / LOOK_EVERY_S), SILENT_LOOKS)
        self._start_limit_s = start_limit_s
        self._seen: dict[int, _Seen] = {}

    def look(self) -> None:
        """Take notice of all workers."""
        self._seen = {state.holder.process: self._look_at(state) for state in self._leases()}

    def complaint(self, pid: int, age_s: float) -> str:
        """The reason to replace the worker with this process number, started `age_s` ago; empty if none."""
        seen = self._seen.get(pid)
        if seen is not None and (seen.idle_looks >= SILENT_LOOKS or seen.silent_looks >= self._hang_looks):
            return f"no sign of life for {seen.silent_looks * LOOK_EVERY_S:.0f} s"
        if seen is None or seen.state.status == STARTING:
            return f"does not work {age_s:.0f} s after its start" if age_s > self._start_limit_s else ""
        return "" if seen.state.status == WORKING else seen.state.status

    def _look_at(self, state: LeaseState) -> _Seen:
        sign = (state.heartbeat, self._touched(state.lease.index))
        used_s = _used_s(state.holder.process)
        before = self._seen.get(state.holder.process)
        if before is None or before.sign != sign:
            return _Seen(state, sign, 0, 0, used_s)
        is_idle = used_s - before.used_s < COMPUTING_S
        return _Seen(state, sign, before.silent_looks + 1, before.idle_looks + is_idle, used_s)

    def _touched(self, worker: int) -> int:
        try:
            return self._data.sign_of_life(worker).stat().st_mtime_ns
        except FileNotFoundError:
            return 0


def _used_s(pid: int) -> float:
    """Processor time of a process; 0 if it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


class AlreadyRunning(Exception):
    """Another supervisor works with the same data directory."""


@dataclass(slots=True)
class Child:
    """One child process: its name, its command, and how its starts went. A worker notes in the file `attempt`
    what it begins; `noted` is what its predecessor has left there of hooks. `sick`: the supervisor itself has
    ended it. `by_itself`: the latest process was not ended from outside."""

    name: str
    command: Sequence[str]
    attempt: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started: float = 0.0
    next_start: float = 0.0
    noted: bytes = b""
    sick: bool = False
    by_itself: bool = False

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def ended_in_hooks(self) -> bool:
        """True if the process that has ended was calling hooks."""
        noted = _noted_hooks(self.attempt)
        return noted not in (b"", self.noted)


def _noted_hooks(attempt: Path | None) -> bytes:
    return b"" if attempt is None else hooks_under_way(attempt)


class Supervisor:
    """Starts children, restarts those that end, replaces sick workers, stops all in bounded time.

    Children notice the end of the supervisor by a pipe.
    """

    def __init__(self, children: Sequence[Child], health: WorkerHealth) -> None:
        self._children = children
        self._health = health
        self._next_look = 0.0

    def run(self, stop: threading.Event) -> int:
        """Supervise until `stop` is set; returns the exit status: 0, or that of a child beyond help."""
        read_end, write_end = os.pipe()
        status = 0
        try:
            while not stop.is_set() and status == 0:
                status = self._look_after(read_end)
                stop.wait(POLL_S)
        finally:
            clean = self._stop_children()
            os.close(write_end)
            os.close(read_end)
        return status or (0 if clean else 1)

    def _look_after(self, pipe: int) -> int:
        now = time.monotonic()
        for child in self._children:
            if child.process is None:
                if now >= child.next_start:
                    self._start(child, pipe, now)
            elif (status := child.process.poll()) is not None:
                if status == CONFIGURATION_STATUS and not child.ended_in_hooks:
                    return status
                self._schedule_restart(child, status, now)
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY_S
            self._replace_sick_workers(now)
        return 0

    def _start(self, child: Child, pipe: int, now: float) -> None:
        environment = {**os.environ, PARENT_FD_ENV: str(pipe)}
        child.noted, child.sick = _noted_hooks(child.attempt), False
        if child.by_itself:
            environment[FAILED_BY_ITSELF_ENV] = "1"
        with hang_ups_wait():
            child.process = subprocess.Popen(
                child.command,
                env=environment,
                pass_fds=[pipe],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        child.started = now
        logger.info("%s started, process %d", child.name, child.process.pid)

    def _schedule_restart(self, child: Child, status: int, now: float) -> None:
        if child.ended_in_hooks or now - child.started > STEADY_S:
            child.failures = 0
        child.by_itself = child.sick or status > 0 or -status in FAULTS
        pause = BACK_OFF_S[min(child.failures, len(BACK_OFF_S) - 1)]
        child.failures += 1
        child.process, child.next_start = None, now + pause
        logger.error("%s ended with status %d; starting it again in %s s", child.name, status, pause)

    def _replace_sick_workers(self, now: float) -> None:
        try:
            self._health.look()
        except StoreUnavailable as error:
            logger.warning("nobody knows whether the workers work: %s", error)
            return
        for child in self._children:
            if not child.attempt or not child.running or child.process is None:
                continue
            if why := self._health.complaint(child.process.pid, now - child.started):
                logger.error("%s is killed: %s", child.name, why)
                child.sick = True
                child.process.kill()

    def _stop_children(self) -> bool:
        """Stop all children; True if all of them ended by themselves with status 0 or were not running.

        One that was started a moment ago is ended by the signal itself, before it can answer it."""
        running = [child.process for child in self._children if child.process and child.running]
        for process in running:
            process.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP_LIMIT_S + 5
        for process in running:
            try:
                process.wait(max(end - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                logger.error("process %d did not stop in time; killing it", process.pid)
                process.kill()
                process.wait()
        return all(process.returncode in (0, -signal.SIGTERM) for process in running)


@contextmanager
def sole_supervisor(run_dir: Path) -> Iterator[None]:
    """Hold the data directory for this supervisor. Raises `AlreadyRunning`."""
    with open_lock(run_dir / "supervisor.lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"another `dp3 run` works with {run_dir.parent}") from None
        yield


def python_command(*arguments: str) -> list[str]:
    """The command that runs this program again with other arguments."""
    return [sys.executable, "-m", "dp3", *arguments]
