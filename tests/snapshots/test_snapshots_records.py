"""What hooks get of a snapshot, and what is stored of what they leave."""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.engine.jobs.snapshots.doc import Doc, decode_doc, encode_doc, expand
from dp3.engine.jobs.snapshots.records import (
    MAX_PARTS,
    ClosedRecord,
    RecordPlan,
    close_record,
    open_record,
    plan_records,
)
from dp3.history.confidence import Terms
from dp3.model.mac import MACAddress
from kit.specs import a_model, plain_attr
from kit.values import brief

MIB = 1 << 20

NOW = 5
HALF = Terms(500_000_000, 1, 0, 10, 0, 0)
FULL = Terms(1_000_000_000, 1, 0, 10, 0, 0)

PLAN = plan_records(
    a_model(
        {
            "p": plain_attr("int"),
            "f": plain_attr("float"),
            "ip": plain_attr("ipv4"),
            "set": plain_attr("set<string>"),
            "j": plain_attr("json"),
            "d": plain_attr("dict<at:time,o?:mac>"),
            "o": brief("int"),
            "m": brief("string", multi_value=True),
            "l": brief("link<ip,int>"),
            "ls": plain_attr("array<link<b>>"),
            "lm": brief("link<b>", multi_value=True),
        }
    ),
    "a",
)

DOC = Doc(
    {
        "eid": "e",
        "p": 1,
        "f": 2.0,
        "ip": "1.2.3.4",
        "set": ["a", "b"],
        "j": {"eid": 1, "record": {"eid": 2}, "n": [1]},
        "d": {"at": "2020-01-01T00:00:00Z", "o": None},
        "o": 7,
        "m": ["x", "y"],
        "l": {"eid": "1.2.3.4", "data": 3},
        "ls": [{"eid": 1}, {"eid": 2}],
        "lm": [{"eid": 1}, {"eid": 2}],
    },
    {"o": HALF, "m": [FULL, HALF], "l": FULL, "lm": [HALF, FULL]},
)

Hook = Callable[[dict[str, Any]], object]


def after(*hooks: Hook, doc: Doc = DOC, plan: RecordPlan = PLAN) -> ClosedRecord:
    """The snapshot after these hooks."""
    record = open_record(doc, plan, NOW)
    for hook in hooks:
        hook(record.values)
    return close_record(record, plan, MIB)


def setting(**values: Any) -> Hook:
    return lambda record: record.update(values)


def deleting(*names: str) -> Hook:
    return lambda record: [record.pop(name) for name in names]


def with_values(**values: Any) -> dict[str, Any]:
    return {**DOC.values, **values}


def assert_stored(closed: ClosedRecord, **changed: Any) -> None:
    """Nothing but these values is different, and nothing was refused."""
    assert closed.problems == {}
    assert closed.doc == DOC._replace(values=with_values(**changed))
    assert decode_doc(encode_doc(closed.doc)) == closed.doc


# -- what hooks get ----------------------------------------------------------------------------------


def test_hooks_get_typed_values_with_their_confidences() -> None:
    assert open_record(DOC, PLAN, NOW).values == {
        "eid": "e",
        "p": 1,
        "f": 2.0,
        "ip": IPv4Address("1.2.3.4"),
        "set": ["a", "b"],
        "j": {"eid": 1, "record": {"eid": 2}, "n": [1]},
        "d": {"at": datetime(2020, 1, 1, tzinfo=UTC), "o": None},
        "o": 7,
        "o#c": 0.5,
        "m": ["x", "y"],
        "m#c": [1.0, 0.5],
        "l": {"eid": IPv4Address("1.2.3.4"), "data": 3},
        "l#c": 1.0,
        "ls": [{"eid": 1}, {"eid": 2}],
        "lm": [{"eid": 1}, {"eid": 2}],
        "lm#c": [0.5, 1.0],
    }


def test_ids_are_typed() -> None:
    plan = plan_records(a_model({}, id_data_type="mac"), "a")
    record = open_record(Doc({"eid": "00:01:02:03:04:05"}, {}), plan, NOW)
    assert record.values == {"eid": MACAddress("00:01:02:03:04:05")}
    assert close_record(record, plan, MIB) == (record.doc, {})


