"""The registrar, through which modules register their hooks."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import timedelta, tzinfo
from itertools import count
from types import MappingProxyType
from typing import Any, Self

from dp3.hooks import checks
from dp3.hooks.errors import CycleError, RegistrationError
from dp3.hooks.graph import order
from dp3.hooks.kinds import (
    HOOK_SPECS,
    TASK_HOOK_TYPE,
    AllowHook,
    CorrelationHook,
    CreationHook,
    HookKind,
    MasterCorrelationHook,
    NewAttrHook,
    PeriodicEidHook,
    PeriodicHook,
    RunHook,
    TaskHook,
    TimeseriesHook,
)
from dp3.hooks.registration import HookRegistration, SharedFlag, get_func_name, get_stable_func_name
from dp3.model.spec import ModelSpec

CronField = int | str | None
Paths = Sequence[Sequence[str]]


class _Record:
    """The registrations of all modules, in the order in which they were made.

    It grows by whole registrations only; everything else is derived from them, so that a refused one
    leaves nothing behind."""

    def __init__(self) -> None:
        self.registrations: tuple[HookRegistration, ...] = ()
        self.sealed = False

    def check_open(self) -> None:
        """Raises `RegistrationError` when it is too late."""
        if self.sealed:
            raise RegistrationError(
                "Registration is closed: the engine has taken the hooks. Register in the module's __init__."
            )

    def add(self, registration: HookRegistration) -> None:
        """Take it, unless it repeats another one or the order of hooks would become impossible."""
        self._refuse_again(registration)
        grown = (*self.registrations, registration)
        if registration.orders:
            try:
                order(grown)
            except CycleError as error:
                raise CycleError(
                    f"Hook {registration.correlation_id} introduces a circular dependency. Cycle: {error}"
                ) from None
        self.registrations = grown

    def _refuse_again(self, new: HookRegistration) -> None:
        distinct = new.spec.distinct
        for old in self.registrations if distinct else ():
            if old.kind == new.kind and all(getattr(old, of) == getattr(new, of) for of in distinct):
                raise RegistrationError(new.spec.again.format(name=get_func_name(new.hook), r=new))

    def name_for(self, hook: Callable[..., Any]) -> str:
        """The hook's name; different callables of one name (closures, lambdas) are numbered `name#2`, ...."""
        stable = get_stable_func_name(hook)
        taken = {registration.name: registration.hook for registration in self.registrations}
        candidates = (stable if number == 1 else f"{stable}#{number}" for number in count(1))
        return next(name for name in candidates if name not in taken or taken[name] == hook)


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
        self._record = _Record()
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
        self._record.sealed = True

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
        job_id = 1 + sum(one.kind == "scheduler" for one in self.registrations)
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
            if hook_type != TASK_HOOK_TYPE:
                raise RegistrationError(f"Hook type '{hook_type}' doesn't exist. Expected: {TASK_HOOK_TYPE}.")
        self._register("task", hook, fields=lambda: {"hook_type": hook_type})

    def register_allow_entity_creation_hook(self, hook: AllowHook, entity: str) -> None:
        """Call `hook(eid, task)` before an entity of type `entity` is created; a false result prevents it."""
        self._register("allow_entity_creation", hook, entity)

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
        self._register(
            "on_entity_creation",
            hook,
            entity,
            fields=lambda: checks.refresh_fields(self.model_spec, entity, [], refresh, may_change),
        )

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
        self._register(
            "on_new_attr",
            hook,
            entity,
            attr,
            fields=lambda: {
                "hook_type": checks.new_attr_hook_type(self.model_spec, entity, attr),
                **checks.refresh_fields(self.model_spec, entity, [[attr]], refresh, may_change),
            },
        )

    def register_entity_hook(self, hook_type: str, hook: CreationHook | AllowHook, entity: str) -> None:
        """Deprecated: use `register_allow_entity_creation_hook` or `register_on_entity_creation_hook`."""
        self._warn("register_entity_hook", f"register_{hook_type}_hook")
        kinds: tuple[HookKind, ...] = ("allow_entity_creation", "on_entity_creation")
        kind = next((kind for kind in kinds if kind == hook_type), None)
        if kind is None:
            with self._registering("on_entity_creation", hook):
                expected = " or ".join(kinds)
                raise RegistrationError(f"Hook type '{hook_type}' doesn't exist. Expected: {expected}.")
        self._register(kind, hook, entity, fields=lambda: {"deprecated": True})

    def register_attr_hook(self, hook_type: str, hook: NewAttrHook, entity: str, attr: str) -> None:
        """Deprecated: use `register_on_new_attr_hook`. `hook_type` must fit the attribute's type."""
        self._warn("register_attr_hook", "register_on_new_attr_hook")
        self._register(
            "on_new_attr",
            hook,
            entity,
            attr,
            fields=lambda: {
                "hook_type": checks.new_attr_hook_type(self.model_spec, entity, attr, hook_type),
                "deprecated": True,
            },
        )

    # -- snapshots -----------------------------------------------------------------------------------
    def register_timeseries_hook(self, hook: TimeseriesHook, entity_type: str, attr_type: str) -> None:
        """Call `hook(entity_type, attr_type, history)` before snapshots are made, with the data-points of a
        timeseries attribute; it may return tasks."""
        self._register("timeseries", hook, entity_type, attr_type)

    def register_correlation_hook(
        self, hook: CorrelationHook, entity_type: str, depends_on: Paths, may_change: Paths
    ) -> None:
        """Call `hook(entity_type, values)` in snapshot runs, with the current values of an entity and of the
        entities linked to it; it may change `values` and return tasks.

        `depends_on` and `may_change` are lists of paths from `entity_type` over links (or mirrors) to an
        attribute; hooks run after those that may change what they depend on. Raises `ValueError` for a
        path that leads nowhere and when hooks would wait for each other.
        """
        self._register(
            "correlation",
            hook,
            entity_type,
            fields=lambda: checks.order_fields(self.model_spec, entity_type, depends_on, may_change),
        )

    def register_correlation_hook_with_master_record(
        self, hook: MasterCorrelationHook, entity_type: str, depends_on: Paths, may_change: Paths
    ) -> None:
        """Like `register_correlation_hook`, calling `hook(entity_type, values, master_record)`."""
        self._register(
            "correlation_with_master_record",
            hook,
            entity_type,
            fields=lambda: checks.order_fields(self.model_spec, entity_type, depends_on, may_change),
        )

    def register_snapshot_init_hook(self, hook: RunHook) -> None:
        """Call `hook()` in every worker before each snapshot run; it may return tasks."""
        self._register("snapshot_init", hook)

    def register_snapshot_finalize_hook(self, hook: RunHook) -> None:
        """Call `hook()` in every worker after each snapshot run; it may return tasks."""
        self._register("snapshot_finalize", hook)

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
        def fields() -> dict[str, Any]:
            checks.check_hook_id(hook_id)
            of = f"the period of {self._described(kind, hook)}"
            return {
                "hook_id": hook_id,
                "period": checks.parse_period(period, self._update_batch_period, of),
            }

        self._register(kind, hook, entity_type, fields=fields)

    # -- common --------------------------------------------------------------------------------------
    def _register(
        self,
        kind: HookKind,
        hook: Callable[..., Any],
        etype: str = "",
        attr: str = "",
        *,
        fields: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Add a hook for an entity type or attribute, as its kind has one; `fields` checks and returns what
        else belongs to the registration."""
        names = ("entity", "attr") if HOOK_SPECS[kind].stage == "ingestion" else ("entity_type", "attr_type")
        with self._registering(kind, hook):
            checks.check_place(self.model_spec, kind, etype, attr)
            checks.check_callable(kind, hook)
            place = {name: given for name, given in zip(names, (etype, attr), strict=True) if given}
            self._add(kind, hook, **place, **fields())

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
