"""Checks of the arguments of a registration; each function raises, or returns what it checked."""

import inspect
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import timedelta, tzinfo
from types import MappingProxyType
from typing import Any

from apscheduler.triggers.cron import CronTrigger
from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from dp3.hooks.errors import RegistrationError, UnknownNameError, suggestion
from dp3.hooks.kinds import ATTR_TYPE_TO_ON_NEW_HOOK, HOOK_SPECS, HookKind
from dp3.hooks.registration import Path, Place, SharedFlag
from dp3.model.attrspec import AttrSpecClassic, AttrSpecTimeseries
from dp3.model.durations import ParsedTimedelta
from dp3.model.spec import ModelSpec


def check_callable(kind: HookKind, hook: object) -> None:
    """A hook of this kind: a plain callable that takes the arguments it will be called with."""
    parameters = HOOK_SPECS[kind].takes or ()
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
    if HOOK_SPECS[kind].returns != "tasks" and inspect.isgeneratorfunction(hook):
        raise RegistrationError(f"Expected {expected}, got a generator function, which would never run.")


def _signature(hook: Any) -> inspect.Signature | None:
    """The signature of the callable itself (not of what it wraps); None if it has none, as some of C."""
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


def check_place(model: ModelSpec, kind: HookKind, etype: str, attr: str) -> None:
    """A configured entity type, attribute or timeseries, as hooks of the kind belong to."""
    place = HOOK_SPECS[kind].place
    if place == "etype" and not _known(etype, model.entities):
        raise UnknownNameError(f"Entity '{etype}' does not exist.{suggestion(etype, model.entities)}")
    if place == "attr":
        message = f"Cannot register hook for attribute {etype}/{attr}, are you sure it exists?"
        _check_attribute(model, etype, attr, message)
    if place == "timeseries":
        _check_attribute(model, etype, attr, f"Attribute '{attr}' of entity '{etype}' does not exist.")
        spec = model.attributes[etype, attr]
        if not isinstance(spec, AttrSpecTimeseries):
            raise RegistrationError(f"'{etype}.{attr}' is not a timeseries, but '{spec.type}'")


def _check_attribute(model: ModelSpec, entity: str, attr: str, message: str) -> None:
    """`message` is said, before a hint, if there is no such attribute."""
    if not _known(entity, model.entities):
        raise UnknownNameError(f"{message} No entity type '{entity}'.{suggestion(entity, model.entities)}")
    attributes = model.entity_attributes.get(entity, {})
    if not _known(attr, attributes):
        near = suggestion(attr, attributes)
        raise UnknownNameError(f"{message} '{entity}' has no attribute '{attr}'.{near}")


def _known(name: object, names: Container[str]) -> bool:
    return isinstance(name, str) and name in names


def new_attr_hook_type(model: ModelSpec, etype: str, attr: str, given: str | None = None) -> str:
    """`on_new_plain`, `on_new_observation` or `on_new_ts_chunk`, as fits the attribute; `given` is another
    name only by mistake."""
    expected = ATTR_TYPE_TO_ON_NEW_HOOK[model.attributes[etype, attr].t]
    if given not in (None, expected):
        raise RegistrationError(
            f"Hook type '{given}' doesn't exist for {etype}/{attr}. Expected: {expected}."
        )
    return expected


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


# -- paths of attributes over links -------------------------------------------------------------------------
def order_fields(model: ModelSpec, etype: str, depends_on: object, may_change: object) -> dict[str, Any]:
    """The fields of a `HookRegistration` that place a hook in the order of a snapshot run."""
    sources, reads, read_over = _resolve(model, etype, "depends_on", depends_on)
    results, writes, written_over = _resolve(model, etype, "may_change", may_change)
    return {
        "depends_on": sources,
        "may_change": results,
        "reads": reads,
        "writes": writes,
        "links": tuple(dict.fromkeys((*read_over, *written_over))),
    }


def refresh_fields(
    model: ModelSpec, etype: str, depends_on: object, refresh: SharedFlag | None, may_change: object
) -> dict[str, Any]:
    """The same for an ingestion hook that is refreshed; without `refresh` there are none."""
    if refresh is None:
        return {}
    if not isinstance(refresh, SharedFlag):
        raise RegistrationError(f"refresh must be a SharedFlag such as self.refresh, got {refresh!r}.")
    if may_change is None:
        raise RegistrationError("'may_change' must be specified if 'refresh' is specified")
    return {"refresh": refresh, **order_fields(model, etype, depends_on, may_change)}


def _resolve(
    model: ModelSpec, etype: str, argument: str, paths: object
) -> tuple[tuple[Path, ...], tuple[Place, ...], tuple[Place, ...]]:
    """Follow each path from `etype` through the model. Returns the paths, the places where they end, and the
    links and mirrors that they pass.

    A step before the last must be a link (plain, observations, array or set) or a mirror; the last may be
    any attribute that has a current value. `argument` names the list in messages. Raises
    `RegistrationError` for a list of another shape and for a path that leads nowhere.
    """
    checked = tuple(_as_path(argument, path) for path in _as_list(argument, paths))
    walked = [_walk(model, etype, path) for path in checked]
    links = dict.fromkeys(place for places in walked for place in places[:-1])
    return checked, tuple(dict.fromkeys(places[-1] for places in walked)), tuple(links)


def _as_list(argument: str, paths: object) -> Iterable[object]:
    if isinstance(paths, Iterable) and not isinstance(paths, str | bytes):
        return paths
    raise RegistrationError(f"{argument} must be a list of paths such as [['link', 'attr']], got {paths!r}.")


def _as_path(argument: str, path: object) -> Path:
    if isinstance(path, str):
        raise RegistrationError(
            f"{argument} must be a list of paths: write [[{path!r}]] instead of [{path!r}]."
        )
    steps = tuple(path) if isinstance(path, Sequence) else ()
    if not steps or not all(isinstance(step, str) for step in steps):
        raise RegistrationError(
            f"Each path of {argument} must be a non-empty list of attribute names, got {path!r}."
        )
    return steps


def _walk(model: ModelSpec, etype: str, path: Path) -> list[Place]:
    """The places that the path touches, in its order."""
    places: list[Place] = []
    here = etype
    for step in path:
        if places:
            here = _far_end(model, etype, path, places[-1])
        spec = model.attributes.get((here, step))
        if spec is None:
            near = suggestion(step, model.entity_attributes.get(here, ()))
            raise _invalid(etype, path, step, f"'{here}' has no such attribute.{near}")
        if isinstance(spec, AttrSpecTimeseries):
            why = (
                f"'{here}.{step}' is a timeseries, which has no current value; use register_timeseries_hook."
            )
            raise _invalid(etype, path, step, why)
        places.append((here, step))
    return places


def _far_end(model: ModelSpec, etype: str, path: Path, place: Place) -> str:
    """The entity type at the other end of a link or mirror."""
    spec = model.attributes[place]
    if isinstance(spec, AttrSpecClassic) and spec.is_relation:
        return spec.relation_to
    raise _invalid(
        etype, path, place[1], f"'{place[0]}.{place[1]}' is not a link, so the path must end there."
    )


def _invalid(etype: str, path: Path, step: str, why: str) -> RegistrationError:
    return RegistrationError(f"Invalid path '{'->'.join([etype, *path])}', failed on '{step}': {why}")