def test_a_value_that_does_not_fit_the_model_any_more_is_given_as_it_is() -> None:
    values = {"eid": "e", "ip": 5, "d": 5, "l": {"eid": 1, "data": 1}, "lm": "text", "removed": {"k": [1]}}
    record = open_record(Doc(values, {}), PLAN, NOW)
    assert record.values == values
    assert close_record(record, PLAN, MIB) == (Doc(values, {}), {})


# -- what nobody changed -----------------------------------------------------------------------------


def test_what_hooks_only_read_stays() -> None:
    assert_stored(after())


def test_hooks_cannot_reach_the_document_through_their_record() -> None:
    before = deepcopy(DOC)

    def spoil(record: dict[str, Any]) -> None:
        record["j"]["n"].append(2)
        record["ls"][0]["eid"] = 9
        record["m"].clear()
        record["m#c"].clear()
        record["d"]["o"] = "x"

    after(spoil)
    assert before == DOC


def test_setting_an_equal_value_changes_nothing() -> None:
    same = {"set": ("a", "b"), "ip": IPv4Address("1.2.3.4"), "o#c": 0.5, "m#c": [1.0, 0.5]}
    assert_stored(after(setting(**same)))


# -- records of linked entities ----------------------------------------------------------------------


def attaching(record: dict[str, Any]) -> None:
    """What the engine does for linked entities: records that refer to each other."""
    other = {"eid": 1, "back": {"eid": "e", "record": record}}
    record["l"]["record"] = other
    for link in (*record["ls"], *record["lm"]):
        link["record"] = other


def test_records_of_linked_entities_are_not_stored() -> None:
    assert_stored(after(attaching))


def test_records_are_stripped_wherever_a_hook_left_a_link() -> None:
    def copy_links(record: dict[str, Any]) -> None:
        record["best"] = record["l"]
        record["deep"] = {"in": [[record["ls"][0]], ({"eid": 2, "record": {"eid": 2}},)]}

    stored = {"best": {"eid": "1.2.3.4", "data": 3}, "deep": {"in": [[{"eid": 1}], [{"eid": 2}]]}}
    assert_stored(after(attaching, copy_links), **stored)


def test_a_copied_record_is_stored_without_those_of_its_links() -> None:
    closed = after(attaching, lambda record: record.update(peer=record["l"]["record"]))
    assert_stored(closed, peer={"eid": 1, "back": {"eid": "e"}})


def test_a_record_replaced_by_anything_is_stripped_from_a_relation() -> None:
    closed = after(attaching, lambda record: record["l"].update(record=None))
    assert_stored(closed)


def test_data_that_looks_like_a_record_stays_where_it_was() -> None:
    closed = after(lambda record: record["j"]["n"].append(2))
    assert closed.doc.values["j"]["n"] == [1, 2]
    assert after().doc.values["j"] == DOC.values["j"]


@pytest.mark.parametrize("value", [None, "gone", 5, [], [None, {"no": "eid"}], {"eid": "5.6.7.8"}])
def test_links_can_be_replaced_by_anything(value: Any) -> None:
    assert_stored(after(attaching, setting(l=value, ls=value, lm=value)), l=value, ls=value, lm=value)


# -- confidences -------------------------------------------------------------------------------------


def test_a_changed_confidence_is_stored_literally() -> None:
    closed = after(setting(**{"o#c": 0.25, "m#c": [1.0, 0.75]}))
    assert closed.problems == {}
    assert closed.doc.values == DOC.values
    assert closed.doc.literals == {"o#c": 0.25, "m#c": [1.0, 0.75]}
    assert closed.doc.terms == {"l": FULL, "lm": [HALF, FULL]}
    assert expand(closed.doc, 1_000)["o#c"] == 0.25


def test_a_confidence_changed_in_place_is_stored_literally() -> None:
    closed = after(lambda record: record["m#c"].append(0.1))
    assert closed.doc.literals == {"m#c": [1.0, 0.5, 0.1]}


