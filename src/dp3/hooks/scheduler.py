"""Runs callbacks at the times they were registered for."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import Any

from apscheduler.executors.pool import BasePoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from dp3.config.schedules import never_fires
from dp3.hooks import checks
from dp3.hooks.failures import FailureLog
from dp3.hooks.pool import DaemonPool
from dp3.hooks.registration import HookRegistration, get_func_name

POOL_THREADS = 10

_ONCE: Mapping[str, Any] = MappingProxyType({"trigger": "date"})

log = logging.getLogger(__name__)


class _DaemonExecutor(BasePoolExecutor):  # type: ignore[misc]
    def __init__(self, threads: int) -> None:
        super().__init__(DaemonPool(threads, "scheduler"))


class _BackgroundScheduler(BackgroundScheduler):  # type: ignore[misc]
    def _main_loop(self) -> None:
        """APScheduler can not remove a job that just ran for the last time when it is stopped meanwhile."""
        try:
            super()._main_loop()
        except JobLookupError:
            if self.running:
                raise


class Scheduler:
    """Calls functions by cron expressions (those of APScheduler 3, in UTC unless told otherwise), in a pool
    of 10 threads.

    A callback never runs twice at a time; firings missed meanwhile become one. After an
    exception, of which `failures` tells the log, the callback stays scheduled.
    """

    def __init__(self, failures: FailureLog | None = None) -> None:
        self._failures = failures or FailureLog()
        self._scheduler = _BackgroundScheduler(
            executors={"default": _DaemonExecutor(POOL_THREADS)},
            job_defaults={"coalesce": True, "max_instances": 1},
            timezone=UTC,
        )
        self._last_id = 0
        self._idle = threading.Condition()
        self._running: dict[int, str] = {}
        self._stopping = False

    def add(self, registrations: Iterable[HookRegistration]) -> None:
        """Schedule the scheduler registrations among these. Their numbers are those that the registrar gave,
        if this is called first."""
        for registration in registrations:
            if registration.kind == "scheduler":
                self._add_registered(registration)

    def register(
        self,
        func: Callable[..., Any],
        func_args: Sequence[Any] | None = None,
        func_kwargs: Mapping[str, Any] | None = None,
        *,
        timezone: str | tzinfo = "UTC",
        misfire_grace_time: int | None = 1,
        **cron: int | str | None,
    ) -> int:
        """Call `func(*func_args, **func_kwargs)` at the times given by `year`, `month`, `day`, `week`,
        `day_of_week`, `hour`, `minute`, `second`. Returns the job's number. Raises `ValueError` for a bad
        field. A call later than `misfire_grace_time` seconds is left out (None: never)."""
        given = {name: value for name, value in cron.items() if value is not None}
        checks.check_cron(given, timezone)
        args, kwargs = checks.check_scheduled(func, func_args, func_kwargs)
        checks.check_misfire_grace_time(misfire_grace_time)
        trigger = {"trigger": "cron", "timezone": timezone, **given}
        return self._add(func, get_func_name(func), args, kwargs, misfire_grace_time, trigger)

    def register_once(
        self,
        func: Callable[..., Any],
        func_args: Sequence[Any] | None = None,
        func_kwargs: Mapping[str, Any] | None = None,
        *,
        misfire_grace_time: int | None = 60,
    ) -> int:
        """Call `func` once, as soon as the scheduler runs, unless that is more than `misfire_grace_time`
        seconds from now. Otherwise like `register`."""
        args, kwargs = checks.check_scheduled(func, func_args, func_kwargs)
        checks.check_misfire_grace_time(misfire_grace_time)
        return self._add(func, get_func_name(func), args, kwargs, misfire_grace_time, _ONCE)

    def pause_job(self, id: int) -> None:
        """Do not call the job of this number, until it is resumed. `KeyError` if there is none, or none any
        more: a job ends with its last call."""
        with _named(id):
            self._scheduler.pause_job(str(id))

    def resume_job(self, id: int) -> None:
        """Call a paused job again, the next time that its schedule says; a job that was never paused goes on
        as before. `KeyError` as for `pause_job`."""
        with _named(id):
            self._scheduler.resume_job(str(id))

    def start(self) -> None:
        """Begin to call."""
        self._scheduler.start()

    def reschedule(self) -> None:
        """Go by the time as it is now; called when the clock was set."""
        for job in self._scheduler.get_jobs():
            is_paused = job.next_run_time is None
            if isinstance(job.trigger, CronTrigger) and not is_paused:
                with suppress(JobLookupError):  # it has just run for the last time
                    job.reschedule(job.trigger)

    def stop(self, timeout_s: float = 10.0) -> list[str]:
        """Begin no further call and wait up to `timeout_s` seconds for running ones; returns the names of
        those that are still running. They cannot keep the program from ending."""
        with self._idle:
            self._stopping = True
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        with self._idle:
            self._idle.wait_for(lambda: not self._running, timeout_s)
            left = sorted(self._running.values())
        if left:
            log.warning("Still running %s s after the scheduler was stopped: %s", timeout_s, ", ".join(left))
        return left

    def _add_registered(self, registration: HookRegistration) -> None:
        extra = registration.extra
        schedule = extra["schedule"]
        self._add(
            registration.hook,
            _name_of(registration),
            extra["func_args"],
            extra["func_kwargs"],
            extra["misfire_grace_time"],
            _ONCE if schedule is None else {"trigger": "cron", **schedule},
        )

    def _add(
        self,
        func: Callable[..., Any],
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        misfire_grace_time: int | None,
        trigger: Mapping[str, Any],
    ) -> int:
        if message := _never(trigger):
            log.warning("%s: %s", name, message)
        self._last_id += 1
        self._scheduler.add_job(
            self._call,
            args=(self._last_id, name, func, args, kwargs),
            id=str(self._last_id),
            name=name,
            misfire_grace_time=misfire_grace_time,
            **trigger,
        )
        return self._last_id

    def _call(
        self, job: int, name: str, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        with self._idle:
            if self._stopping:
                return
            self._running[job] = name
        try:
            func(*args, **kwargs)
        except BaseException as raised:  # neither may `sys.exit()` of a library end the thread
            self._failures.callback(name, raised)
        finally:
            with self._idle:
                del self._running[job]
                self._idle.notify_all()


def never_firing(registrations: Iterable[HookRegistration]) -> Iterator[str]:
    """A sentence about each scheduler registration among these that will never be called."""
    for registration in registrations:
        if registration.kind == "scheduler" and (message := _never(registration.extra["schedule"] or {})):
            yield f"{_name_of(registration)}: {message}"


def _never(schedule: Mapping[str, Any]) -> str | None:
    return never_fires(schedule, schedule.get("timezone", UTC), datetime.now(UTC))


def _name_of(registration: HookRegistration) -> str:
    return f"{registration.module}: {registration.name}" if registration.module else registration.name


@contextmanager
def _named(job: int) -> Iterator[None]:
    try:
        yield
    except JobLookupError:
        raise KeyError(f"no job {job}, or none any more") from None
