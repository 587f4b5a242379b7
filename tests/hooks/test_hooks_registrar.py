"""Rules of registration."""

import functools
import warnings
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from dp3.hooks.errors import RegistrationError, UnknownNameError
from dp3.hooks.graph import order
from dp3.hooks.registrar import CallbackRegistrar
from dp3.hooks.registration import SharedFlag

ENTITY = "test_entity_type"


def task_hook(task: Any) -> None: ...


def entity_hook(eid: Any, task: Any) -> list[Any]:
    return []


def attr_hook(eid: Any, dp: Any) -> None: ...


def series_hook(entity_type: str, attr_type: str, history: Any) -> None: ...


def correlation(entity_type: str, values: Any) -> None: ...


def correlation_master(entity_type: str, values: Any, record: Any) -> None: ...


def run_hook() -> None: ...


def periodic(entity_type: str, eid: Any, record: Any) -> None: ...


def periodic_eid(entity_type: str, eid: Any) -> None: ...


def last(registrar: CallbackRegistrar) -> Any:
    return registrar.registrations[-1]


MISTAKES = {
    "unknown task hook type": (
        lambda r: r.register_task_hook("on_task_end", task_hook),
        ValueError,
        "Hook type 'on_task_end' doesn't exist. Expected: on_task_start.",
    ),
    "unknown entity of an allow hook": (
        lambda r: r.register_allow_entity_creation_hook(entity_hook, "sitte"),
        KeyError,
        "Entity 'sitte' does not exist. Did you mean 'site'?",
    ),
    "unknown entity of a creation hook": (
        lambda r: r.register_on_entity_creation_hook(entity_hook, "zzz"),
        ValueError,
        "Entity 'zzz' does not exist. Known: country, site, test_entity_type.",
    ),
    "list instead of an entity": (
        lambda r: r.register_on_entity_creation_hook(entity_hook, ["site"]),
        ValueError,
        "Entity '['site']' does not exist.",
    ),
    "unknown attribute of a new-attr hook": (
        lambda r: r.register_on_new_attr_hook(attr_hook, "site", "nmae"),
        KeyError,
        "Cannot register hook for attribute site/nmae, are you sure it exists? "
        "'site' has no attribute 'nmae'. Did you mean 'name'?",
    ),
    "unknown entity of a new-attr hook": (
        lambda r: r.register_on_new_attr_hook(attr_hook, "sit", "name"),
        ValueError,
        "Cannot register hook for attribute sit/name, are you sure it exists? "
        "No entity type 'sit'. Did you mean 'site'?",
    ),
    "refresh without may_change": (
        lambda r: r.register_on_entity_creation_hook(entity_hook, "site", refresh=SharedFlag()),
        ValueError,
        "'may_change' must be specified if 'refresh' is specified",
    ),
    "refresh that is no flag": (
        lambda r: r.register_on_entity_creation_hook(entity_hook, "site", refresh=True, may_change=[]),
        ValueError,
        "refresh must be a SharedFlag such as self.refresh, got True",
    ),
    "refresh of a timeseries attribute": (
        lambda r: r.register_on_new_attr_hook(
            attr_hook, ENTITY, "series", refresh=SharedFlag(), may_change=[]
        ),
        ValueError,
        "'test_entity_type.series' is a timeseries, which has no current value",
    ),
    "unknown timeseries attribute": (
        lambda r: r.register_timeseries_hook(series_hook, ENTITY, "serie"),
        ValueError,
        "Attribute 'serie' of entity 'test_entity_type' does not exist.",
    ),
    "timeseries hook on a plain attribute": (
        lambda r: r.register_timeseries_hook(series_hook, "site", "name"),
        ValueError,
        "'site.name' is not a timeseries, but 'plain'",
    ),
    "unknown entity of a correlation hook": (
        lambda r: r.register_correlation_hook(correlation, "sites", [], []),
        KeyError,
        "Entity 'sites' does not exist. Did you mean 'site'?",
    ),
    "step that does not exist": (
        lambda r: r.register_correlation_hook(correlation, ENTITY, [["test_attr_link", "nam"]], []),
        ValueError,
        "Invalid path 'test_entity_type->test_attr_link->nam', failed on 'nam': "
        "'site' has no such attribute. Did you mean 'name'?",
    ),
    "step over a value": (
        lambda r: r.register_correlation_hook(correlation, "site", [["name", "x"]], []),
        ValueError,
        "Invalid path 'site->name->x', failed on 'name': 'site.name' is not a link",
    ),
    "timeseries in a path": (
        lambda r: r.register_correlation_hook(correlation, ENTITY, [["series"]], []),
        ValueError,
        "Invalid path 'test_entity_type->series', failed on 'series'",
    ),
    "empty path": (
        lambda r: r.register_correlation_hook(correlation, "site", [[]], []),
        ValueError,
        "Each path of depends_on must be a non-empty list of attribute names, got [].",
    ),
    "paths one level too shallow": (
        lambda r: r.register_correlation_hook(correlation, "site", [], ["name"]),
        ValueError,
        "may_change must be a list of paths: write [['name']] instead of ['name'].",
    ),
    "text instead of paths": (
        lambda r: r.register_correlation_hook(correlation, "site", "name", []),
        ValueError,
        "depends_on must be a list of paths such as [['link', 'attr']], got 'name'.",
    ),
    "hook that waits for itself": (
        lambda r: r.register_correlation_hook(correlation, "site", [["name"]], [["name"]]),
        ValueError,
        "correlation(site, [name], [name]) introduces a circular dependency.",
    ),
    "refreshed hook that changes its own attribute": (
        lambda r: r.register_on_new_attr_hook(
            attr_hook, "site", "name", refresh=SharedFlag(), may_change=[["name"]]
        ),
        ValueError,
        "introduces a circular dependency.",
    ),
    "period that is none": (
        lambda r: r.register_periodic_update_hook(periodic, "id", "site", "soon"),
        ValidationError,
        "1 validation error for the period of module 'sample', periodic_update hook",
    ),
    "period below the batch period": (
        lambda r: r.register_periodic_update_hook(periodic, "id", "site", "1m"),
        ValueError,
        "The total period (60s) must be greater than or equal to the update batch period (300s).",
    ),
    "unknown entity of a periodic hook": (
        lambda r: r.register_periodic_eid_update_hook(periodic_eid, "id", "stie", "1d"),
        KeyError,
        "Entity 'stie' does not exist. Did you mean 'site'?",
    ),
    "empty hook id": (
        lambda r: r.register_periodic_update_hook(periodic, "", "site", "1d"),
        ValueError,
        "hook_id must be a non-empty string, got ''.",
    ),
    "cron field out of range": (
        lambda r: r.scheduler_register(run_hook, minute="70"),
        ValueError,
        "Bad cron field minute='70':",
    ),
    "cron field that is no expression": (
        lambda r: r.scheduler_register(run_hook, day_of_week="someday"),
        ValueError,
        "Bad cron field day_of_week='someday':",
    ),
    "unknown timezone": (
        lambda r: r.scheduler_register(run_hook, hour=1, timezone="Mars/Base"),
        ValueError,
        "Unknown timezone 'Mars/Base'",
    ),
    "no timezone": (
        lambda r: r.scheduler_register(run_hook, hour=1, timezone=None),
        ValueError,
        "Unknown timezone None; expected a name such as 'UTC'.",
    ),
    "text instead of arguments": (
        lambda r: r.scheduler_register(run_hook, hour=1, func_args="abc"),
        ValueError,
        "func_args must be a list of positional arguments, got 'abc'.",
    ),
    "list instead of named arguments": (
        lambda r: r.scheduler_register_once(run_hook, func_kwargs=["a"]),
        ValueError,
        "func_kwargs must be a dictionary of named arguments, got ['a'].",
    ),
    "grace time below a second": (
        lambda r: r.scheduler_register(run_hook, hour=1, misfire_grace_time=0),
        ValueError,
        "misfire_grace_time must be a positive number of whole seconds or None, got 0.",
    ),
    "arguments that the callback does not take": (
        lambda r: r.scheduler_register(run_hook, hour=1, func_args=[1]),
        ValueError,
        "The callback takes () -> None, which does not fit func_args=[1], func_kwargs={}.",
    ),
    "hook that is not callable": (
        lambda r: r.register_task_hook("on_task_start", "hook"),
        ValueError,
        "Expected a function (task), got 'hook', which is not callable.",
    ),
    "too few parameters": (
        lambda r: r.register_on_new_attr_hook(task_hook, "site", "name"),
        ValueError,
        "The hook must take (eid, dp), but it takes (task: Any) -> None.",
    ),
    "too many parameters": (
        lambda r: r.register_snapshot_init_hook(task_hook),
        ValueError,
        "The hook must take (), but it takes (task: Any) -> None.",
    ),
    "deprecated: unknown entity hook type": (
        lambda r: r.register_entity_hook("on_entity_removal", entity_hook, "site"),
        ValueError,
        "Hook type 'on_entity_removal' doesn't exist.",
    ),
    "deprecated: type of another attribute type": (
        lambda r: r.register_attr_hook("on_new_observation", attr_hook, "site", "name"),
        ValueError,
        "Hook type 'on_new_observation' doesn't exist for site/name. Expected: on_new_plain.",
    ),
    "deprecated: unknown attribute": (
        lambda r: r.register_attr_hook("on_new_plain", attr_hook, "site", "names"),
        KeyError,
        "Did you mean 'name'?",
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_is_refused_with_an_explanation_and_leaves_no_trace(
    registrar: CallbackRegistrar, case: str
) -> None:
    register, error_class, text = MISTAKES[case]
    registrar.register_snapshot_init_hook(run_hook)
    before = registrar.registrations
    with pytest.raises(error_class) as caught:
        register(registrar)
    assert text in str(caught.value)
    assert "module 'sample', " in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert registrar.registrations == before


AGAIN = {
    "task": (lambda r: r.register_task_hook("on_task_start", task_hook), "is already registered."),
    "allow": (
        lambda r: r.register_allow_entity_creation_hook(entity_hook, "site"),
        "is already registered for entity 'site'.",
    ),
    "creation": (
        lambda r: r.register_on_entity_creation_hook(entity_hook, "site"),
        "is already registered for entity 'site'.",
    ),
    "new attr": (
        lambda r: r.register_on_new_attr_hook(attr_hook, "site", "name"),
        "is already registered for attribute 'site/name'.",
    ),
    "timeseries": (
        lambda r: r.register_timeseries_hook(series_hook, ENTITY, "series"),
        "is already registered for attribute 'test_entity_type/series'.",
    ),
    "correlation": (
        lambda r: r.register_correlation_hook(correlation, "site", [["name"]], []),
        "correlation(site, [name], [])' already present in the vertices.",
    ),
    "init": (lambda r: r.register_snapshot_init_hook(run_hook), "Snapshot init hook '"),
    "finalize": (lambda r: r.register_snapshot_finalize_hook(run_hook), "Snapshot finalize hook '"),
    "periodic": (
        lambda r: r.register_periodic_update_hook(periodic, "id", "site", "1d"),
        "Hook ID id already registered for site.",
    ),
    "periodic eid": (
        lambda r: r.register_periodic_eid_update_hook(periodic_eid, "id", "site", "24h"),
        "Hook ID id already registered for site.",
    ),
}


@pytest.mark.parametrize("case", AGAIN)
def test_same_hook_in_the_same_place_is_refused(registrar: CallbackRegistrar, case: str) -> None:
    register, text = AGAIN[case]
    register(registrar)
    with pytest.raises(RegistrationError) as caught:
        register(registrar.for_module("other"))
    assert text in str(caught.value)
    assert len(registrar.registrations) == 1


def test_bound_methods_of_one_object_are_the_same_hook_and_of_two_are_not(
    registrar: CallbackRegistrar,
) -> None:
    class Sample:
        def hook(self) -> None: ...

    one = Sample()
    registrar.register_snapshot_init_hook(one.hook)
    registrar.register_snapshot_init_hook(Sample().hook)
    with pytest.raises(RegistrationError):
        registrar.register_snapshot_init_hook(one.hook)


def test_periodic_hook_id_may_return_with_another_period_type_or_kind(registrar: CallbackRegistrar) -> None:
    registrar.register_periodic_update_hook(periodic, "id", "site", "1d")
    registrar.register_periodic_update_hook(periodic, "id", "site", "2d")
    registrar.register_periodic_update_hook(periodic, "id", "country", "1d")
    registrar.register_periodic_eid_update_hook(periodic_eid, "id", "site", "1d")
    assert [r.period for r in registrar.registrations] == [timedelta(days=d) for d in (1, 2, 1, 1)]


def test_unknown_names_are_value_errors_and_key_errors_that_read_well(registrar: CallbackRegistrar) -> None:
    with pytest.raises(UnknownNameError) as caught:
        registrar.register_allow_entity_creation_hook(entity_hook, "sitte")
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, KeyError)
    assert str(caught.value).startswith("Entity 'sitte' does not exist.")


def test_hooks_are_numbered_when_different_callables_share_a_name(registrar: CallbackRegistrar) -> None:
    for number in range(3):
        registrar.register_snapshot_init_hook(lambda number=number: number)
    first, *others = [r.name for r in registrar.registrations]
    assert others == [f"{first}#2", f"{first}#3"]


def test_one_callable_keeps_its_name_in_every_place(registrar: CallbackRegistrar) -> None:
    registrar.register_on_new_attr_hook(attr_hook, "site", "name")
    registrar.register_on_new_attr_hook(attr_hook, "country", "code")
    assert len({r.name for r in registrar.registrations}) == 1


def test_two_refreshed_hooks_with_the_same_paths_both_register(registrar: CallbackRegistrar) -> None:
    flag = SharedFlag()
    for _ in range(2):

        def derive(eid: Any, task: Any) -> list[Any]:
            return []

        registrar.register_on_entity_creation_hook(derive, "site", refresh=flag, may_change=[["name"]])
    assert [r.refresh for r in order(registrar.registrations)] == [flag, flag]


def test_may_change_without_refresh_is_ignored(registrar: CallbackRegistrar) -> None:
    registrar.register_on_new_attr_hook(attr_hook, "site", "name", may_change=[["nonsense"]])
    assert last(registrar).may_change is None
    assert not last(registrar).orders


def test_refreshed_attribute_hook_runs_after_what_writes_its_attribute(registrar: CallbackRegistrar) -> None:
    registrar.register_on_new_attr_hook(
        attr_hook, "site", "name", refresh=SharedFlag(), may_change=[["country", "code"]]
    )
    registrar.register_correlation_hook(correlation, "site", [], [["name"]])
    assert [r.kind for r in order(registrar.registrations)] == ["correlation", "on_new_attr"]
    assert registrar.registrations[0].writes == (("country", "code"),)


def test_paths_lead_over_several_links_and_mirrors_and_may_end_in_a_link(
    registrar: CallbackRegistrar,
) -> None:
    depends_on = [["test_attr_link", "country", "code"], ["sites", "members", "test_attr_type"], ["sites"]]
    registrar.register_correlation_hook(correlation, ENTITY, depends_on, [["sites", "members"]])
    assert last(registrar).reads == (("country", "code"), (ENTITY, "test_attr_type"), (ENTITY, "sites"))
    assert last(registrar).writes == (("site", "members"),)
    assert last(registrar).links == (
        (ENTITY, "test_attr_link"),
        ("site", "country"),
        (ENTITY, "sites"),
        ("site", "members"),
    )


def test_cycle_over_entity_types_names_its_hooks_and_can_be_avoided_afterwards(
    registrar: CallbackRegistrar,
) -> None:
    registrar.register_correlation_hook(correlation, "site", [["name"]], [["country", "code"]])
    back = [["sites", "country", "code"]], [["sites", "name"]]
    with pytest.raises(ValueError, match=r"Cycle: .* -> (country\.code|site\.name) -> .* -> .* -> "):
        registrar.register_correlation_hook(correlation, ENTITY, *back)
    registrar.register_correlation_hook(correlation, ENTITY, back[0], [])


def test_over_write_of_results_is_allowed_with_a_warning(
    registrar: CallbackRegistrar, caplog: pytest.LogCaptureFixture
) -> None:
    registrar.register_correlation_hook(correlation, "site", [], [["name"]])
    registrar.register_correlation_hook_with_master_record(correlation_master, "site", [], [["name"]])
    assert "Detected possible over-write of hook results in attributes: ['site.name']" in caplog.text


def test_jobs_are_numbered_from_one_over_all_modules(registrar: CallbackRegistrar) -> None:
    def report(what: str, *, loud: bool) -> None: ...

    first = registrar.scheduler_register(
        report, func_args=["x"], func_kwargs={"loud": True}, day_of_week="mon-fri", hour="*/2"
    )
    second = registrar.for_module("other").scheduler_register_once(run_hook)
    assert (first, second) == (1, 2)
    assert registrar.registrations[0].extra == {
        "func_args": ("x",),
        "func_kwargs": {"loud": True},
        "schedule": {"day_of_week": "mon-fri", "hour": "*/2", "timezone": "UTC"},
        "job_id": 1,
        "misfire_grace_time": 1,
    }
    assert registrar.registrations[1].extra["schedule"] is None


def test_view_of_a_module_shares_the_record(registrar: CallbackRegistrar) -> None:
    registrar.for_module("a").register_snapshot_init_hook(run_hook)
    registrar.for_module("b").register_snapshot_finalize_hook(run_hook)
    assert [(r.module, r.kind) for r in registrar.registrations] == [
        ("a", "snapshot_init"),
        ("b", "snapshot_finalize"),
    ]


def test_registration_after_the_engine_took_the_hooks_is_refused(registrar: CallbackRegistrar) -> None:
    registrar.seal()
    with pytest.raises(RegistrationError, match=r"Registration is closed.*__init__"):
        registrar.for_module("late").register_snapshot_init_hook(run_hook)


def test_callables_that_do_not_tell_their_parameters_are_accepted(registrar: CallbackRegistrar) -> None:
    registrar.scheduler_register(dict.fromkeys, func_args=["ab"], minute=0)
    registrar.register_task_hook("on_task_start", print)
    registrar.register_task_hook("on_task_start", dict)


def test_hook_is_judged_by_how_it_is_called_not_by_what_it_wraps(registrar: CallbackRegistrar) -> None:
    @functools.wraps(series_hook)
    def adds_an_argument(eid: Any, dp: Any) -> None: ...

    registrar.register_on_new_attr_hook(adds_an_argument, "site", "name")
    registrar.register_on_new_attr_hook(functools.partial(series_hook, "x"), "site", "name")
    registrar.register_on_new_attr_hook(lambda *args: None, "site", "name")
    registrar.register_on_new_attr_hook(lambda eid, dp, extra=1: None, "site", "name")
    assert len(registrar.registrations) == 4


def test_async_hooks_and_generators_whose_result_is_ignored_are_refused(registrar: CallbackRegistrar) -> None:
    async def hook(task: Any) -> None: ...

    def generator(task: Any) -> Any:
        yield task

    with pytest.raises(RegistrationError, match="async function; hooks are plain functions"):
        registrar.register_task_hook("on_task_start", hook)
    with pytest.raises(RegistrationError, match="generator function, which would never run"):
        registrar.register_task_hook("on_task_start", generator)


def test_deprecated_methods_register_with_a_warning(registrar: CallbackRegistrar) -> None:
    with pytest.warns(DeprecationWarning, match="register_allow_entity_creation_hook"):
        registrar.register_entity_hook("allow_entity_creation", entity_hook, "site")
    with pytest.warns(DeprecationWarning, match="register_on_new_attr_hook"):
        registrar.register_attr_hook("on_new_observation", attr_hook, ENTITY, "test_attr_link")
    assert [(r.kind, r.deprecated) for r in registrar.registrations] == [
        ("allow_entity_creation", True),
        ("on_new_attr", True),
    ]


def test_registrations_can_not_be_changed(registrar: CallbackRegistrar) -> None:
    paths = [["name"]]
    registrar.register_correlation_hook(correlation, "site", paths, [])
    paths[0].append("x")
    assert last(registrar).depends_on == (("name",),)
    with pytest.raises(AttributeError), warnings.catch_warnings():
        last(registrar).module = "other"