def test_a_deleted_confidence_is_gone() -> None:
    closed = after(deleting("o#c", "m#c"))
    assert closed.doc == Doc(DOC.values, {"l": FULL, "lm": [HALF, FULL]})
    assert not {"o#c", "m#c"} & expand(closed.doc, NOW).keys()


def test_a_changed_value_keeps_the_terms_of_its_confidence() -> None:
    assert_stored(after(setting(o=8, m=["z"])), o=8, m=["z"])


def test_a_deleted_value_leaves_its_confidence_as_it_was() -> None:
    closed = after(deleting("o"))
    assert "o" not in closed.doc.values
    assert "o" not in closed.doc.terms
    assert closed.doc.literals == {"o#c": 0.5}


def test_confidences_of_other_values_are_literals() -> None:
    closed = after(setting(**{"score": 5, "score#c": 0.5, "p#c": 1}))
    assert closed.doc.literals == {"score#c": 0.5, "p#c": 1}
    assert closed.doc.values == with_values(score=5)


# -- new and changed values --------------------------------------------------------------------------


def test_values_that_are_no_attributes_are_kept_in_wire_form() -> None:
    extra = {
        "at": datetime(2020, 1, 1, tzinfo=UTC),
        "seen": {IPv4Address("2.0.0.1"), IPv4Address("1.0.0.1")},
        "who": {"mac": MACAddress("00:01:02:03:04:05"), "n": None},
    }
    stored = {
        "at": "2020-01-01T00:00:00Z",
        "seen": ["1.0.0.1", "2.0.0.1"],
        "who": {"mac": "00:01:02:03:04:05", "n": None},
    }
    assert_stored(after(setting(**extra)), **stored)


def test_values_are_in_the_order_of_the_model_then_of_their_names() -> None:
    def shuffle(record: dict[str, Any]) -> None:
        record |= {"zz": 1, "aa": 2, "p": record.pop("p")}

    assert list(after(shuffle).doc.values) == [*DOC.values, "aa", "zz"]


def test_an_attribute_that_a_hook_adds_is_in_its_place_in_the_model() -> None:
    without = Doc({name: value for name, value in DOC.values.items() if name not in ("p", "ip")}, DOC.terms)
    assert list(after(setting(ip="1.2.3.4", p=1), doc=without).doc.values) == [*DOC.values]


def test_changed_values_of_attributes_become_canonical() -> None:
    closed = after(setting(f=3, set=["b", "a", "b"], d={"at": "2020-01-01 01:00:00+01:00", "o": None}))
    assert_stored(closed, f=3.0)


def test_values_of_another_type_than_the_attribute_are_kept() -> None:
    assert_stored(after(setting(p="many", ip=None, set=5, m="z")), p="many", ip=None, set=5, m="z")


def test_numbers_that_are_equal_but_of_another_type_are_changes() -> None:
    assert type(after(setting(p=True)).doc.values["p"]) is bool
    assert type(after(setting(p=1.0)).doc.values["p"]) is float


def test_deleted_values_are_gone() -> None:
    closed = after(deleting("p", "m", "m#c"))
    assert closed.doc.values.keys() == DOC.values.keys() - {"p", "m"}
    assert closed.problems == {}


# -- what cannot be stored ---------------------------------------------------------------------------


