"""The model changes: what loses its meaning is refused, and once confirmed it is nowhere any more."""

from itertools import pairwise
from typing import Any

import pytest

from dp3.engine.schema.tracking import ModelRefused
from dp3.hooks.registrar import CallbackRegistrar
from dp3.log.port import Lane
from dp3.model.spec import ModelSpec
from dp3.model.wire import WirePoint, decode_tasks
from dp3.store.ports.errors import LeaseRefused
from kit.engine import Engine, StoredDeadLetter
from kit.points import SECOND, derived, plain, seen, task
from kit.schema import (
    a_schema,
    begin,
    docs,
    finish,
    make_snapshots,
    master,
    pack,
    seen_attr,
    start,
    tables_of_attr,
    tables_of_type,
    tables_with,
    track,
    update,
)
from kit.specs import a_type, plain_attr, series_attr

STAYS = {"stays": plain_attr("string"), "seen": seen_attr("string")}
SERIES = series_attr("irregular", series={"s": {"data_type": "int"}})
KEPT = (plain("stays", "kept"), seen("seen", "kept"))

GONE: dict[str, tuple[Any, list[WirePoint]]] = {
    "plain": (plain_attr("string"), [plain("x", "gone")]),
    "long": (plain_attr("string"), [plain("x", "gone" * 400)]),
    "list": (plain_attr("array<string>"), [plain("x", ["gone", "gone2"])]),
    "json": (plain_attr("json"), [plain("x", {"gone": ["gone", {"k": "gone"}], "long": "gone" * 400})]),
    "history": (seen_attr("string"), [seen("x", "gone1", 1), seen("x", "gone2", 2)]),
    "several": (seen_attr("string", multi_value=True), [seen("x", "gone1", 1), seen("x", "gone2", 2)]),
    "link": (plain_attr("link<b;mirror=back>"), [plain("x", {"eid": "gone"})]),
    "observed link": (seen_attr("link<b,string>"), [seen("x", {"eid": "gone", "data": "gone"})]),
    "timeseries": (SERIES, [WirePoint("x", {"s": [1], "time": ["2020-01-01T00:00:00Z"]}, 10, 20)]),
}


def lived(engine: Engine, model: ModelSpec, *points: WirePoint, eids: tuple[str, ...] = ("e1", "")) -> None:
    """Entities with these values and those that stay, and a snapshot."""
    for eid in eids:
        engine.send(task(eid, *points, *KEPT))
    engine.send(task("b1", plain("p", "kept"), etype="b"))
    start(engine, model)
    make_snapshots(engine, model)


def visiting(registrar: CallbackRegistrar) -> None:
    registrar.register_periodic_eid_update_hook(lambda etype, eid: [], "visit", "b", "10m")


def outdated(engine: Engine) -> list[StoredDeadLetter]:
    return [stored for stored in engine.letters() if stored.letter.context.get("outdated")]


@pytest.mark.parametrize("kind", GONE)
@pytest.mark.parametrize("packed", [False, True])
def test_a_removed_attribute_is_in_no_table_and_all_else_is_as_it_was(
    engine: Engine, kind: str, packed: bool
) -> None:
    spec, points = GONE[kind]
    old, new = a_schema(**STAYS, x=spec), a_schema(**STAYS)
    lived(engine, old, *points)
    if packed:
        pack(engine, old)
    number = engine.store.names.attr_id("a", "x")
    assert tables_of_attr(engine, number)
    before = {
        name: content for name, content in engine.tables().items() if name in ("entity", "etype", "run")
    }

    with pytest.raises(ModelRefused, match=r"a\.x: removed"):
        track(engine, new)
    assert tables_of_attr(engine, number)
    update(engine, new)

    assert tables_of_attr(engine, number) == set()
    assert tables_with(engine, "gone") == set()
    assert not any(row["name"].startswith("x") for row in engine.tables()["attr"])
    assert len(engine.tables()["path"]) == len({row["path"] for row in engine.tables()["current"]})
    assert {name: engine.tables()[name] for name in before} == before
    for eid in ("e1", ""):
        assert master(engine, new, eid) == {"stays": "kept", "seen": ["kept"]}
        assert [dict(doc.values) for doc in docs(engine, eid)] == [
            {"eid": eid, "seen": "kept", "stays": "kept"}
        ]
        assert [set(doc.terms) for doc in docs(engine, eid)] == [{"seen"}]
    start(engine, new)
    make_snapshots(engine, new)
    assert len(docs(engine, "e1")) == 1  # it shows the same, so there is no new row
    assert engine.letters() == []


