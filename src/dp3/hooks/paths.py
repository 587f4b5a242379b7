"""Paths of attributes over links, as used by correlation and refreshed hooks."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from dp3.hooks.errors import RegistrationError, suggestion
from dp3.hooks.flags import SharedFlag
from dp3.hooks.registration import Path, Place
from dp3.model.attrspec import AttrSpecClassic, AttrSpecTimeseries
from dp3.model.spec import ModelSpec


class Resolved(NamedTuple):
    """Paths (as tuples), the places where they end, and the links and mirrors that they pass."""

    paths: tuple[Path, ...]
    places: tuple[Place, ...]
    links: tuple[Place, ...]


def resolve(model: ModelSpec, etype: str, argument: str, paths: object) -> Resolved:
    """Follow each path from `etype` through the model.

    A step before the last must be a link (plain, observations, array or set) or a mirror; the last may be
    any attribute that has a current value. `argument` names the list in messages. Raises
    `RegistrationError` for a list of another shape and for a path that leads nowhere.
    """
    checked = tuple(_as_path(argument, path) for path in _as_list(argument, paths))
    walked = [_walk(model, etype, path) for path in checked]
    links = dict.fromkeys(place for places in walked for place in places[:-1])
    return Resolved(checked, tuple(dict.fromkeys(places[-1] for places in walked)), tuple(links))


def order_fields(model: ModelSpec, etype: str, depends_on: object, may_change: object) -> dict[str, Any]:
    """The fields of a `HookRegistration` that place a hook in the order of a snapshot run."""
    sources = resolve(model, etype, "depends_on", depends_on)
    results = resolve(model, etype, "may_change", may_change)
    return {
        "depends_on": sources.paths,
        "may_change": results.paths,
        "reads": sources.places,
        "writes": results.places,
        "links": tuple(dict.fromkeys((*sources.links, *results.links))),
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