class Hostile(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("not today")

    def __repr__(self) -> str:
        raise RuntimeError("nor this")


def a_cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append({"again": cycle})
    return cycle


def a_deep_list() -> list[Any]:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    return deep


def a_bomb() -> list[Any]:
    """Few lists that look like 2⁶⁰ elements."""
    bomb: list[Any] = [1]
    for _ in range(60):
        bomb = [bomb, bomb]
    return bomb


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "object has no JSON form"),
        (float("nan"), "nan is not allowed"),
        (float("inf"), "inf is not allowed"),
        (2**64, "64 bits"),
        ("\ud800", "surrogate"),
        ({1: 2}, "keys must be text"),
        (Hostile(a=1), "not today"),
        (a_cycle(), "contains itself"),
        (a_deep_list(), "levels deep"),
        (a_bomb(), f"more than {MAX_PARTS} parts"),
        (b"bytes", "bytes has no JSON form"),
        ("x" * MIB, f"more than {MIB} (max_value)"),
    ],
    ids=[
        *("object", "nan", "inf", "large", "surrogate", "key", "hostile", "cycle", "deep", "bomb", "bytes"),
        "long",
    ],
)
@pytest.mark.parametrize("name", ["p", "l", "extra"])
def test_what_cannot_be_stored_is_left_out_and_hurts_nothing_else(name: str, value: Any, reason: str) -> None:
    closed = after(attaching, setting(**{name: value}, other="kept"))
    assert closed.problems.keys() == {name}
    assert reason in closed.problems[name]
    assert name not in closed.doc.values
    assert closed.doc.values == {k: v for k, v in with_values(other="kept").items() if k != name}


def test_a_record_that_holds_itself_is_left_out() -> None:
    closed = after(lambda record: record.update(me=record))
    assert closed.problems.keys() == {"me"}
    assert closed.doc == DOC


@pytest.mark.parametrize("name", [5, None, "", "\ud800", "_time_created", ("a", "b")])
def test_values_with_impossible_names_are_left_out(name: Any) -> None:
    def hook(record: dict[Any, Any]) -> None:
        record[name] = 1

    closed = after(hook)
    assert len(closed.problems) == 1
    assert closed.doc == DOC


@pytest.mark.parametrize("hook", [setting(eid="other"), setting(eid=object()), deleting("eid")])
def test_hooks_cannot_change_the_id(hook: Hook) -> None:
    closed = after(hook)
    assert closed.problems.keys() == {"eid"}
    assert closed.doc == DOC


# -- laws --------------------------------------------------------------------------------------------

few = settings(max_examples=100, deadline=None)
names = st.sampled_from(["eid", "p", "ip", "j", "o", "o#c", "m", "m#c", "l", "lm#c", "x", "x#c"])
finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-3, 3) | finite | st.text(max_size=3)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["eid", "record", "data", "k"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@few
@given(st.dictionaries(names, anything, max_size=5), st.sets(names))
def test_whatever_hooks_do_the_result_can_be_stored_and_shown(
    changes: dict[str, Any], deletions: set[str]
) -> None:
    closed = after(attaching, setting(**changes), lambda record: [record.pop(n, None) for n in deletions])
    assert closed.problems.keys() <= {"eid"}
    assert decode_doc(encode_doc(closed.doc)) == closed.doc
    expected = (expand(DOC, NOW).keys() | changes.keys()) - deletions | {"eid"}
    assert expand(closed.doc, NOW).keys() == expected


@few
@given(st.dictionaries(names, anything, max_size=5), st.sets(names), st.sets(st.sampled_from([*DOC.values])))
def test_the_way_in_which_a_hook_changes_values_does_not_matter(
    changes: dict[str, Any], deletions: set[str], missing: set[str]
) -> None:
    values = {name: value for name, value in DOC.values.items() if name not in missing - {"eid"}}
    doc = Doc(values, {name: terms for name, terms in DOC.terms.items() if name in values})

    def change(record: dict[str, Any]) -> None:
        for name in deletions:
            record.pop(name, None)
        record.update(changes)

    def rebuild(record: dict[str, Any]) -> None:
        change(record)
        result = dict(reversed(record.items()))
        record.clear()
        record.update(result)

    directly, anew = after(change, doc=doc), after(rebuild, doc=doc)
    assert directly == anew
    assert list(directly.doc.values) == list(anew.doc.values)
    assert encode_doc(directly.doc) == encode_doc(anew.doc)


@few
@given(st.dictionaries(names, anything, max_size=5))
def test_opening_and_settling_again_changes_nothing(changes: dict[str, Any]) -> None:
    once = after(setting(**changes)).doc
    assert encode_doc(after(doc=once).doc) == encode_doc(once)
