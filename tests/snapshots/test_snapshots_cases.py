"""Runs over linked entities, hooks and deletions: what applications rely on, case by case."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from application import SECOND_US, Application, an_application
from sample_hooks import Values, records
from sample_settings import Setting

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint
from dp3.reads.reads import Reads
from kit.points import START_US
from kit.specs import a_type, hourly, observed_attr, plain_attr, valid

HOUR = 3_600
LINK_TO_B = {"eid": 7}


MODEL = ModelSpec(
    {
        "a": a_type(
            "a",
            {
                "p": plain_attr("int"),
                "s": plain_attr("string"),
                "ip": plain_attr("ipv4"),
                "arr": plain_attr("array<string>"),
                "o": hourly("int"),
                "om": hourly("string", multi_value=True),
                "l": hourly("link<b;mirror=as>", multi_value=True),
                "friend": plain_attr("link<a>"),
                "hidden": plain_attr("link<h>"),
            },
        ),
        "b": a_type("b", {"p": plain_attr("int"), "c": plain_attr("link<c>")}, id_data_type="int"),
        "c": a_type("c", {"q": plain_attr("string"), "size": plain_attr("int")}),
        "h": a_type("h", {"q": plain_attr("string")}, snapshot=False),
    }
)


@pytest.fixture
def app() -> Iterator[Application]:
    with an_application() as application:
        yield application


def start(
    app: Application, *hooks: tuple[Any, ...], model: ModelSpec = MODEL, keep_empty: bool = True
) -> None:
    """Start the application with correlation hooks: (callable, entity type, depends_on, may_change)."""
    registrar = CallbackRegistrar(model).for_module("cases")
    for hook in hooks:
        registrar.register_correlation_hook(*hook)
    app.restart(Setting(model, registrar, keep_empty))


def changed(etype: str, more: dict[str, Any], *without: str, **keys: Any) -> ModelSpec:
    """The model with another `etype`: attributes more and less, and other keys of the entity."""
    source = MODEL[etype].source
    attribs = {name: spec for name, spec in source["attribs"].items() if name not in without}
    other = {"entity": {**source["entity"], **keys}, "attribs": attribs | more}
    return ModelSpec({**{name: spec.source for name, spec in MODEL.items()}, etype: other})


def seen(attr: str, v: Any, since_s: int = 0, until_s: int = 10, c: float = 1.0) -> WirePoint:
    t1, t2 = START_US + since_s * SECOND_US, START_US + until_s * SECOND_US
    return WirePoint(attr, v, t1, t2, round(c * CONFIDENCE_UNIT))


def put(app: Application, etype: str, eid: int | str, *points: WirePoint, **plain_values: Any) -> None:
    app.send(etype, eid, *points, *(WirePoint(attr, v) for attr, v in plain_values.items()))
    app.process()


def last(app: Application, etype: str, eid: int | str) -> dict[str, Any]:
    return app.snapshots(etype, eid)[-1][1]


def test_a_snapshot_has_the_values_of_all_kinds_of_attributes_and_what_a_hook_adds(app: Application) -> None:
    def hook(etype: str, values: Values) -> None:
        values["s"] = "hooked"

    start(app, (hook, "a", [["p"]], [["s"]]))
    put(app, "a", "e1", p=1, ip="1.1.1.1", arr=["x", "y"])
    put(app, "a", "e1", seen("o", 5, 0, 0, c=0.5), seen("om", "k"), seen("l", LINK_TO_B))
    put(app, "b", 7, p=1)
    app.wait_until(START_US + SECOND_US // 10)
    run = app.run()
    expected = {
        "eid": "e1",
        "p": 1,
        "s": "hooked",
        "ip": "1.1.1.1",
        "arr": ["x", "y"],
        "o": 5,
        "o#c": 0.5 * (HOUR - 0.1) / HOUR,
        "om": ["k"],
        "om#c": [1.0],
        "l": [LINK_TO_B],
        "l#c": [1.0],
    }
    assert app.snapshots("a", "e1") == [(run.time, expected)]
    assert list(last(app, "a", "e1")) == list(expected)
    assert app.snapshots("b", 7) == [(run.time, {"eid": 7, "p": 1, "as": [{"eid": "e1"}]})]


def test_two_entities_that_link_to_each_other_exchange_values(app: Application) -> None:
    def hook(etype: str, values: Values) -> None:
        values["s"] = f"friend of {values['friend']['record']['p']}"

    start(app, (hook, "a", [["friend", "p"]], [["s"]]))
    put(app, "a", "a1", p=1, friend={"eid": "a2"})
    put(app, "a", "a2", p=2, friend={"eid": "a1"})
    app.run()
    assert (last(app, "a", "a1")["s"], last(app, "a", "a2")["s"]) == ("friend of 2", "friend of 1")


def test_a_link_in_one_direction_is_enough_to_write_to_the_linked_entity(app: Application) -> None:
    def hook(etype: str, values: Values) -> None:
        for link in values.get("l", []):
            link["record"]["p"] = values["p"]

    start(app, (hook, "a", [["p"]], [["l", "p"]]))
    put(app, "a", "a1", seen("l", LINK_TO_B), p=4)
    put(app, "b", 7, p=1)
    app.run()
    assert last(app, "b", 7) == {"eid": 7, "p": 4, "as": [{"eid": "a1"}]}


def test_what_a_hook_sets_is_seen_by_the_hooks_of_linked_entities_that_depend_on_it(app: Application) -> None:
    def of_a(etype: str, values: Values) -> None:
        values["s"] = ",".join(str(link["record"]["p"]) for link in values.get("l", []))

    def of_b(etype: str, values: Values) -> None:
        values["p"] = values["p"] * 10

    start(app, (of_a, "a", [["l", "p"]], [["s"]]), (of_b, "b", [], [["p"]]))
    put(app, "a", "a1", seen("l", LINK_TO_B))
    put(app, "b", 7, p=5)
    app.run()
    assert last(app, "a", "a1")["s"] == "50"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_chain_over_several_types_is_complete_whatever_came_first(
    app: Application, order: Sequence[int]
) -> None:
    def hook(etype: str, values: Values) -> None:
        values["s"] = values["l"][0]["record"]["c"]["record"]["q"]

    start(app, (hook, "a", [["l", "c", "q"]], [["s"]]))
    tasks = [
        lambda: put(app, "a", "a1", seen("l", LINK_TO_B)),
        lambda: put(app, "b", 7, c={"eid": "c1"}),
        lambda: put(app, "c", "c1", q="far"),
    ]
    for number in order:
        tasks[number]()
    app.run()
    assert last(app, "a", "a1")["s"] == "far"


def test_a_path_may_go_through_a_mirror(app: Application) -> None:
    def hook(etype: str, values: Values) -> None:
        values["p"] = sum(link["record"]["p"] for link in values["as"])

    start(app, (hook, "b", [["as", "p"]], [["p"]]))
    put(app, "a", "a1", seen("l", LINK_TO_B), p=1)
    put(app, "a", "a2", seen("l", LINK_TO_B), p=2)
    put(app, "b", 7, p=0)
    app.run()
    assert last(app, "b", 7) == {"eid": 7, "p": 3, "as": [{"eid": "a1"}, {"eid": "a2"}]}


def test_a_hook_with_the_master_record_sees_the_stored_value_not_the_changed_one(app: Application) -> None:
    def first(etype: str, values: Values) -> None:
        values["p"] = 100

    def second(etype: str, values: Values, master: Values) -> None:
        values["s"] = f"{master['p']['v']} became {values['p']}"

    registrar = CallbackRegistrar(MODEL)
    registrar.register_correlation_hook(first, "a", [], [["p"]])
    registrar.register_correlation_hook_with_master_record(second, "a", [["p"]], [["s"]])
    app.restart(Setting(MODEL, registrar))
    put(app, "a", "a1", p=1)
    app.run()
    assert last(app, "a", "a1") == {"eid": "a1", "p": 100, "s": "1 became 100"}


def test_a_hook_that_replaces_links_hurts_nobody(app: Application) -> None:
    def hook(etype: str, values: Values) -> None:
        values["l"] = None
        values["friend"] = "nobody"

    start(app, (hook, "a", [["l", "p"], ["friend", "p"]], [["s"]]))
    put(app, "a", "a1", seen("l", LINK_TO_B), friend={"eid": "a2"})
    put(app, "a", "a2", p=2)
    put(app, "b", 7, p=1)
    app.run()
    assert last(app, "a", "a1") == {"eid": "a1", "l": None, "l#c": [1.0], "friend": "nobody"}
    assert last(app, "a", "a2")["p"] == 2
    assert last(app, "b", 7)["p"] == 1


def test_a_type_without_snapshots_is_seen_by_hooks_but_gets_none(app: Application) -> None:
    def hook(etype: str, values: Values) -> None:
        values["s"] = values["hidden"]["record"]["q"]

    start(app, (hook, "a", [["hidden", "q"]], [["s"]]))
    put(app, "a", "a1", hidden={"eid": "h1"})
    put(app, "h", "h1", q="secret")
    app.run()
    assert last(app, "a", "a1") == {"eid": "a1", "s": "secret", "hidden": {"eid": "h1"}}
    assert app.snapshots("h", "h1") == []


def test_a_target_that_does_not_exist_is_a_record_with_nothing_but_its_id_and_mirrors(
    app: Application,
) -> None:
    def hook(etype: str, values: Values) -> None:
        record = values["l"][0]["record"]
        values["s"] = f"{record['eid']}: {sorted(record)} {len(record['as'])}"

    start(app, (hook, "a", [["l", "p"], ["l", "as"]], [["s"]]))
    put(app, "a", "a1", seen("l", LINK_TO_B))
    app.run()
    assert last(app, "a", "a1")["s"] == "7: ['as', 'eid'] 1"
    assert app.snapshots("b", 7) == []


def test_what_a_hook_wrote_to_a_linked_entity_goes_when_the_link_ends(app: Application) -> None:
    def hook(etype: str, values: Values) -> None:
        for link in values.get("l", []):
            link["record"]["p"] = values["p"]

    start(app, (hook, "a", [["p"]], [["l", "p"]]))
    put(app, "a", "a1", seen("l", LINK_TO_B), p=4)
    put(app, "b", 7, p=1)
    app.run()
    app.wait_until(START_US + (2 * HOUR) * SECOND_US)
    app.run()
    assert [values for _, values in app.snapshots("b", 7)] == [
        {"eid": 7, "p": 4, "as": [{"eid": "a1"}]},
        {"eid": 7, "p": 1, "as": []},
    ]


def test_what_a_hook_wrote_goes_also_where_no_mirror_and_no_hook_tells_of_the_link(app: Application) -> None:
    def hook(etype: str, values: Values) -> None:
        for record in records(values.get("c")):
            record["size"] = values["p"]

    start(app, (hook, "b", [["p"]], [["c", "size"]]))
    put(app, "b", 7, p=4, c={"eid": "c1"})
    put(app, "c", "c1", q="x")
    app.run()
    put(app, "b", 7, c={"eid": "c2"})
    app.run()
    assert [values for _, values in app.snapshots("c", "c1")] == [
        {"eid": "c1", "q": "x", "size": 4},
        {"eid": "c1", "q": "x"},
    ]


def test_what_a_run_of_another_setting_left_behind_unfinished_is_not_taken_for_known(
    app: Application,
) -> None:
    start(app)
    put(app, "a", "a1", p=1, s="x")
    app.run()
    start(app, model=changed("a", {}, "p"))
    broken = app.begin_run()
    while app.latest("a") != {"a1": (broken.time, {"eid": "a1", "s": "x"})}:
        app.go_on_slowly()
    start(app)
    app.finish_run()
    run = app.run()
    assert app.snapshots("a", "a1")[-1] == (run.time, {"eid": "a1", "p": 1, "s": "x"})


def test_deletion_ends_the_series_and_whoever_comes_back_begins_a_new_one(app: Application) -> None:
    start(app)
    put(app, "a", "a1", p=1)
    app.run()
    app.send("a", "a1", delete=True)
    app.process()
    assert app.snapshots("a", "a1") == []
    assert app.latest("a") == {}
    put(app, "a", "a1", p=2)
    assert app.snapshots("a", "a1") == []
    run = app.run()
    assert app.snapshots("a", "a1") == [(run.time, {"eid": "a1", "p": 2})]


def test_a_deleted_entity_disappears_from_the_mirrors_of_those_it_linked_to(app: Application) -> None:
    start(app)
    put(app, "a", "a1", seen("l", LINK_TO_B))
    put(app, "a", "a2", seen("l", LINK_TO_B))
    put(app, "b", 7, p=1)
    app.run()
    app.send("a", "a1", delete=True)
    app.process()
    app.run()
    assert [values["as"] for _, values in app.snapshots("b", 7)] == [
        [{"eid": "a1"}, {"eid": "a2"}],
        [{"eid": "a2"}],
    ]


def test_a_link_to_what_has_no_data_disappears_from_the_next_snapshot_after_a_deletion(
    app: Application,
) -> None:
    start(app)
    put(app, "a", "a1", seen("l", LINK_TO_B), p=1)
    app.run()
    app.send("b", 7, delete=True)
    app.process()
    app.run()
    assert ["l" in values for _, values in app.snapshots("a", "a1")] == [True, False]


def test_a_mirror_lists_its_sources_in_one_order_in_snapshots_and_at_any_moment(app: Application) -> None:
    model = changed("b", {"c": plain_attr("link<c;mirror=bs>")})
    start(app, model=model)
    for eid in (10, 9, 2):
        put(app, "b", eid, c={"eid": "c1"})
    put(app, "c", "c1", q="x")
    app.run()
    found = Reads(app.store, app.log, model, app.clock).as_of.values("c", "c1", app.now_us)
    assert found == last(app, "c", "c1")
    assert found["bs"] == [{"eid": 2}, {"eid": 9}, {"eid": 10}]


def test_a_mirror_forgets_a_source_that_was_deleted_after_its_link_had_ended(app: Application) -> None:
    start(app)
    put(app, "a", "a1", seen("l", LINK_TO_B, 0, 10))
    put(app, "b", 7, p=1)
    app.wait_until(START_US + 5 * SECOND_US)
    app.run()
    app.wait_until(START_US + (HOUR + 11) * SECOND_US)
    app.send("a", "a1", delete=True)
    app.process()
    app.run()
    assert last(app, "b", 7)["as"] == []


def test_a_type_that_lost_its_snapshots_keeps_those_it_had_and_gets_no_others(app: Application) -> None:
    start(app)
    put(app, "c", "c1", q="x")
    first = app.run()
    start(app, model=changed("c", {}, snapshot=False))
    app.run()
    assert app.latest("c") == {}
    assert [time for time, _ in app.snapshots("c", "c1")] == [first.time]
    start(app)
    third = app.run()
    assert [time for time, _ in app.snapshots("c", "c1")] == [first.time, third.time]


def test_values_of_an_attribute_that_left_the_model_leave_the_index(app: Application) -> None:
    start(app)
    put(app, "a", "a1", ip="10.0.0.1", p=1)
    app.run()
    start(app, model=changed("a", {}, "ip"))
    app.run()
    assert app.distinct("a", "ip") == {}
    assert app.distinct("a", "p") == {1: 1}


def test_without_empty_ones_links_to_what_does_not_exist_go_and_others_stay(app: Application) -> None:
    hook: Any = (lambda etype, values: None, "a", [["friend", "p"], ["l", "p"]], [])
    start(app, hook, keep_empty=False)
    put(app, "a", "a1", seen("l", {"eid": 8}), seen("l", LINK_TO_B), friend={"eid": "nobody"})
    put(app, "b", 7, p=1)
    app.run()
    assert last(app, "a", "a1") == {"eid": "a1", "l": [LINK_TO_B], "l#c": [1.0]}


def test_without_empty_ones_a_link_to_what_exists_stays_though_it_was_to_end_earlier(
    app: Application,
) -> None:
    hook: Any = (lambda etype, values: None, "a", [["friend", "p"], ["l", "p"]], [])
    start(app, model=changed("a", {"l": observed_attr("link<b;mirror=as>", valid(0, 1))}))
    put(app, "a", "a1", seen("l", LINK_TO_B), friend={"eid": "a2"})
    put(app, "a", "a2", p=2)
    put(app, "b", 7, p=1)
    app.wait_until(START_US + 12 * SECOND_US)
    start(
        app,
        hook,
        model=changed("a", {"l": observed_attr("link<b;mirror=as>", valid(0, 4))}),
        keep_empty=False,
    )
    app.run()
    assert last(app, "a", "a1") == {"eid": "a1", "l": LINK_TO_B, "l#c": 0.5, "friend": {"eid": "a2"}}


def test_a_mirror_forgets_a_link_that_ends_at_the_very_moment_of_a_run(app: Application) -> None:
    start(app)
    put(app, "a", "a1", seen("l", LINK_TO_B))
    put(app, "b", 7, p=1)
    app.wait_until(START_US + (10 + HOUR) * SECOND_US - 1)
    app.run()
    assert last(app, "b", 7)["as"] == [{"eid": "a1"}]
    app.run()  # one µs later, although the clock has not moved
    assert last(app, "b", 7)["as"] == []


@pytest.mark.parametrize("id_data_type", ["int", "ipv4"])
def test_ids_from_before_their_type_was_changed_hurt_nobody(app: Application, id_data_type: str) -> None:
    seen: list[Any] = []
    hook: Any = (lambda etype, values: seen.append(values["eid"]), "b", [["c", "q"]], [])
    start(app, model=changed("b", {}, id_data_type="string"))
    for eid in ("10", "old", "9"):
        put(app, "b", eid, c={"eid": "c1"})
    app.run()
    model = changed("b", {"c": plain_attr("link<c;mirror=bs>")}, id_data_type=id_data_type)
    start(app, hook, model=model)
    put(app, "c", "c1", q="x")
    app.run()
    assert len(app.latest("b")) == len(seen) == 3
    assert len(last(app, "c", "c1")["bs"]) == 3
    assert Reads(app.store, app.log, model, app.clock).as_of.values("c", "c1", app.now_us) == last(
        app, "c", "c1"
    )