@pytest.mark.parametrize("kind", GONE)
@pytest.mark.parametrize("later", GONE)
def test_a_name_may_come_again_with_another_meaning_and_finds_nothing_old(
    engine: Engine, kind: str, later: str
) -> None:
    old, new = a_schema(**STAYS, x=GONE[kind][0]), a_schema(**STAYS, x=GONE[later][0])
    lived(engine, old, *GONE[kind][1])
    engine.send(task("e1", *GONE[kind][1]))  # not processed before the change
    update(engine, a_schema(**STAYS))
    for _ in range(2):
        start(engine, new)
        assert master(engine, new, "e1") == {"stays": "kept", "seen": ["kept"]}
    assert [stored.letter.eid for stored in outdated(engine)] == ["e1"]
    engine.send(task("e1", *GONE[later][1]))
    start(engine, new)
    make_snapshots(engine, new)
    assert "x" in master(engine, new, "e1")
    assert ("x" in docs(engine, "e1")[-1].values) == (later != "timeseries")
    assert len(engine.letters()) == 1


@pytest.mark.parametrize("change", [None, {"id_data_type": "int"}])
def test_of_a_removed_entity_type_nothing_stays(engine: Engine, change: dict[str, Any] | None) -> None:
    link = a_type("a", {**STAYS, "x": plain_attr("link<b;mirror=back>")})
    old = ModelSpec({"a": link, "b": a_type("b", {"p": plain_attr("string")})})
    rest = {} if change is None else {"b": a_type("b", {"p": plain_attr("string")}, **change)}
    new = ModelSpec({"a": a_type("a", STAYS), **rest})
    engine.send(task("gone", plain("p", "gone"), etype="b", ttl_tokens={"gone": 1 << 60}))
    lived(engine, old, plain("x", {"eid": "gone"}))
    number = engine.store.names.etype_id("b")
    with engine.worker(visiting, model=old) as driven:
        driven.finish()
        engine.clock.advance(300 - engine.clock.now_us() // SECOND % 300)
        driven.finish()
    assert {"update_progress", "update_cycle"} <= tables_of_type(engine, number)
    update(engine, new)
    assert tables_of_type(engine, number) == set()
    assert tables_with(engine, "gone") == set()
    assert {row["name"] for row in engine.tables()["etype"]} == {"a"}
    assert master(engine, new, "e1") == {"stays": "kept", "seen": ["kept"]}
    if change is not None:
        engine.send(task(7, plain("p", "new"), etype="b"))
        start(engine, new)
        assert master(engine, new, "7", "b") == {"p": "new"}
        assert engine.store.names.etype_id("b") != number


def test_links_lose_their_meaning_when_the_ids_of_their_targets_change(engine: Engine) -> None:
    def model(id_type: str) -> ModelSpec:
        other = a_type("b", {}, id_data_type=id_type)
        return ModelSpec({"a": a_type("a", {**STAYS, "x": plain_attr("link<b>")}), "b": other})

    engine.send(task("e1", plain("x", {"eid": "gone"}), *KEPT))
    start(engine, model("string"))
    with pytest.raises(ModelRefused, match=r"a\.x: links to b, whose ids were string, now int"):
        track(engine, model("int"))
    update(engine, model("int"))
    assert tables_with(engine, "gone") == set()
    start(engine, model("int"))


def test_a_category_loses_the_removed_words_and_keeps_the_others(engine: Engine) -> None:
    def model(words: str) -> ModelSpec:
        kind = f"category<string;{words}>"
        return a_schema(x=plain_attr(kind), y=seen_attr(kind), z=seen_attr(kind, multi_value=True))

    old, new = model("good,gone"), model("good,new")
    for eid, words in (("e1", ["good"]), ("e2", ["gone"]), ("e3", ["good", "gone"])):
        points = [point for word in words for point in (plain("x", word), seen("y", word), seen("z", word))]
        engine.send(task(eid, *points))
    start(engine, old)
    make_snapshots(engine, old)
    engine.send(task("e1", plain("x", "gone"), seen("y", "good", 1)))  # not processed before the change
    with pytest.raises(ModelRefused, match=r"a\.y: no longer gone. Lost: 2 data-points of 2 entities"):
        track(engine, new)
    update(engine, new)
    assert tables_with(engine, "gone") == {"outdated"}
    assert master(engine, new, "e1") == {"x": "good", "y": ["good"], "z": ["good"]}
    assert master(engine, new, "e2") == {}
    assert master(engine, new, "e3") == {"y": ["good"], "z": ["good"]}
    assert dict(docs(engine, "e1")[0].values) == {"eid": "e1", "x": "good", "y": "good", "z": ["good"]}
    assert dict(docs(engine, "e2")[0].values) == {"eid": "e2"}
    start(engine, new)
    assert master(engine, new, "e1") == {"x": "good", "y": ["good", "good"], "z": ["good"]}
    (letter,) = outdated(engine)
    assert [point.v for point in decode_tasks(letter.letter.task)[0].points] == ["gone"]
    make_snapshots(engine, new)
    assert docs(engine, "e3")[-1].values["z"] == ["good"]


def test_another_number_of_values_changes_what_snapshots_show_and_no_history(engine: Engine) -> None:
    old, new = a_schema(x=seen_attr("string")), a_schema(x=seen_attr("string", multi_value=True))
    engine.send(task("e1", seen("x", "v", 1), seen("x", "w", 2)))
    start(engine, old)
    make_snapshots(engine, old)
    engine.send(task("e1", seen("x", "u", 3)))
    update(engine, new)
    assert master(engine, new, "e1") == {"x": ["v", "w"]}
    assert dict(docs(engine, "e1")[0].values) == {"eid": "e1"}
    start(engine, new)
    make_snapshots(engine, new)
    assert master(engine, new, "e1") == {"x": ["u", "v", "w"]}
    assert sorted(docs(engine, "e1")[-1].values["x"]) == ["u", "v", "w"]
    assert engine.letters() == []


def test_what_waits_in_the_log_is_set_aside_where_it_is_outdated_and_counts_elsewhere(engine: Engine) -> None:
    old, new = a_schema(**STAYS, x=plain_attr("string")), a_schema(**STAYS, x=plain_attr("int"))
    start(engine, old)
    engine.send(task("e1", plain("x", "old"), plain("stays", "kept")), task("e2", plain("x", "old")))
    update(engine, new)
    engine.send(task("e2", plain("x", 7)))
    start(engine, new)
    assert master(engine, new, "e1") == {"stays": "kept"}
    assert master(engine, new, "e2") == {"x": 7}
    assert [(one.letter.eid, one.letter.kind) for one in outdated(engine)] == [("e1", "task"), ("e2", "task")]
    assert "a.x was changed by `dp3 schema-update`" in outdated(engine)[0].letter.reason
    answer = engine.order("retry", outdated(engine)[0], model=new)
    assert not answer["done"]
    assert "send it again" in answer["reason"]
    assert master(engine, new, "e1") == {"stays": "kept"}


def test_an_older_state_sets_the_same_aside_when_it_reads_the_log_again(engine: Engine) -> None:
    old, new = a_schema(**STAYS, x=plain_attr("string")), a_schema(**STAYS, x=plain_attr("int"))
    start(engine, old)
    engine.send(task("e1", seen("seen", "u"), plain("x", "old"), seen("seen", "v"), seen("seen", "w")))
    update(engine, new)
    engine.remember_state()
    for _ in range(3):
        start(engine, new)
        assert master(engine, new, "e1") == {"seen": ["u", "v", "w"]}
        engine.fall_back()


def test_tasks_in_the_outbox_are_as_old_as_those_in_the_log(engine: Engine) -> None:
    old, new = a_schema(**STAYS, x=plain_attr("string")), a_schema(**STAYS, x=plain_attr("int"))

    def hooks(registrar: CallbackRegistrar) -> None:
        registrar.register_on_new_attr_hook(
            lambda eid, dp: [derived(eid, "x", "old", model=old), derived(eid, "seen2", "new", model=more)],
            "a",
            "stays",
        )

    more = a_schema(**STAYS, x=plain_attr("string"), seen2=plain_attr("string"))
    engine.send(task("e1", plain("stays", "kept")))
    track(engine, more)
    with engine.worker(hooks, model=more) as driven:
        driven.step()  # and the outbox is not drained
    assert engine.tables()["outbox"]
    newer = a_schema(**STAYS, x=plain_attr("int"), seen2=plain_attr("string"))
    update(engine, newer)
    assert engine.log.head(Lane.DERIVED).offset == 1
    start(engine, newer)
    assert master(engine, newer, "e1") == {"stays": "kept", "seen2": "new"}
    assert engine.tables()["outbox"] == []
    assert [one.letter.eid for one in engine.letters()] == ["e1"]
    assert new.entities.keys() == newer.entities.keys()


def test_dead_letters_lose_what_trying_them_again_would_bring_back(engine: Engine) -> None:
    old, new = a_schema(**STAYS, x=plain_attr("string")), a_schema(**STAYS)

    def failing(registrar: CallbackRegistrar) -> None:
        def hook(eid: str, dp: Any) -> None:
            raise ValueError("no")

        registrar.register_on_new_attr_hook(hook, "a", "x")

    engine.send(task("e1", plain("x", "gone"), plain("stays", "kept")), task("e2", plain("x", "gone")))
    start(engine, old, failing)
    assert len(engine.letters()) == 2
    update(engine, new)
    (letter,) = engine.letters()
    assert [point.attr for point in decode_tasks(letter.letter.task)[0].points] == ["stays"]
    assert engine.store.dead_letters.count() == 1
    assert tables_with(engine, "gone") == set()


def test_rows_of_deleted_entities_go_as_well(engine: Engine) -> None:
    old, new = a_schema(**STAYS, x=seen_attr("string")), a_schema(**STAYS)
    engine.send(task("e1", seen("x", "gone"), *KEPT))
    start(engine, old)
    engine.send(task("e1", delete=True))
    with engine.worker(model=old) as driven:
        driven.step()
    assert engine.tables()["garbage"]
    update(engine, new)
    assert tables_with(engine, "gone") == set()


def test_nothing_is_removed_while_a_worker_lives(engine: Engine) -> None:
    old, new = a_schema(**STAYS, x=plain_attr("string")), a_schema(**STAYS)
    start(engine, old)
    with engine.worker(model=old), pytest.raises(LeaseRefused, match="stop all workers first"):
        begin(engine, new)
    assert begin(engine, new)


def test_nobody_starts_until_the_removal_is_finished(engine: Engine) -> None:
    old, new = a_schema(**STAYS, x=plain_attr("string")), a_schema(**STAYS)
    start(engine, old)
    begin(engine, new)
    for model in (old, new):
        with pytest.raises(ModelRefused, match="finish it with\n  dp3 schema-update CONFIG"):
            track(engine, model)
    finish(engine)
    track(engine, new)


def test_a_confirmed_change_counts_only_for_the_model_that_was_looked_at(engine: Engine) -> None:
    old, new = a_schema(**STAYS, x=plain_attr("string")), a_schema(**STAYS)
    start(engine, old)
    seen_before = engine.store.models.tracked()[0]
    track(engine, a_schema(**STAYS, x=plain_attr("string"), y=plain_attr("int")))
    assert not engine.store.models.track("{}", seen_before)
    assert begin(engine, new)
    assert not engine.store.models.track("{}", engine.store.models.tracked()[0])


def test_removal_goes_on_from_any_place_where_it_was_interrupted(engine: Engine) -> None:
    old, new = a_schema(**STAYS, x=seen_attr("string"), y=plain_attr("link<b>")), a_schema(**STAYS)
    eids = tuple(f"e{number}" for number in range(250))
    lived(engine, old, seen("x", "gone"), plain("y", {"eid": "gone"}), eids=eids)
    begin(engine, new)
    stages: list[str] = []

    def killed_after_each_piece(stage: str, rows: int) -> None:
        stages.append(stage)
        raise KeyboardInterrupt

    pieces = 0
    while engine.store.models.removal() is not None:
        pieces += 1
        try:
            finish(engine, killed_after_each_piece)
        except KeyboardInterrupt:
            engine.reopen()
    assert pieces > 15
    assert {"values", "snapshots", "links", "index", "ends of links"} <= set(stages)
    assert tables_with(engine, "gone") == set()
    for eid in eids:
        assert master(engine, new, eid) == {"stays": "kept", "seen": ["kept"]}
    start(engine, new)


def test_one_transaction_removes_a_bounded_number_of_rows_of_one_entity(engine: Engine) -> None:
    old, new = a_schema(**STAYS, x=seen_attr("string")), a_schema(**STAYS)
    for first in range(0, 5_000, 500):
        engine.send(task("e1", *(seen("x", f"v{second}", second) for second in range(first, first + 500))))
    start(engine, old)
    begin(engine, new)
    done = [0]
    finish(engine, lambda stage, rows: done.append(rows))
    assert max(after - before for before, after in pairwise(done)) <= 2_000, "of each table half of it"
    assert engine.tables()["fresh"] == []
