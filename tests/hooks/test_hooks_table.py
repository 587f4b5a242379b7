"""Rules of looking hooks up, and of counting them."""

from functools import partial
from typing import Any

from dp3.engine.statistics import HookTally
from dp3.hooks.guard import Guard
from dp3.hooks.kinds import HOOK_KINDS, HOOK_SPECS
from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.table import HookTable, HookTelemetry
from dp3.hooks.watch import HookWatch
from dp3.model.task import DataPointTask

INGESTION = ("allow_entity_creation", "on_entity_creation", "on_new_attr")


def first(eid: Any, x: Any) -> list[Any]:
    return []


def second(eid: Any, x: Any) -> None: ...


def on_task(task: Any) -> None: ...


def test_hooks_are_found_by_place_in_the_order_of_registration(registrar: CallbackRegistrar) -> None:
    registrar.register_on_new_attr_hook(second, "site", "name")
    registrar.for_module("other").register_on_new_attr_hook(first, "site", "name")
    registrar.register_allow_entity_creation_hook(first, "site")
    registrar.register_on_entity_creation_hook(first, "country")
    table = HookTable(registrar.registrations)
    assert [(hook.call, hook.module) for hook in table["on_new_attr"]["site", "name"]] == [
        (second, "sample"),
        (first, "other"),
    ]
    assert [hook.kind for hook in table["allow_entity_creation"]["site"]] == ["allow_entity_creation"]
    assert [hook.kind for hook in table["on_entity_creation"]["country"]] == ["on_entity_creation"]
    assert list(table["on_new_attr"]) == [("site", "name")]


def test_every_kind_has_a_row_and_what_failed_in_ingestion_can_be_called_again() -> None:
    assert tuple(HOOK_SPECS) == HOOK_KINDS
    of_tasks = [spec for spec in HOOK_SPECS.values() if spec.stage == "ingestion"]
    assert all(set(spec.takes or ()) <= {"eid", "task", "dp"} for spec in of_tasks)


def test_places_without_hooks_are_empty_and_stay_so(registrar: CallbackRegistrar) -> None:
    table = HookTable(registrar.registrations)
    allow, creation, new_attr = map(table.__getitem__, INGESTION)
    assert allow["x"] == creation["x"] == new_attr["x", "y"] == ()
    assert len(allow) == len(new_attr) == 0


def test_table_tells_which_types_no_hook_cares_about(registrar: CallbackRegistrar) -> None:
    registrar.register_on_new_attr_hook(first, "site", "name")
    table = HookTable(registrar.registrations)
    assert [table.touches(etype) for etype in ("site", "country")] == [True, False]


def test_task_hook_touches_every_type(registrar: CallbackRegistrar) -> None:
    registrar.register_task_hook("on_task_start", on_task)
    table = HookTable(registrar.registrations)
    assert table.touches("country")


def test_hooks_of_other_kinds_do_not_burden_the_ingestion(registrar: CallbackRegistrar) -> None:
    registrar.register_snapshot_init_hook(lambda: None)
    registrar.scheduler_register(print, minute=0)
    registrar.register_correlation_hook(first, "site", [], [])
    assert not HookTable(registrar.registrations).touches("site")


def test_produced_tasks_are_counted(registrar: CallbackRegistrar) -> None:
    task = DataPointTask(model_spec=registrar.model_spec, etype="site", eid=1, delete=True)
    registrar.register_on_entity_creation_hook(lambda eid, cause: [task, task], "site")
    (hook,), telemetry = HookTable(registrar.registrations)["on_entity_creation"]["site"], HookTelemetry()
    telemetry.add(hook, Guard(HookWatch()).run(hook, ("site", 1), 1, task))
    assert [count for name, count in telemetry.take().items() if name.endswith("/created_tasks")] == [2]


def test_calls_are_counted_by_hook_and_place(registrar: CallbackRegistrar) -> None:
    registrar.register_on_new_attr_hook(first, "site", "name")
    registrar.register_allow_entity_creation_hook(lambda eid, task: False, "site")
    table, guard, telemetry = HookTable(registrar.registrations), Guard(HookWatch()), HookTelemetry()
    (hook,), (allow,) = table["on_new_attr"]["site", "name"], table["allow_entity_creation"]["site"]
    telemetry.add(hook, guard.run(hook, ("site", 1), 1, None))
    telemetry.add(hook, guard.run(hook, ("site", 1)))
    telemetry.add(allow, guard.run(allow, ("site", 1), 1, None))
    telemetry.add(allow, guard.run(allow, ("site", 1)))
    counted = telemetry.take()
    prefix = "on_new_plain/test_hooks_table.first/(site,name)"
    assert counted[f"{prefix}/executions"] == 2
    assert counted[f"{prefix}/failures"] == 1
    assert counted[f"{prefix}/duration_ns"] > 0
    decisions = {name: count for name, count in counted.items() if "/decisions_" in name}
    assert [name.rpartition("/")[2] for name in decisions] == ["decisions_denied", "decisions_allowed"]
    assert all("%3Clambda%3E/(site)/" in name for name in decisions)
    assert telemetry.take() == {}


def deriv(t: str, step: Any, eid: Any, dp: Any) -> None: ...


def test_partials_of_one_function_are_counted_together_without_their_arguments(
    registrar: CallbackRegistrar,
) -> None:
    registrar.register_on_new_attr_hook(partial(deriv, "token=secret", 1), "site", "name")
    registrar.register_on_new_attr_hook(partial(partial(deriv, "m"), object()), "site", "name")
    hooks, telemetry = HookTable(registrar.registrations)["on_new_attr"]["site", "name"], HookTelemetry()
    tally, guard = HookTally(), Guard(HookWatch())
    for hook in hooks:
        outcome = guard.run(hook, ("site", 1), 1, None)
        telemetry.add(hook, outcome)
        tally.count(hook, outcome, failed=False)
    counted = telemetry.take()
    assert counted["on_new_plain/test_hooks_table.deriv/(site,name)/executions"] == 2
    assert {name.split("/")[1] for name in counted} == {"test_hooks_table.deriv"}
    (row,) = tally.rows()
    assert (row.hook, row.context, row.executions) == ("test_hooks_table.deriv", "site,name", 2)
    assert len({hook.name for hook in hooks}) == 2
