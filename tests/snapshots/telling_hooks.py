"""Hooks of all kinds that return tasks: before values are computed, while they are correlated, around runs.

What they say about an attribute does not depend on which entity or worker said it last: plain values are the
same from all, and of observations the order does not matter.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from sample_hooks import Paths, SampleHook, Values, sample

from dp3.clock import to_datetime
from dp3.common.task import DataPointTask
from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec

LONG_AGO = to_datetime(1_599_999_990_000_000)

Tasks = list[DataPointTask]
History = list[dict[str, Any]]


def a_task(model: ModelSpec, etype: str, eid: int | str, **values: Any) -> DataPointTask:
    """Plain values."""
    points = [{"etype": etype, "eid": eid, "attr": attr, "v": v} for attr, v in values.items()]
    return DataPointTask(model_spec=model, etype=etype, eid=eid, data_points=points)


def an_observation(
    model: ModelSpec, etype: str, eid: int | str, attr: str, v: Any, t1: datetime, t2: datetime, c: float
) -> DataPointTask:
    point = {"etype": etype, "eid": eid, "attr": attr, "v": v, "t1": t1, "t2": t2, "c": c}
    return DataPointTask(model_spec=model, etype=etype, eid=eid, data_points=[point])


# -- correlation ---------------------------------------------------------------------------------------


def tells_itself(model: ModelSpec, etype: str, values: Values) -> Tasks:
    return [a_task(model, etype, values["eid"], told=values["p"] + 10)] if "p" in values else []


def tells_what_it_observes(model: ModelSpec, etype: str, values: Values) -> Tasks:
    c = values.get("o#c") or 0.5
    return [an_observation(model, etype, values["eid"], "heard", "o", LONG_AGO, LONG_AGO, c)]


def tells_its_neighbours(model: ModelSpec, etype: str, values: Values) -> Tasks:
    """Some of them come into being by that."""
    links = values.get("l", [])
    eids = {link["eid"] for link in (links if isinstance(links, list) else [links])}
    seen = (LONG_AGO, LONG_AGO, 1.0)
    return [an_observation(model, "b", eid, "heard", values["eid"], *seen) for eid in sorted(eids)]


def links_itself(model: ModelSpec, etype: str, values: Values) -> Tasks:
    """Changes the components of the next run."""
    target = {"eid": values.get("p", 0) % 2 + 1, "data": 0}
    return [] if "lp" in values else [a_task(model, etype, values["eid"], lp=target)]


def tells_and_fails(model: ModelSpec, etype: str, values: Values) -> Tasks:
    """What is returned is kept although the values that are left can not be stored."""
    values["odd"] = object()
    return [a_task(model, "c", "c2", q="odd")]


def tells_what_is_known(model: ModelSpec, etype: str, values: Values, master: Values) -> Tasks:
    values["known"] = {name: master[name]["v"] for name in ("p", "s", "told") if name in master}
    values["rated"] = [[interval["v"], interval["c"]] for interval in master.get("o", ())]
    return [a_task(model, etype, values["eid"], told=7)] if master == {} else []


# -- timeseries ----------------------------------------------------------------------------------------


def the_load_is_a_value(model: ModelSpec, etype: str, attr: str, history: History) -> Tasks:
    """Every kind of attribute, for those that are named in the data: the entity itself or others."""
    return [task for chunk in history for task in _values_of(model, chunk)]


def _values_of(model: ModelSpec, chunk: dict[str, Any]) -> Tasks:
    tasks: Tasks = []
    for who, load in zip(chunk["v"]["who"], chunk["v"]["load"], strict=True):
        eid, known = f"a{who}", model.attribs("a")
        plain = {"score": 9, "la": [{"eid": "a2"}]}
        observed = {"o": load, "om": f"load {load}", "l": {"eid": load}}
        tasks += [a_task(model, "a", eid, **{attr: v}) for attr, v in plain.items() if attr in known]
        tasks += [
            an_observation(model, "a", eid, attr, v, chunk["t1"], chunk["t2"], 0.5)
            for attr, v in observed.items()
            if attr in known
        ]
    return tasks


def heavy_load_fails(model: ModelSpec, etype: str, attr: str, history: History) -> Tasks:
    if any(load > 1 for chunk in history for load in chunk["v"]["load"]):
        raise ValueError("too much")
    numbers = {who for chunk in history for who in chunk["v"]["who"]}
    return [a_task(model, "a", f"a{who}", far="light") for who in sorted(numbers)]


# -- around runs ---------------------------------------------------------------------------------------


def says_that_it_begins(model: ModelSpec) -> Tasks:
    return [a_task(model, "c", "c1", q="begun")]


def says_that_it_ends(model: ModelSpec) -> Tasks:
    return [a_task(model, "a", "a2", s="over")]


# ------------------------------------------------------------------------------------------------------

Told = Callable[..., Tasks]


def _correlation(hook: Told, depends_on: Paths, may_change: Paths, *needs: str) -> SampleHook:
    def register(registrar: CallbackRegistrar) -> None:
        call = partial(hook, registrar.model_spec)
        registrar.register_correlation_hook(call, "a", depends_on, may_change)

    return sample(register, *needs)


def _with_master(hook: Told, *needs: str) -> SampleHook:
    def register(registrar: CallbackRegistrar) -> None:
        call = partial(hook, registrar.model_spec)
        registrar.register_correlation_hook_with_master_record(call, "a", [["p"]], [])

    return sample(register, *needs)


def _timeseries(hook: Told, *needs: str) -> SampleHook:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_timeseries_hook(partial(hook, registrar.model_spec), "a", "load")

    return sample(register, "a.load", *needs)


def _init(hook: Told, *needs: str) -> SampleHook:
    return sample(lambda of: of.register_snapshot_init_hook(partial(hook, of.model_spec)), *needs)


def _finalize(hook: Told, *needs: str) -> SampleHook:
    return sample(lambda of: of.register_snapshot_finalize_hook(partial(hook, of.model_spec)), *needs)


TELLING_HOOKS = (
    _correlation(tells_itself, [["p"]], [], "a.p", "a.told"),
    _correlation(tells_what_it_observes, [["o"]], [], "a.o", "a.heard"),
    _correlation(tells_its_neighbours, [["l", "p"]], [], "a.l", "b.p", "b.heard"),
    _correlation(links_itself, [["lp", "p"]], [], "a.lp", "b.p"),
    _correlation(tells_and_fails, [["p"]], [], "a.p", "c.q"),
    _with_master(tells_what_is_known, "a.p", "a.told"),
    _timeseries(the_load_is_a_value),
    _timeseries(heavy_load_fails, "a.far"),
    _init(says_that_it_begins, "c.q"),
    _finalize(says_that_it_ends, "a.s"),
)
