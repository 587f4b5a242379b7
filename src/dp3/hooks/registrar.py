"""Where modules register their hooks."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import timedelta, tzinfo
from types import MappingProxyType
from typing import Any, Self

from dp3.hooks import checks
from dp3.hooks.errors import RegistrationError
from dp3.hooks.flags import SharedFlag
from dp3.hooks.kinds import ENTITY_HOOK_TYPES, TASK_HOOK_TYPES, HookKind
from dp3.hooks.names import get_func_name
from dp3.hooks.paths import order_fields, refresh_fields
from dp3.hooks.record import Record
from dp3.hooks.registration import HookRegistration
from dp3.hooks.signatures import (
    AllowHook,
    CorrelationHook,
    CreationHook,
    MasterCorrelationHook,
    NewAttrHook,
    PeriodicEidHook,
    PeriodicHook,
    RunHook,
    TaskHook,
    TimeseriesHook,
)
from dp3.model.spec import ModelSpec

CronField = int | str | None
Paths = Sequence[Sequence[str]]


class CallbackRegistrar:
    """Records the hooks of application modules; the engine calls them.

    Every mistake is found here: the methods raise `RegistrationError` (a `ValueError`), or
    `UnknownNameError` (also a `KeyError`) for a name that the model does not have, and then nothing of
    the registration remains. Hooks run in the order in which they were registered.

    Parameters: `model_spec`, the configured entities and attributes; `log`, where warnings go;
    `update_batch_period`, the shortest period of periodic hooks.
    """

    def __init__(
        self,
        model_spec: ModelSpec,
        *,
        log: logging.Logger | None = None,
        update_batch_period: timedelta = timedelta(minutes=5),
    ) -> None:
        self.model_spec = model_spec
        self.log = log or logging.getLogger(type(self).__name__)
        self._update_batch_period = update_batch_period
        self._record = Record()
        self._module = ""

    @property
    def registrations(self) -> Sequence[HookRegistration]:
        """All registrations made so far by all modules, in order."""
        return self._record.registrations

    @property
    def module(self) -> str:
        """The module that registers through this object; empty for the platform itself."""
        return self._module

    def for_module(self, name: str) -> Self:
        """The same record, for the hooks of module `name`."""
        view = copy(self)
        view._module = name
        return view

    def seal(self) -> None:
        """Refuse all further registrations: from now on nobody would see them."""
        self._record.seal()

    # -- scheduler -----------------------------------------------------------------------------------
    def scheduler_register(
        self,
        func: Callable[..., Any],
        *,
        func_args: Sequence[Any] | None = None,
        func_kwargs: Mapping[str, Any] | None = None,
        year: CronField = None,
        month: CronField = None,
        day: CronField = None,
        week: CronField = None,
        day_of_week: CronField = None,
        hour: CronField = None,
        minute: CronField = None,
        second: CronField = None,
        timezone: str | tzinfo = "UTC",
        misfire_grace_time: int | None = 1,
    ) -> int:
        """Call `func(*func_args, **func_kwargs)` at the times that the cron fields describe.

        Fields are those of APScheduler's cron trigger: a number or an expression (`*/10`, `1-5`, `mon-fri`,
        `last`, …). A field that is not given is `*` before the last given one and its minimum after it. A
        call later than `misfire_grace_time` seconds is left out (None: never). Fires in every worker
        process; the result is ignored. Returns the number of the job, counted from 1.
        """
        fields = {
            "year": year,
            "month": month,
            "day": day,
            "week": week,
            "day_of_week": day_of_week,
            "hour": hour,
            "minute": minute,
            "second": second,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        with self._registering("scheduler", func):
            checks.check_cron(given, timezone)
            schedule = MappingProxyType({**given, "timezone": timezone})
            return self._add_job(func, func_args, func_kwargs, schedule, misfire_grace_time)

    def scheduler_register_once(
        self,
        func: Callable[..., Any],
        *,
        func_args: Sequence[Any] | None = None,
        func_kwargs: Mapping[str, Any] | None = None,
        misfire_grace_time: int | None = 60,
    ) -> int:
        """Call `func` once, as soon as the scheduler runs, unless that is more than `misfire_grace_time`
        seconds after the scheduler got the job. Otherwise like `scheduler_register`."""
        with self._registering("scheduler", func):
            return self._add_job(func, func_args, func_kwargs, None, misfire_grace_time)

    def _add_job(
        self,
        func: Callable[..., Any],
        func_args: Sequence[Any] | None,
        func_kwargs: Mapping[str, Any] | None,
        schedule: Mapping[str, Any] | None,
        misfire_grace_time: int | None,
    ) -> int:
        args, kwargs = checks.check_scheduled(func, func_args, func_kwargs)
        checks.check_misfire_grace_time(misfire_grace_time)
        job_id = len(self._record.matching(kind="scheduler")) + 1
        extra = {
            "func_args": args,
            "func_kwargs": kwargs,
            "schedule": schedule,
            "job_id": job_id,
            "misfire_grace_time": misfire_grace_time,
        }
        self._add("scheduler", func, extra=MappingProxyType(extra))
        return job_id

    # -- ingestion -----------------------------------------------------------------------------------
    def register_task_hook(self, hook_type: str, hook: TaskHook) -> None:
        """Call `hook(task)` when the processing of a task starts; `hook_type` is `on_task_start`. The result
        is ignored."""
        with self._registering("task", hook):
            if hook_type not in TASK_HOOK_TYPES:
                raise RegistrationError(f"Hook type '{hook_type}' doesn't exist. Expected: on_task_start.")
            checks.check_callable("task", hook)
            self._refuse_again(hook, "", kind="task", hook_type=hook_type)
            self._add("task", hook, hook_type=hook_type)

    def register_allow_entity_creation_hook(self, hook: AllowHook, entity: str) -> None:
        """Call `hook(eid, task)` before an entity of type `entity` is created; a false result prevents it."""
        self._register_entity_hook("allow_entity_creation", hook, entity)

    def register_on_entity_creation_hook(
        self,
        hook: CreationHook,
        entity: str,
        refresh: SharedFlag | None = None,
        may_change: Paths | None = None,
    ) -> None:
        """Call `hook(eid, task)` once when an entity of type `entity` is created; it may return tasks.

        With `refresh` (usually `self.refresh`) it is called again for every entity of the type in the
        snapshot run after the flag was raised. `may_change` then lists the attributes that it may change,
        as paths from `entity`.
        """
        self._register_entity_hook("on_entity_creation", hook, entity, refresh, may_change)

    def register_on_new_attr_hook(
        self,
        hook: NewAttrHook,
        entity: str,
        attr: str,
        refresh: SharedFlag | None = None,
        may_change: Paths | None = None,
    ) -> None:
        """Call `hook(eid, dp)` for every incoming data-point of an attribute; it may return tasks.
        `refresh` and `may_change` as in `register_on_entity_creation_hook`."""
        with self._registering("on_new_attr", hook):
            message = f"Cannot register hook for attribute {entity}/{attr}, are you sure it exists?"
            checks.check_attribute(self.model_spec, entity, attr, message)
            self._add_new_attr(hook, entity, attr, refresh, may_change)

    def register_entity_hook(self, hook_type: str, hook: CreationHook | AllowHook, entity: str) -> None:
        """Deprecated: use `register_allow_entity_creation_hook` or `register_on_entity_creation_hook`."""
        self._warn("register_entity_hook", f"register_{hook_type}_hook")
        kind = next((kind for kind in ENTITY_HOOK_TYPES if kind == hook_type), None)
        if kind is None:
            with self._registering("on_entity_creation", hook):
                expected = " or ".join(ENTITY_HOOK_TYPES)
                raise RegistrationError(f"Hook type '{hook_type}' doesn't exist. Expected: {expected}.")
        self._register_entity_hook(kind, hook, entity, deprecated=True)

    def register_attr_hook(self, hook_type: str, hook: NewAttrHook, entity: str, attr: str) -> None:
        """Deprecated: use `register_on_new_attr_hook`. `hook_type` must fit the attribute's type."""
        self._warn("register_attr_hook", "register_on_new_attr_hook")
        with self._registering("on_new_attr", hook):
            message = f"Cannot register hook for attribute {entity}/{attr}, are you sure it exists?"
            checks.check_attribute(self.model_spec, entity, attr, message)
            expected = checks.new_attr_hook_type(self.model_spec, entity, attr)
            if hook_type != expected:
                raise RegistrationError(
                    f"Hook type '{hook_type}' doesn't exist for {entity}/{attr}. Expected: {expected}."
                )
            self._add_new_attr(hook, entity, attr, deprecated=True)

    def _register_entity_hook(
        self,
        kind: HookKind,
        hook: Callable[..., Any],
        entity: str,
        refresh: SharedFlag | None = None,
        may_change: Paths | None = None,
        deprecated: bool = False,
    ) -> None:
        with self._registering(kind, hook):
            checks.check_entity(self.model_spec, entity)
            checks.check_callable(kind, hook)
            self._refuse_again(hook, f" for entity '{entity}'", kind=kind, entity=entity)
            refreshed = refresh_fields(self.model_spec, entity, [], refresh, may_change)
            self._add(kind, hook, entity=entity, deprecated=deprecated, **refreshed)

    def _add_new_attr(
        self,
        hook: Callable[..., Any],
        entity: str,
        attr: str,
        refresh: SharedFlag | None = None,
        may_change: Paths | None = None,
        deprecated: bool = False,
    ) -> None:
        checks.check_callable("on_new_attr", hook)
        place = f" for attribute '{entity}/{attr}'"
        self._refuse_again(hook, place, kind="on_new_attr", entity=entity, attr=attr)
        hook_type = checks.new_attr_hook_type(self.model_spec, entity, attr)
        fields = {"entity": entity, "attr": attr, "hook_type": hook_type, "deprecated": deprecated}
        refreshed = refresh_fields(self.model_spec, entity, [[attr]], refresh, may_change)
        self._add("on_new_attr", hook, **fields, **refreshed)

    # -- snapshots -----------------------------------------------------------------------------------
    def register_timeseries_hook(self, hook: TimeseriesHook, entity_type: str, attr_type: str) -> None:
        """Call `hook(entity_type, attr_type, history)` before snapshots are made, with the data-points of a
        timeseries attribute; it may return tasks."""
        with self._registering("timeseries", hook):
            checks.check_timeseries(self.model_spec, entity_type, attr_type)
            checks.check_callable("timeseries", hook)
            place = {"entity_type": entity_type, "attr_type": attr_type}
            self._refuse_again(
                hook, f" for attribute '{entity_type}/{attr_type}'", kind="timeseries", **place
            )
            self._add("timeseries", hook, **place)

    def register_correlation_hook(
        self, hook: CorrelationHook, entity_type: str, depends_on: Paths, may_change: Paths
    ) -> None:
        """Call `hook(entity_type, values)` in snapshot runs, with the current values of an entity and of the
        entities linked to it; it may change `values` and return tasks.

        `depends_on` and `may_change` are lists of paths from `entity_type` over links (or mirrors) to an
        attribute; hooks run after those that may change what they depend on. Raises `ValueError` for a
        path that leads nowhere and when hooks would wait for each other.
        """
        self._register_correlation("correlation", hook, entity_type, depends_on, may_change)

    def register_correlation_hook_with_master_record(
        self, hook: MasterCorrelationHook, entity_type: str, depends_on: Paths, may_change: Paths
    ) -> None:
        """Like `register_correlation_hook`, calling `hook(entity_type, values, master_record)`."""
        kind: HookKind = "correlation_with_master_record"
        self._register_correlation(kind, hook, entity_type, depends_on, may_change)

    def register_snapshot_init_hook(self, hook: RunHook) -> None:
        """Call `hook()` in every worker before each snapshot run; it may return tasks."""
        self._register_run_hook("snapshot_init", "Snapshot init hook", hook)

    def register_snapshot_finalize_hook(self, hook: RunHook) -> None:
        """Call `hook()` in every worker after each snapshot run; it may return tasks."""
        self._register_run_hook("snapshot_finalize", "Snapshot finalize hook", hook)

    def _register_correlation(
        self, kind: HookKind, hook: Callable[..., Any], entity_type: str, depends_on: Paths, may_change: Paths
    ) -> None:
        with self._registering(kind, hook):
            checks.check_entity(self.model_spec, entity_type)
            checks.check_callable(kind, hook)
            resolved = order_fields(self.model_spec, entity_type, depends_on, may_change)
            place = {key: resolved[key] for key in ("depends_on", "may_change")}
            for same in self._record.matching(kind=kind, hook=hook, entity_type=entity_type, **place):
                raise RegistrationError(f"Hook id '{same.correlation_id}' already present in the vertices.")
            self._add(kind, hook, entity_type=entity_type, **resolved)

    def _register_run_hook(self, kind: HookKind, called: str, hook: Callable[..., Any]) -> None:
        with self._registering(kind, hook):
            checks.check_callable(kind, hook)
            if self._record.matching(kind=kind, hook=hook):
                raise RegistrationError(f"{called} '{get_func_name(hook)}' is already registered.")
            self._add(kind, hook)

    # -- periodic updates ----------------------------------------------------------------------------
    def register_periodic_update_hook(
        self, hook: PeriodicHook, hook_id: str, entity_type: str, period: str | timedelta | float
    ) -> None:
        """Call `hook(entity_type, eid, master_record)` for every entity of the type once per `period` (a
        duration such as `"1d"`, or seconds); it may return tasks. `hook_id` names the hook across restarts
        and is unique among hooks of one type and period."""
        self._register_periodic("periodic_update", hook, hook_id, entity_type, period)

    def register_periodic_eid_update_hook(
        self, hook: PeriodicEidHook, hook_id: str, entity_type: str, period: str | timedelta | float
    ) -> None:
        """Like `register_periodic_update_hook`, calling `hook(entity_type, eid)`: no record is read."""
        self._register_periodic("periodic_eid_update", hook, hook_id, entity_type, period)

    def _register_periodic(
        self, kind: HookKind, hook: Callable[..., Any], hook_id: str, entity_type: str, period: object
    ) -> None:
        with self._registering(kind, hook):
            checks.check_entity(self.model_spec, entity_type)
            checks.check_callable(kind, hook)
            checks.check_hook_id(hook_id)
            what = f"the period of {self._described(kind, hook)}"
            place = {
                "entity_type": entity_type,
                "hook_id": hook_id,
                "period": checks.parse_period(period, self._update_batch_period, what),
            }
            if self._record.matching(kind=kind, **place):
                raise RegistrationError(f"Hook ID {hook_id} already registered for {entity_type}.")
            self._add(kind, hook, **place)

    # -- common --------------------------------------------------------------------------------------
    @contextmanager
    def _registering(self, kind: HookKind, hook: object) -> Iterator[None]:
        """Adds to every message which hook of which module it is about."""
        try:
            self._record.check_open()
            yield
        except RegistrationError as error:
            raise type(error)(f"{error} [{self._described(kind, hook)}]") from error.__cause__

    def _described(self, kind: HookKind, hook: Any) -> str:
        module = f"module '{self._module}', " if self._module else ""
        return f"{module}{kind} hook '{get_func_name(hook)}'"

    def _refuse_again(self, hook: Callable[..., Any], place: str, **fields: object) -> None:
        if self._record.matching(hook=hook, **fields):
            raise RegistrationError(f"Hook '{get_func_name(hook)}' is already registered{place}.")

    def _add(self, kind: HookKind, hook: Callable[..., Any], **fields: Any) -> None:
        name = self._record.name_for(hook)
        registration = HookRegistration(kind=kind, hook=hook, module=self._module, name=name, **fields)
        written = {place for other in self.registrations for place in other.writes}
        self._record.add(registration)
        shared = [".".join(place) for place in registration.writes if place in written]
        if shared:
            self.log.warning(
                "Detected possible over-write of hook results in attributes: %s [%s]",
                shared,
                self._described(kind, hook),
            )

    def _warn(self, old: str, new: str) -> None:
        warnings.warn(f"{old} is deprecated, use {new}", DeprecationWarning, stacklevel=3)
