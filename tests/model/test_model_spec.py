# ruff: noqa: E501 - messages stand on one line so that they can be searched
"""The model: what configuration makes of it, and every mistake it names."""

import copy
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest
from model_builders import LINKABLE
from pydantic import ValidationError

from dp3.model.attrspec import (
    AttrSpec,
    AttrSpecObservations,
    AttrSpecPlain,
    AttrSpecReadOnly,
    AttrSpecTimeseries,
    AttrType,
    ObservationsHistoryParams,
    timeseries_types,
)
from dp3.model.datatype import DataType
from dp3.model.entityspec import (
    EntitySpec,
    ImmortalLifetime,
    TimeToLiveLifetime,
    WeakLifetime,
    entity_context,
)
from dp3.model.errors import ModelSpecError, Reject
from dp3.model.mac import MACAddress
from dp3.model.spec import ModelSpec, entity_type_context
from kit.specs import a_model, an_entity, observed_attr, plain_attr, series_attr

CONFIG = {
    "host": {
        "entity": an_entity("host", id_data_type="ipv4"),
        "attribs": {
            "p": plain_attr("int"),
            "users": observed_attr("array<link<user;mirror=hosts>>", multi_value=True),
            "t": series_attr(),
        },
    },
    "user": {"entity": an_entity("user", lifetime={"type": "weak"}), "attribs": None},
}


def mistakes(config: Any) -> list[str]:
    with pytest.raises(ModelSpecError) as caught:
        ModelSpec(config)
    return [str(error) for error in caught.value.errors]


def attribute_mistakes(**attribs: Any) -> list[str]:
    prefix = "a.attribs."
    return [m.removeprefix(prefix) for m in mistakes({"a": {"entity": an_entity(), "attribs": attribs}})]


def entity_mistakes(**keys: Any) -> list[str]:
    prefix = "a.entity."
    return [m.removeprefix(prefix) for m in mistakes({"a": {"entity": an_entity() | keys, "attribs": {}}})]


def test_model_offers_all_its_parts() -> None:
    model = ModelSpec(CONFIG)
    assert list(model.entities) == list(model.keys()) == list(model) == ["host", "user"]
    assert model.entity("host") is model.config["host"].entity is model["host"]["entity"]
    assert model.attribs("host") is model.config["host"].attribs is model["host"]["attribs"]
    assert model.attr("host", "p") is model.attributes["host", "p"] is model.entity_attributes["host"]["p"]
    assert list(model.relations) == [("host", "users")]
    assert "host" in model and "x" not in model
    assert [etype for etype, _ in model.items()] == ["host", "user"]
    assert repr(model) == "ModelSpec(host,user)"


def test_unknown_names_are_key_errors() -> None:
    model = ModelSpec(CONFIG)
    for look in (lambda: model.entity("x"), lambda: model.attribs("x"), lambda: model.attr("host", "x")):
        with pytest.raises(KeyError):
            look()
    with pytest.raises(KeyError):
        model["host"]["x"]


def test_configuration_is_not_changed_and_can_be_used_again() -> None:
    config = copy.deepcopy(CONFIG)
    first, second = ModelSpec(config), ModelSpec(config)
    assert config == CONFIG
    assert first.attr("host", "p") == second.attr("host", "p")


def test_configuration_of_a_model_makes_the_same_model() -> None:
    model = ModelSpec(CONFIG)
    assert list(ModelSpec(model.config).attributes) == list(model.attributes)


def test_item_assignment_changes_the_configuration_view() -> None:
    model = ModelSpec(CONFIG)
    model["other"] = model["host"]
    assert model["other"] is model.config["host"]


def test_eids_are_parsed_to_their_type() -> None:
    assert ModelSpec(CONFIG).parse_eid("host", "1.2.3.4") == IPv4Address("1.2.3.4")
    with pytest.raises(ValueError):
        ModelSpec(CONFIG).parse_eid("host", "x")


def test_mirrored_relation_makes_a_read_only_attribute() -> None:
    mirror = ModelSpec(CONFIG).attr("user", "hosts")
    assert isinstance(mirror, AttrSpecReadOnly)
    assert (mirror.id, mirror.name, mirror.type, str(mirror.data_type)) == (
        "hosts",
        "hosts",
        "plain",
        "set<link<host>>",
    )
    assert mirror.description == "Read-only mirror attribute of host.users"


def test_link_types_can_be_built_in_the_context_of_a_model() -> None:
    with entity_type_context(ModelSpec(CONFIG)):
        assert DataType("link<host>").link_to == "host"


