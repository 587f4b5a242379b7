"""A task has the methods of a pydantic model that modules use."""

import copy
import json
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dp3.model.mac import MACAddress
from dp3.model.task import DataPointTask, task_context, task_from_wire, task_to_wire
from kit.specs import a_model, observed_attr, plain_attr, series_attr

pytestmark = pytest.mark.filterwarnings("error")

MAC, T1 = "aa:bb:cc:dd:ee:ff", datetime(2020, 1, 1, tzinfo=UTC)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)
addresses = st.ip_addresses(v=4).map(str)
macs = st.binary(min_size=6, max_size=6).map(lambda packed: str(MACAddress(packed)))
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)).map(str)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "tag": st.booleans(),
    "string": st.text(),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "ipv4": addresses,
    "ipv6": st.ip_addresses(v=6).map(str),
    "mac": macs,
    "time": moments,
    "special": json_values,
    "json": st.lists(json_values) | st.dictionaries(st.text(max_size=2), json_values),
    "array<mac>": st.lists(macs, max_size=3),
    "set<time>": st.lists(moments, max_size=3),
    "dict<x:ipv4, y?:time>": st.fixed_dictionaries({"x": addresses}, optional={"y": moments}),
    "category<int;1,2>": st.sampled_from([1, 2]),
    "category<string;up,down>": st.sampled_from(["up", "down"]),
    "link<b>": st.fixed_dictionaries({"eid": st.integers(0, 9)}),
    "link<ip,mac>": st.fixed_dictionaries({"eid": addresses, "data": macs}),
}
TYPE_OF = {f"v{i}": data_type for i, data_type in enumerate(VALUES)}
ATTRIBS = {
    **{name: plain_attr(data_type) for name, data_type in TYPE_OF.items()},
    **{f"o_{name}": observed_attr(data_type) for name, data_type in TYPE_OF.items()},
    "irregular": series_attr("irregular"),
    "p": plain_attr("int"),
    "up": observed_attr("category<string;up,down>"),
}
IDS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(),
    "int": st.integers(-(2**63), 2**63 - 1),
    "ipv4": addresses,
    "mac": macs,
}
MODELS = {id_type: a_model(ATTRIBS, id_data_type=id_type) for id_type in IDS}
MODEL = MODELS["string"]
POINT = {"etype": "a", "eid": "e1", "attr": "p", "v": 1}


@st.composite
def points(draw: st.DrawFn, eid: Any) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(TYPE_OF)))
    point = {"etype": "a", "eid": eid, "attr": name, "v": draw(VALUES[TYPE_OF[name]])}
    if draw(st.booleans()):
        point |= {"attr": f"o_{name}", "t1": draw(moments), "c": draw(st.floats(0, 1))}
    if draw(st.booleans()):
        point["src"] = draw(st.text(max_size=3))
    return point


@st.composite
def tasks(draw: st.DrawFn) -> DataPointTask:
    id_type = draw(st.sampled_from(sorted(IDS)))
    eid = draw(IDS[id_type])
    return DataPointTask(
        model_spec=MODELS[id_type],
        etype="a",
        eid=eid,
        data_points=draw(st.lists(points(eid), max_size=3)),
        tags=draw(st.lists(json_values, max_size=2)),
        ttl_tokens=draw(st.none() | st.dictionaries(st.text(max_size=3), moments, min_size=1, max_size=2)),
        delete=True,
    )


def a_task(*points: Any, **keys: Any) -> DataPointTask:
    return DataPointTask(model_spec=MODEL, etype="a", eid="e1", data_points=[*points], **keys)


@given(tasks())
def test_a_task_survives_its_dump(task: DataPointTask) -> None:
    stored = task_from_wire(task_to_wire(task), task.model_spec)
    with task_context(task.model_spec):
        for one in (task, stored):
            for options in ({}, {"exclude_unset": True}, {"exclude_none": True}, {"exclude_defaults": True}):
                assert DataPointTask.model_validate_json(one.model_dump_json(**options)) == one
                assert DataPointTask.model_validate(one.model_dump(**options)) == one
            assert DataPointTask.model_validate(one.model_dump(mode="json")) == one
            assert DataPointTask.model_validate_json(one.as_message()) == one


