"""Which changes of a model leave stored data without meaning: the comparison against facts, one by one."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dp3.model.schema import Loss, compare, decode_schema, encode_schema, schema_of
from dp3.model.spec import ModelSpec
from dp3.model.wire import encode_value
from kit.specs import an_entity, observed_attr, plain_attr, series_attr

TYPES = [
    "tag",
    "binary",
    "int",
    "int64",
    "string",
    "ipv4",
    "json",
    "array<int>",
    "array<int64>",
    "set<int>",
    "category<string;red,green>",
    "category<string;green,red>",
    "category<string;red>",
    "category<string;red,blue>",
    "category<int;1,2>",
    "category<int;1,02>",
    "category<int64;1,2,3>",
    "dict<k:int,l?:string>",
    "dict<k:int,l:string>",
    "dict<k?:int64,l?:string>",
    "dict<k:int>",
    "link<a>",
    "link<b>",
    "link<b;mirror=shown>",
    "link<b,int>",
    "link<b,int64>",
    "link<b,category<string;x,y>>",
    "link<b,category<string;x>>",
    "array<link<b>>",
    "array<link<b;mirror=shown>>",
    "set<link<b>>",
]
attributes = st.one_of(
    st.builds(plain_attr, st.sampled_from(TYPES)),
    st.builds(observed_attr, st.sampled_from(TYPES), multi_value=st.booleans()),
    st.builds(
        series_attr,
        st.sampled_from(["regular", "irregular", "irregular_intervals"]),
        series=st.sampled_from([{"x": {"data_type": "int"}}, {"x": {"data_type": "float"}}]),
    ),
)


def _mirrors(attribs: dict[str, Any]) -> int:
    return sum("mirror" in spec.get("data_type", "") for spec in attribs.values())


attribs = st.dictionaries(st.sampled_from(["x", "y", "z"]), attributes).filter(lambda a: _mirrors(a) < 2)
id_types = st.sampled_from(["string", "int", "mac"])


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    """Types `a` and `b`, and perhaps `c`."""
    made = {
        "a": {"entity": an_entity("a", id_data_type=draw(id_types)), "attribs": draw(attribs)},
        "b": {"entity": an_entity("b", id_data_type=draw(id_types)), "attribs": {}},
    }
    if draw(st.booleans()):
        made["c"] = {
            "entity": an_entity("c"),
            "attribs": {"x": draw(attributes.filter(lambda a: "b;" not in str(a)))},
        }
    return made


many = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# -- the naive definition: a model is a set of facts that stored data relies on --------------------------

Fact = tuple[str, ...]


def type_facts(text: str, ids: dict[str, str]) -> set[Fact]:
    """What must hold for stored values to be readable: each fact is one promise of the type."""
    if text.startswith(("array<", "set<")):
        kind, inner = text[:-1].split("<", 1)
        return {(kind, *fact) for fact in type_facts(inner, ids)}
    if text.startswith("link<"):
        inner = text[5:-1].split(";mirror")[0]
        etype, _, data = inner.partition(",")
        carried = type_facts(data, ids) if data else {("nothing",)}
        return {("link", etype), ("ids", ids[etype])} | {("data", *fact) for fact in carried}
    if text.startswith("category<"):
        base, words = text[9:-1].split(";")
        values = {str(int(word)) if base.startswith("int") else word for word in words.split(",")}
        return {("category", *fact) for fact in type_facts(base, ids)} | {("word", value) for value in values}
    if text.startswith("dict<"):
        facts: set[Fact] = set()
        for key in text[5:-1].split(","):
            name, base = key.replace("?", "").split(":")
            facts |= {("key", name, *fact) for fact in type_facts(base, ids)}
            facts |= {("null", name)} if "?" in key else set()
        return facts | {("keys", *sorted(key.split("?")[0].split(":")[0] for key in text[5:-1].split(",")))}
    wide = {"int": {"int"}, "int64": {"int", "int64"}, "tag": {"bool"}, "binary": {"bool"}}
    return {("primitive", name) for name in wide.get(text, {text})}


def attr_facts(spec: dict[str, Any], ids: dict[str, str]) -> set[Fact]:
    facts: set[Fact] = {("type", spec["type"])}
    if spec["type"] == "timeseries":
        step = str(spec["timeseries_params"].get("time_step"))
        return facts | {("rows", spec["timeseries_type"], step, str(sorted(spec["series"].items(), key=str)))}
    return facts | {("value", *fact) for fact in type_facts(spec["data_type"], ids)}


def facts_of(model: dict[str, Any]) -> dict[str, set[Fact]]:
    """Place → facts. Mirrors are places of their own."""
    ids = {etype: content["entity"].get("id_data_type", "string") for etype, content in model.items()}
    facts: dict[str, set[Fact]] = {}
    for etype, content in model.items():
        facts[etype] = {("ids", ids[etype])}
        for attr, spec in content["attribs"].items():
            facts[f"{etype}.{attr}"] = attr_facts(spec, ids)
            if "mirror=" in spec.get("data_type", ""):
                facts["b.shown"] = {("mirror", etype, attr), ("ids", ids[etype])}
    return facts


def several_of(model: dict[str, Any], place: str) -> bool:
    etype, attr = place.split(".")
    return bool(model[etype]["attribs"].get(attr, {}).get("multi_value", False))


def naively_destroyed(old: dict[str, Any], new: dict[str, Any]) -> dict[str, set[Loss]]:
    """Place → what is lost there: facts that data relies on do not hold any more."""
    before, after = facts_of(old), facts_of(new)
    lost: dict[str, set[Loss]] = {}
    whole = {etype for etype in old if etype not in new or before[etype] != after[etype]}
    for place, facts in before.items():
        etype, _, attr = place.partition(".")
        if etype in whole:
            lost[etype] = {Loss.ALL}
            continue
        if missing := facts - after.get(place, set()):
            words = all(fact[:2] == ("value", "word") for fact in missing)
            lost[place] = {Loss.MIRROR if place == "b.shown" else Loss.VALUES if words else Loss.ALL}
        rest_stays = attr and lost.get(place, set()) <= {Loss.VALUES}
        if rest_stays and several_of(old, place) != several_of(new, place):
            lost.setdefault(place, set()).add(Loss.SNAPSHOTS)
    return lost


@many
@given(models(), models())
def test_destroyed_is_every_place_with_a_fact_that_does_not_hold_any_more(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    found: dict[str, set[Loss]] = {}
    for change in compare(schema_of(ModelSpec(old)), schema_of(ModelSpec(new))).destroyed:
        found.setdefault(change.place, set()).add(change.loss)
    assert found == naively_destroyed(old, new)


@many
@given(models(), models())
def test_places_that_are_new_are_named_unless_their_type_is_destroyed(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    difference = compare(schema_of(ModelSpec(old)), schema_of(ModelSpec(new)))
    destroyed = {change.place for change in difference.destroyed}
    fresh = {place for place in facts_of(new).keys() - facts_of(old).keys() if place.split(".")[0] in old}
    types = new.keys() - old.keys()
    assert {p for p in fresh if p.split(".")[0] not in destroyed} | types <= set(difference.added)
    assert destroyed.isdisjoint(difference.added)


@many
@given(models())
def test_a_schema_can_be_kept_as_text_and_differs_from_itself_in_nothing(model: dict[str, Any]) -> None:
    schema = schema_of(ModelSpec(model))
    assert decode_schema(encode_schema(schema)) == schema
    assert compare(schema, schema) == compare({}, {})


def changes(old: Any, new: Any) -> list[tuple[str, str, Loss]]:
    before, after = (
        schema_of(
            ModelSpec(
                {
                    "a": {"entity": an_entity("a"), "attribs": {} if spec is None else {"x": spec}},
                    "b": {"entity": an_entity("b"), "attribs": {}},
                }
            )
        )
        for spec in (old, new)
    )
    return [(change.place, change.what, change.loss) for change in compare(before, after).destroyed]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (plain_attr("int"), None, ("removed (was plain int)", Loss.ALL)),
        (plain_attr("int"), plain_attr("string"), ("was plain int, now plain string", Loss.ALL)),
        (plain_attr("int64"), plain_attr("int"), ("was plain int64, now plain int", Loss.ALL)),
        (
            plain_attr("array<int>"),
            plain_attr("set<int>"),
            ("was plain array<int>, now plain set<int>", Loss.ALL),
        ),
        (plain_attr("int"), observed_attr("int"), ("was plain int, now observations int", Loss.ALL)),
        (plain_attr("link<a>"), plain_attr("link<b>"), ("was plain link<a>, now plain link<b>", Loss.ALL)),
        (
            plain_attr("category<string;red,green,blue>"),
            plain_attr("category<string;red>"),
            ("no longer green, blue", Loss.VALUES),
        ),
        (
            observed_attr("int"),
            observed_attr("int", multi_value=True),
            ("had one value at a time, now several values at a time", Loss.SNAPSHOTS),
        ),
        (
            series_attr("regular"),
            series_attr("irregular"),
            ("was regular timeseries, now irregular timeseries", Loss.ALL),
        ),
        (
            series_attr("regular"),
            series_attr("regular", timeseries_params={"time_step": "1m"}),
            ("its series or their time step changed", Loss.ALL),
        ),
    ],
)
def test_what_is_destroyed_is_said(old: Any, new: Any, expected: tuple[str, Loss]) -> None:
    assert changes(old, new) == [("a.x", *expected)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (plain_attr("int"), plain_attr("int64", editable=True, description="more")),
        (plain_attr("category<string;red>"), plain_attr("category<string;green,red>")),
        (plain_attr("link<b>"), plain_attr("link<b;mirror=shown>")),
        (
            observed_attr("int"),
            observed_attr("int", history_params={"post_validity": "1h", "max_age": "1d", "aggregate": False}),
        ),
        (
            series_attr("regular"),
            series_attr("regular", timeseries_params={"time_step": "300s", "max_age": "1d"}),
        ),
    ],
)
def test_harmless_changes_destroy_nothing(old: Any, new: Any) -> None:
    assert changes(old, new) == []


def test_the_removed_words_are_known_as_they_are_stored() -> None:
    old, new = (
        schema_of(
            ModelSpec(
                {"a": {"entity": an_entity("a"), "attribs": {"x": plain_attr(f"category<int;{words}>")}}}
            )
        )
        for words in ("1,2,3", "02")
    )
    (change,) = compare(old, new).destroyed
    assert change.values == {encode_value(1), encode_value(3)}