def test_all_mistakes_are_found_at_once() -> None:
    found = mistakes(
        {
            "a": {"entity": {"id": "a"}, "attribs": {"x": plain_attr("strng"), "l": plain_attr("link<b>")}},
            "b": {"entity": an_entity("c"), "attribs": {"y": 5, "l": plain_attr("link<a>")}},
            "c": {"entity": an_entity("c")},
        }
    )
    assert found == [
        "a.entity.name: Missing mandatory key 'name'",
        "a.entity.snapshot: Missing mandatory key 'snapshot'",
        "b.entity.id: Entity id 'b' does not match entity id 'c' in spec.",
        "c: Invalid entity specification for 'c': expected the keys 'entity' and 'attribs', got 'entity'",
        "a.attribs.x.data_type: Data type 'strng' is not supported: unknown type 'strng'; did you mean 'string'?",
        "b.attribs.y: Attribute specification must be a mapping, got 5",
    ]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"snapshto": 1}, "snapshto: Unknown key 'snapshto', expected description, id, id_data_type, lifetime, name, snapshot; did you mean 'snapshot'?"),
        ({"id_data_type": "strin"}, "id_data_type: Data type 'strin' is not supported for ids: use string, int, ipv4, ipv6, mac; did you mean 'string'?"),
        ({"snapshot": "maybe"}, "snapshot: Input should be a valid boolean, unable to interpret input, got 'maybe'"),
        ({"lifetime": {"type": "tll"}}, "lifetime: Unknown type 'tll', expected one of 'immortal', 'ttl', 'weak'; did you mean 'ttl'?"),
        ({"lifetime": {}}, "lifetime: Missing mandatory key 'type', got {}"),
        ({"lifetime": {"type": "ttl"}}, "lifetime.on_create: Missing mandatory key 'on_create'"),
        ({"lifetime": {"type": "ttl", "on_create": "5w"}}, "lifetime.on_create: Expected a duration such as '30s', '5m', '2h' or '7d', got '5w'"),
        ({"lifetime": {"type": "weak", "x": 1}}, "lifetime.x: Unknown key 'x', expected type"),
        ({"lifetime": {"type": "weak"}}, "lifetime: Entity a has weak lifetime but is not referenced by any other entities."),
    ],
)  # fmt: skip
def test_wrong_entity_key_is_explained(keys: Any, expected: str) -> None:
    assert entity_mistakes(**keys) == [expected]


@pytest.mark.parametrize("etype", ["1a", "a b", "a#", "", "ä"])
def test_entity_id_must_be_an_identifier(etype: str) -> None:
    (found,) = mistakes({etype: {"entity": an_entity(etype), "attribs": {}}})
    assert f"'{etype}' is not an identifier: letters, digits, '_' and '-' only" in found


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"name": "x"}, "x.type: Missing mandatory attribute `type`, expected one of plain, observations, timeseries"),
        ({"type": "PLAIN"}, "x.type: Invalid `type` of attribute 'PLAIN', expected one of plain, observations, timeseries"),
        ({"type": "plan"}, "x.type: Invalid `type` of attribute 'plan', expected one of plain, observations, timeseries; did you mean 'plain'?"),
        ({"type": []}, "x.type: Invalid `type` of attribute '[]', expected one of plain, observations, timeseries"),
        ({"type": "plain", "name": "x"}, "x.data_type: Missing mandatory key 'data_type'"),
        ({"type": "plain", "data_type": "int"}, "x.name: Missing mandatory key 'name'"),
        (plain_attr(5), "x.data_type: Input should be the text of a data type, got 5"),
        (plain_attr("link<nope>"), "x.data_type: Entity type 'nope' is not defined"),
        (plain_attr(multi_value=True), "x.multi_value: Unknown key 'multi_value', expected data_type, description, editable, id, name, ttl, type"),
        (observed_attr(multi_valeu=True), "x.multi_valeu: Unknown key 'multi_valeu', expected confidence, data_type, description, editable, history_force_graph, history_params, id, multi_value, name, ttl, type; did you mean 'multi_value'?"),
        (observed_attr(history_params={"max_age": "x"}), "x.history_params.max_age: Expected a duration such as '30s', '5m', '2h' or '7d', got 'x'"),
        (observed_attr(history_params={"max_items": 0}), "x.history_params.max_items: Input should be greater than 0, got 0"),
        (observed_attr(history_params={"pre_validity": -1}), "x.history_params.pre_validity: Duration must not be negative, got -1 s"),
        (plain_attr(ttl="10"), "x.ttl: Invalid time duration string: expected digits and one of s, m, h, d, got '10'"),
        (series_attr("regulr"), "x.timeseries_type: Input should be 'regular', 'irregular' or 'irregular_intervals', got 'regulr'; did you mean 'regular'?"),
        (series_attr(timeseries_params={}), "x.timeseries_params: A regular timeseries needs `time_step` (a duration such as 5m), got none"),
        (series_attr(timeseries_params={"time_step": 0}), "x.timeseries_params.time_step: Duration must be longer than 0 s, got 0 s"),
        (series_attr(series={"x": {"data_type": "string"}}), "x.series.x.data_type: Data type 'string' is not supported for series: use int, int64, float, time"),
        (series_attr(series={"x y": {"data_type": "int"}}), "x.series.x y: 'x y' is not an identifier: letters, digits, '_' and '-' only, no digit or '-' first"),
        (series_attr(series={"_x": {"data_type": "int"}}), "x.series: Series id '_x' must not start with an underscore"),
        (series_attr("irregular", series={"time": {"data_type": "int"}}), "x.series: Series 'time' must be of data type time, got int"),
    ],
)  # fmt: skip
def test_wrong_attribute_is_explained(spec: Any, expected: str) -> None:
    assert attribute_mistakes(x=spec) == [expected]