def test_json_has_all_fields_in_their_order() -> None:
    point = {"etype": "a", "eid": "e1", "attr": "up", "v": "up", "t1": "2020-01-01T00:00:00+02:00"}
    task = a_task(POINT, point, ttl_tokens={"x": T1})
    assert task.model_dump_json() == (
        '{"etype":"a","eid":"e1","data_points":['
        '{"etype":"a","eid":"e1","attr":"p","src":null,"v":1,"c":null,"t1":null,"t2":null},'
        '{"etype":"a","eid":"e1","attr":"up","src":null,"v":"up","c":1.0,'
        '"t1":"2020-01-01T00:00:00+02:00","t2":"2020-01-01T00:00:00+02:00"}],'
        '"tags":[],"ttl_tokens":{"x":"2020-01-01T00:00:00Z"},"delete":false}'
    )


def test_without_what_is_not_set_json_is_that_of_a_message() -> None:
    http = {"src": "s", "c": 1.0}
    for task in (
        a_task(POINT),
        a_task(POINT | http),
        a_task(ttl_tokens={"a": "2030-01-01"}),
        a_task(delete=True),
    ):
        assert task.model_dump_json(exclude_unset=True) == task.as_message()


def test_a_dump_has_typed_values() -> None:
    model = MODELS["mac"]
    point = {"etype": "a", "eid": MAC, "attr": "v4", "v": "1.2.3.4"}
    task = DataPointTask(model_spec=model, etype="a", eid=MAC, data_points=[point])
    dumped = task.model_dump(exclude={"tags"}, exclude_none=True)
    assert dumped == {
        "etype": "a",
        "eid": MACAddress(MAC),
        "data_points": [{"etype": "a", "eid": MACAddress(MAC), "attr": "v4", "v": IPv4Address("1.2.3.4")}],
        "delete": False,
    }
    assert json.loads(task.model_dump_json())["eid"] == MAC


def test_fields_can_be_listed() -> None:
    assert list(DataPointTask.model_fields) == ["etype", "eid", "data_points", "tags", "ttl_tokens", "delete"]
    assert DataPointTask.model_fields["etype"].is_required()
    assert DataPointTask.model_fields["delete"].default is False


def test_a_copy_is_another_task_with_the_same_content() -> None:
    task = a_task(POINT, tags=[["x"]])
    flat, deep = task.model_copy(), task.model_copy(deep=True)
    assert flat == deep == copy.deepcopy(task) == task
    assert flat.data_points[0] is task.data_points[0]
    assert deep.model_spec is copy.deepcopy(task).model_spec is MODEL
    flat.delete = True
    deep.data_points[0].v, deep.tags[0][0] = 2, "y"
    assert (task.delete, task.data_points[0].v, task.tags) == (False, 1, [["x"]])


def test_a_copy_of_a_stored_task_shares_nothing_with_it_when_deep() -> None:
    wire = task_to_wire(a_task(POINT))
    stored = task_from_wire(wire, MODEL)
    copied = stored.model_copy(deep=True)
    copied.data_points[0].v = 2
    assert task_to_wire(copied).points[0].v == 2
    assert task_to_wire(stored) == wire


def test_a_copy_can_have_other_fields() -> None:
    task = a_task(POINT).model_copy(update={"delete": True, "data_points": []})
    assert task == a_task(delete=True)
    assert task_to_wire(task).points == []


def test_a_task_is_valid_as_it_is() -> None:
    task = a_task(POINT)
    assert DataPointTask.model_validate(task) is task


@pytest.mark.parametrize("sent", [{"etype": "a"}, {"etype": "x", "eid": 1}, 5, None, [], "a"])
def test_what_is_no_task_is_a_validation_error(sent: Any) -> None:
    with task_context(MODEL):
        with pytest.raises(ValidationError, match="DataPointTask"):
            DataPointTask.model_validate(sent)
        with pytest.raises(ValidationError, match="DataPointTask"):
            DataPointTask.model_validate_json(json.dumps(sent))


def test_text_that_is_no_json_is_a_validation_error() -> None:
    with task_context(MODEL), pytest.raises(ValidationError, match="Invalid JSON"):
        DataPointTask.model_validate_json("{")
