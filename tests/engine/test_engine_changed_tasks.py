"""Values that hooks change in a task are seen by later hooks, but never stored."""

from typing import Any

import pytest
from pydantic import BaseModel

from dp3.model.spec import ModelSpec
from dp3.model.task import DataPointTask
from dp3.model.wire import WirePoint, WireTask, decode_tasks
from kit.engine import Engine
from kit.points import START_US, plain, task
from kit.specs import a_type, observed_attr, plain_attr, series_attr

NESTED: dict[str, Any] = {"a": 1, "b": [{"c": [1]}], "d": {"e": "f"}}
START = "2020-09-13T12:26:40Z"

VALUES: dict[str, tuple[str, Any]] = {
    "js": ("json", NESTED),
    "list_js": ("json", [NESTED, 1]),
    "sp": ("special", NESTED),
    "arr": ("array<int>", [1, 2]),
    "arr_sp": ("array<special>", [NESTED, [1]]),
    "set": ("set<string>", ["x", "y"]),
    "set_js": ("set<json>", [NESTED]),
    "d": ("dict<x:int, y?:special>", {"x": 1, "y": NESTED}),
    "l": ("link<b,json>", {"eid": "b1", "data": NESTED}),
    "ls": ("array<link<b>>", [{"eid": "b1"}]),
    "when": ("time", START),
}

ATTRIBS = {attr: plain_attr(data_type) for attr, (data_type, _) in VALUES.items()}
OBSERVED = {f"o_{attr}": observed_attr(data_type) for attr, (data_type, _) in VALUES.items()}
SERIES = {"t": series_attr("irregular")}

CHANGED_MODEL = ModelSpec(
    {"a": a_type("a", ATTRIBS | OBSERVED | SERIES), "b": a_type("b", {"p": plain_attr()})}
)

SENT: list[WirePoint] = [
    *(plain(attr, v) for attr, (_, v) in VALUES.items()),
    *(WirePoint(f"o_{attr}", v, START_US, START_US, 10**9) for attr, (_, v) in VALUES.items()),
    WirePoint("t", {"x": [1], "time": [START]}, START_US, START_US, 10**9),
]
TAGS: list[Any] = [{"tag": [1]}]


@pytest.fixture
def changed_engine(tmp_path):
    engine = Engine(tmp_path, CHANGED_MODEL)
    yield engine
    engine.close()


def spoil(value: Any) -> None:
    """Change everything in a value that can be changed in place."""
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value["spoilt"] = True
        value.pop("a", None)
    elif isinstance(value, list):
        for item in value:
            spoil(item)
        value.append("spoilt")
    elif isinstance(value, BaseModel):
        for name, item in value:
            spoil(item)
            setattr(value, name, "spoilt")


def spoil_task(given: Any) -> None:
    for point in given.data_points:
        spoil(point.v)
        point.src, point.t1, point.c = "spoilt", None, 7
    spoil(given.tags)
    given.data_points.pop()
    given.ttl_tokens, given.delete, given.eid = {}, True, "other"


def sent() -> WireTask:
    return task("q", *SENT, tags=TAGS)


def without_numbers(found: WireTask) -> tuple[Any, ...]:
    return found.etype, found.eid, found.points, found.tags, found.delete


def register_spoilers(registrar, then=lambda: None):
    """Hooks of all kinds that change all that they get, and then do something else."""

    def on_task(given):
        spoil_task(given)
        then()

    def on_entity(eid, given):
        spoil_task(given)
        then()
        return []

    def on_value(eid, dp):
        spoil(dp.v)
        dp.v, dp.t1, dp.src = "spoilt", None, "spoilt"
        then()

    registrar.register_task_hook("on_task_start", on_task)
    registrar.register_allow_entity_creation_hook(lambda eid, given: on_entity(eid, given) is not None, "a")
    registrar.register_on_entity_creation_hook(on_entity, "a")
    for point in SENT:
        registrar.register_on_new_attr_hook(on_value, "a", point.attr)


def stored(engine: Engine) -> dict[str, Any]:
    master = engine.master("q")
    master.pop("#time_created")
    for attr in ATTRIBS:
        master[attr].pop("ts_last_update")
    return master


def test_nothing_that_hooks_change_in_place_is_stored(changed_engine, tmp_path):
    untouched = Engine(tmp_path / "untouched", CHANGED_MODEL)
    untouched.send(sent())
    untouched.work()
    changed_engine.send(sent())
    changed_engine.work(register_spoilers)
    assert stored(changed_engine) == stored(untouched)
    assert changed_engine.raw("a", limit=0) == untouched.raw("a", limit=0)
    assert changed_engine.letters() == []
    untouched.close()


def test_a_dead_letter_has_the_task_as_it_was_sent(changed_engine):
    def fail():
        raise OSError("after the change")

    changed_engine.send(sent())
    changed_engine.work(lambda registrar: register_spoilers(registrar, fail))
    letters = changed_engine.letters()
    assert len(letters) == 3 + len(SENT)
    for one in letters:
        (kept,) = decode_tasks(one.letter.task)
        assert without_numbers(kept) == without_numbers(sent())


def test_later_hooks_see_what_earlier_ones_changed(changed_engine):
    seen = []

    def register(registrar):
        registrar.register_on_new_attr_hook(lambda eid, dp: dp.v.pop("a") and None, "a", "js")
        registrar.register_on_new_attr_hook(lambda eid, dp: seen.append(dict(dp.v)), "a", "js")
        registrar.register_task_hook("on_task_start", lambda given: given.tags.append("new"))
        registrar.register_task_hook("on_task_start", lambda given: seen.append(list(given.tags)))

    changed_engine.send(sent())
    changed_engine.work(register)
    assert seen == [[*TAGS, "new"], {name: v for name, v in NESTED.items() if name != "a"}]
    assert stored(changed_engine)["js"]["v"] == NESTED


def test_what_a_hook_changes_after_it_returned_a_task_is_not_stored(changed_engine):
    """A task that a hook has returned is the platform's: the hook may keep it and change it."""
    value = {"x": [1]}
    kept = []

    def derive(eid, dp):
        for made in kept:
            spoil_task(made)
        spoil(value)
        point = {"etype": "b", "eid": "b1", "attr": "p", "v": len(kept)}
        kept.append(DataPointTask(etype="b", eid="b1", data_points=[point], model_spec=CHANGED_MODEL))
        return [kept[-1]]

    changed_engine.send(task("q", plain("arr", [1]), plain("arr", [2])))
    changed_engine.work(lambda registrar: registrar.register_on_new_attr_hook(derive, "a", "arr"))
    assert changed_engine.master("b1", "b")["p"]["v"] == 1
    assert sorted(row["v"] for row in changed_engine.raw("b", limit=0)) == [0, 1]