def test_wrong_attribute_id_is_explained() -> None:
    assert attribute_mistakes(**{"1x": plain_attr()})[0].startswith("1x.id: '1x' is not an identifier")
    found = mistakes({"a": {"entity": an_entity(), "attribs": {True: plain_attr()}}})
    assert found == ["a.attribs.True: Attribute id must be text, got True: put it in quotes"]


def test_attributes_must_be_a_mapping() -> None:
    found = mistakes({"a": {"entity": an_entity(), "attribs": [1]}})
    assert found == ["a.attribs: Attributes must be a mapping, got [1]"]


def test_error_paths_lead_to_the_key() -> None:
    with pytest.raises(ModelSpecError) as caught:
        a_model({"x": plain_attr("strng")})
    assert caught.value.errors[0].path == ("a", "attribs", "x", "data_type")


@pytest.mark.parametrize(
    "attribs",
    [
        {"x": plain_attr("link<a;mirror=y>"), "y": plain_attr()},
        {"x": plain_attr("link<a;mirror=y>"), "z": plain_attr("link<a;mirror=y>")},
    ],
)
def test_mirror_name_must_be_free(attribs: Any) -> None:
    (found,) = attribute_mistakes(**attribs)
    assert found.endswith(
        "'a.y' is a mirrored attribute, but already exists in configuration. "
        "Mirrored attributes are defined implicitly, remove the definition."
    )


@pytest.mark.parametrize("name", ["eid", "_time_created"])
def test_an_attribute_must_not_hide_what_the_platform_puts_into_snapshots(name: str) -> None:
    (found,) = attribute_mistakes(**{name: plain_attr()})
    assert found.startswith(f"{name}: '{name}' is a key of every snapshot: ")
    (mirrored,) = attribute_mistakes(x=plain_attr(f"link<a;mirror={name}>"))
    assert mirrored.startswith(f"x.data_type: '{name}' is a key of every snapshot: ")


@pytest.mark.parametrize("name", ["#ttl", "#c", "load#c", "_id.x"])
def test_keys_of_documents_that_no_name_can_be_are_no_names_of_attributes(name: str) -> None:
    (found,) = attribute_mistakes(**{name: plain_attr()})
    assert found.startswith(f"{name}.id: '{name}' is not an identifier")


@pytest.mark.parametrize(("name", "says"), [("_id", "`last._id`"), ("last", "`last.last`")])
def test_names_that_filters_read_otherwise_are_noted(name: str, says: str) -> None:
    model = a_model({name: plain_attr()})
    (note,) = map(str, model.notes)
    assert note.startswith(f"a.attribs.{name}: ") and says in note
    (mirrored,) = map(str, a_model({"x": plain_attr(f"link<b;mirror={name}>")}).notes)
    assert mirrored.startswith("a.attribs.x.data_type: ") and says in mirrored


def test_weak_entity_is_not_blamed_for_an_invalid_relation() -> None:
    weak = {"entity": an_entity("w", lifetime={"type": "weak"}), "attribs": {}}
    found = mistakes({"w": weak, "a": {"entity": an_entity(), "attribs": {"l": plain_attr("link<w")}}})
    assert len(found) == 1 and "Data type 'link<w' is not supported" in found[0]


def test_ignored_keys_become_notes() -> None:
    model = a_model({"x": observed_attr(history_params={"max_agee": "1d"})})
    assert [str(note) for note in model.notes] == [
        "a.attribs.x.history_params.max_agee: Unknown key 'max_agee'; did you mean 'max_age'?"
    ]


def test_lifetimes_are_objects() -> None:
    assert EntitySpec(**an_entity()).lifetime == ImmortalLifetime()
    assert EntitySpec(**an_entity(lifetime={"type": "weak"})).lifetime == WeakLifetime()
    ttl = EntitySpec(**an_entity(lifetime={"type": "ttl", "on_create": "1d"})).lifetime
    assert ttl == TimeToLiveLifetime(on_create=timedelta(days=1), mirror_data=True)


