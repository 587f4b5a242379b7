"""What must hold of the arguments of a registration; each function raises or returns what it checked."""

import inspect
from collections.abc import Container, Mapping, Sequence
from datetime import timedelta, tzinfo
from types import MappingProxyType
from typing import Any

from apscheduler.triggers.cron import CronTrigger
from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from dp3.hooks.errors import RegistrationError, UnknownNameError, suggestion
from dp3.hooks.kinds import ATTR_TYPE_TO_ON_NEW_HOOK, PARAMETERS, WITHOUT_RESULT, HookKind
from dp3.model.attrspec import AttrSpecTimeseries
from dp3.model.durations import ParsedTimedelta
from dp3.model.spec import ModelSpec


def check_callable(kind: HookKind, hook: object) -> None:
    """A hook of this kind: a plain callable that takes the arguments it will be called with."""
    parameters = PARAMETERS[kind]
    shown = f"({', '.join(parameters)})"
    check_plain_callable(kind, hook, f"a function {shown}")
    signature = _signature(hook)
    if signature is not None and not _binds(signature, parameters, {}):
        raise RegistrationError(f"The hook must take {shown}, but it takes {signature}.")


def check_scheduled(
    func: object, func_args: Sequence[Any] | None, func_kwargs: Mapping[str, Any] | None
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """A scheduler callback that takes exactly the static arguments given; returns a copy of these."""
    check_plain_callable("scheduler", func, "a function")
    if isinstance(func_args, str) or not isinstance(func_args or (), Sequence):
        raise RegistrationError(f"func_args must be a list of positional arguments, got {func_args!r}.")
    if not isinstance(func_kwargs or {}, Mapping):
        raise RegistrationError(f"func_kwargs must be a dictionary of named arguments, got {func_kwargs!r}.")
    args, kwargs = tuple(func_args or ()), dict(func_kwargs or {})
    signature = _signature(func)
    if signature is not None and not _binds(signature, args, kwargs):
        raise RegistrationError(
            f"The callback takes {signature}, which does not fit func_args={list(args)!r}, "
            f"func_kwargs={kwargs!r}."
        )
    return args, MappingProxyType(kwargs)


def check_plain_callable(kind: HookKind, hook: object, expected: str) -> None:
    """Something to call now that has its result when it returns."""
    if not callable(hook):
        raise RegistrationError(f"Expected {expected}, got {hook!r}, which is not callable.")
    if inspect.iscoroutinefunction(hook) or inspect.isasyncgenfunction(hook):
        raise RegistrationError(f"Expected {expected}, got an async function; hooks are plain functions.")
    if kind in WITHOUT_RESULT and inspect.isgeneratorfunction(hook):
        raise RegistrationError(f"Expected {expected}, got a generator function, which would never run.")


def _signature(hook: Any) -> inspect.Signature | None:
    """How the callable is really called (not what it wraps); None when it does not tell, as some of C."""
    try:
        return inspect.signature(hook, follow_wrapped=False)
    except (ValueError, TypeError):
        return None


def _binds(signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def check_entity(model: ModelSpec, entity: str) -> None:
    """A configured entity type."""
    if not _known(entity, model.entities):
        raise UnknownNameError(f"Entity '{entity}' does not exist.{suggestion(entity, model.entities)}")


def check_attribute(model: ModelSpec, entity: str, attr: str, message: str) -> None:
    """A configured attribute; `message` is what to say otherwise, before the hint."""
    if not _known(entity, model.entities):
        raise UnknownNameError(f"{message} No entity type '{entity}'.{suggestion(entity, model.entities)}")
    attributes = model.entity_attributes.get(entity, {})
    if not _known(attr, attributes):
        near = suggestion(attr, attributes)
        raise UnknownNameError(f"{message} '{entity}' has no attribute '{attr}'.{near}")


def _known(name: object, names: Container[str]) -> bool:
    return isinstance(name, str) and name in names


def new_attr_hook_type(model: ModelSpec, entity: str, attr: str) -> str:
    """`on_new_plain`, `on_new_observation` or `on_new_ts_chunk`, as fits the attribute."""
    return ATTR_TYPE_TO_ON_NEW_HOOK[model.attributes[entity, attr].t]


def check_timeseries(model: ModelSpec, entity: str, attr: str) -> None:
    """A configured timeseries attribute."""
    check_attribute(model, entity, attr, f"Attribute '{attr}' of entity '{entity}' does not exist.")
    spec = model.attributes[entity, attr]
    if not isinstance(spec, AttrSpecTimeseries):
        raise RegistrationError(f"'{entity}.{attr}' is not a timeseries, but '{spec.type}'")


def check_hook_id(hook_id: object) -> None:
    """The name of a periodic hook, by which its progress is found again after a restart."""
    if not isinstance(hook_id, str) or not hook_id:
        raise RegistrationError(f"hook_id must be a non-empty string, got {hook_id!r}.")


def parse_period(text: object, shortest: timedelta, what: str) -> timedelta:
    """A duration not shorter than `shortest`. Raises pydantic's `ValidationError`, titled `what`, when it is
    no duration at all."""
    try:
        period: timedelta = TypeAdapter(ParsedTimedelta).validate_python(text)
    except ValidationError:
        problem = PydanticCustomError(
            "time_duration",
            "Invalid time duration; expected text such as '90s', '5m', '2h' or '1d', or seconds",
        )
        line = InitErrorDetails(type=problem, loc=("period",), input=text)
        raise ValidationError.from_exception_data(what, [line]) from None
    if period < shortest:
        raise RegistrationError(
            f"The total period ({_seconds(period)}s) must be greater than or equal to "
            f"the update batch period ({_seconds(shortest)}s)."
        )
    return period


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.6f}".rstrip("0").rstrip(".")


def check_cron(fields: Mapping[str, int | str | None], timezone: str | tzinfo) -> None:
    """Fields that the cron trigger takes, tried one by one so that the message can name the wrong one."""
    for name, value in fields.items():
        try:
            CronTrigger(**{name: value}, timezone="UTC")
        except (ValueError, TypeError) as error:
            raise RegistrationError(f"Bad cron field {name}={value!r}: {error}") from error
    try:
        CronTrigger(timezone=timezone or "(none)")
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise RegistrationError(f"Unknown timezone {timezone!r}; expected a name such as 'UTC'.") from error


def check_misfire_grace_time(seconds: object) -> None:
    """Whole seconds that a call may be late, or None for any lateness."""
    whole = isinstance(seconds, int) and not isinstance(seconds, bool) and seconds > 0
    if seconds is not None and not whole:
        raise RegistrationError(
            f"misfire_grace_time must be a positive number of whole seconds or None, got {seconds!r}."
        )