def test_observations_have_defaults() -> None:
    spec = a_model({"o": observed_attr()}).attr("a", "o")
    assert isinstance(spec, AttrSpecObservations)
    assert (spec.t, spec.type, spec.ttl, spec.confidence) == (
        AttrType.OBSERVATIONS,
        "observations",
        timedelta(0),
        False,
    )
    assert spec.history_params == ObservationsHistoryParams()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("expire_time", "inf", None),
        ("expire_time", None, None),
        ("expire_time", "1d", timedelta(days=1)),
        ("pre_validity", None, timedelta(0)),
        ("post_validity", "5m", timedelta(minutes=5)),
        ("max_age", None, None),
    ],
)
def test_history_parameters_may_be_null_or_durations(key: str, value: Any, expected: Any) -> None:
    assert getattr(ObservationsHistoryParams.model_validate({key: value}), key) == expected


def test_attribute_id_is_taken_from_its_key() -> None:
    assert a_model({"x": plain_attr(id="other")}).attr("a", "x").id == "x"


@pytest.mark.parametrize(
    ("data_type", "iterable", "relation", "mirror"),
    [
        ("int", False, False, None),
        ("array<int>", True, False, None),
        ("link<b>", False, True, None),
        ("set<link<b;mirror=m>>", True, True, "m"),
    ],
)
def test_attribute_knows_its_elements_and_relation(
    data_type: str, iterable: bool, relation: bool, mirror: Any
) -> None:
    spec = a_model({"x": plain_attr(data_type)}).attr("a", "x")
    assert isinstance(spec, AttrSpecPlain)
    assert (spec.is_iterable, spec.is_relation, spec.is_mirrored, spec.mirror_as) == (
        iterable,
        relation,
        mirror is not None,
        mirror,
    )
    if relation:
        assert spec.relation_to == "b"
    else:
        with pytest.raises(ValueError):
            _ = spec.relation_to


def test_attribute_can_be_built_alone_in_a_context() -> None:
    with entity_context(LINKABLE["s"], LINKABLE):
        assert isinstance(AttrSpec("x", series_attr("irregular")), AttrSpecTimeseries)
        with pytest.raises(ValidationError):
            AttrSpec("x", plain_attr("nope"))
        with pytest.raises(ValueError, match="must be a mapping, got 5"):
            AttrSpec("x", 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Missing entity context"):
        AttrSpec("x", plain_attr())


def test_attribute_types_are_flags_with_names() -> None:
    assert [kind.value for kind in AttrType] == [1, 2, 4]
    assert AttrType.from_str("timeseries") is AttrType.TIMESERIES
    assert AttrType.PLAIN in AttrType.PLAIN | AttrType.OBSERVATIONS


def test_timeseries_types_say_what_rows_are_sorted_by() -> None:
    assert [kind["sort_by"] for kind in timeseries_types.values()] == ["t1", "time", "time_first"]


@pytest.mark.parametrize(
    ("id_type", "given", "wire", "typed"),
    [
        ("string", "x", "x", "x"),
        ("int", 7, 7, 7),
        ("ipv4", "1.2.3.4", "1.2.3.4", IPv4Address("1.2.3.4")),
        ("mac", "AA-BB-CC-DD-EE-FF", "aa:bb:cc:dd:ee:ff", MACAddress("aa:bb:cc:dd:ee:ff")),
    ],
)
def test_eid_converts_between_its_forms(id_type: str, given: Any, wire: Any, typed: Any) -> None:
    entity = EntitySpec(**an_entity(id_data_type=id_type))
    assert entity.accept_eid(given) == entity.parse_eid_text(str(given)) == entity.eid_to_wire(typed) == wire
    assert entity.eid_from_wire(wire) == entity.eid_adapter.validate_python(given) == typed
    assert type(typed) is entity.eid_type


@pytest.mark.parametrize(
    ("id_type", "value"), [("string", 1), ("int", "7"), ("int", True), ("int", 2**63), ("mac", "x")]
)
def test_eid_that_needs_coercion_or_is_wrong_leaves_the_fast_path(id_type: str, value: Any) -> None:
    with pytest.raises(Reject):
        EntitySpec(**an_entity(id_data_type=id_type)).accept_eid(value)


def test_wrong_eid_text_is_explained() -> None:
    with pytest.raises(ValidationError) as caught:
        EntitySpec(**an_entity(id_data_type="int")).parse_eid_text("xx")
    message = "Input should be a valid integer, unable to parse string as an integer"
    assert caught.value.errors()[0]["msg"] == message


@pytest.mark.parametrize(
    ("id_type", "value"), [("int", None), ("int", "x"), ("int", 2**63), ("mac", 5), ("string", "\ud800")]
)
def test_eid_that_no_constructor_takes_is_a_value_error(id_type: str, value: Any) -> None:
    with pytest.raises(ValueError):
        EntitySpec(**an_entity(id_data_type=id_type)).validate_eid(value)
