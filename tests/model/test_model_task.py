# ruff: noqa: E501 - messages stand on one line so that they can be searched
"""Tasks."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any

import pytest
from pydantic import ValidationError

from dp3.model.datapoint import DataPointObservationsBase, DataPointPlainBase
from dp3.model.task import (
    HASH,
    DataPointTask,
    parse_data_point_task,
    set_default_model,
    task_context,
    task_from_wire,
    task_to_wire,
)
from dp3.model.wire import WirePoint, WireTask, decode_tasks, encode_tasks
from kit.specs import a_model, observed_attr, plain_attr

ATTRIBS = {
    "p": plain_attr("int"),
    "o": observed_attr("int"),
    "l": plain_attr("link<b>"),
    "m": plain_attr("array<mac>"),
}
MODEL = a_model(ATTRIBS)
IP_MODEL = a_model(ATTRIBS, id_data_type="ipv4")
INT_MODEL = a_model(ATTRIBS, id_data_type="int")
POINT = {"etype": "a", "eid": "e1", "attr": "p", "v": 1}


def a_task(*points: Any, **keys: Any) -> DataPointTask:
    return DataPointTask(**{"model_spec": MODEL, "etype": "a", "eid": "e1", "data_points": [*points]} | keys)


def messages(*points: Any, **keys: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        a_task(*points, **keys)
    return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in caught.value.errors()]


@pytest.fixture
def no_default_model() -> Iterator[None]:
    set_default_model(None)
    yield
    set_default_model(None)


def test_dictionaries_become_objects_of_the_attributes_class() -> None:
    (dp,) = a_task(POINT).data_points
    assert isinstance(dp, MODEL.attr("a", "p").dp_model)
    assert dp.v == 1


def test_task_offers_its_fields_and_defaults() -> None:
    task = a_task(POINT)
    assert (task.etype, task.eid, task.tags, task.ttl_tokens, task.delete) == ("a", "e1", [], None, False)
    assert task.model_spec is MODEL


def test_unknown_keywords_are_ignored() -> None:
    assert a_task(POINT, colour="red") == a_task(POINT)


@pytest.mark.parametrize(
    ("model", "given", "typed"),
    [
        (MODEL, 5, "5"),
        (INT_MODEL, "7", 7),
        (INT_MODEL, 1.7, 1),
        (IP_MODEL, "1.2.3.4", IPv4Address("1.2.3.4")),
        (IP_MODEL, 16909060, IPv4Address("1.2.3.4")),
    ],
)
def test_eid_is_converted_by_the_constructor_of_its_type(model: Any, given: Any, typed: Any) -> None:
    task = DataPointTask(model_spec=model, etype="a", eid=given, delete=True)
    assert (task.eid, type(task.eid)) == (typed, type(typed))


@pytest.mark.parametrize("eid", ["x", None, 2**63, float("inf")])
def test_eid_that_cannot_be_converted_is_a_validation_error(eid: Any) -> None:
    with pytest.raises(ValidationError):
        DataPointTask(model_spec=INT_MODEL, etype="a", eid=eid, delete=True)


@pytest.mark.parametrize(
    ("points", "keys", "expected"),
    [
        ([], {"etype": "aa", "delete": True}, "etype: Value error, Invalid etype 'aa'; did you mean 'a'?"),
        ([POINT | {"attr": "pp"}], {}, "data_points.0: Value error, Attribute 'pp' not found in entity 'a'; did you mean 'p'?"),
        ([POINT | {"attr": []}], {}, "data_points.0: Value error, Attribute '[]' not found in entity 'a'"),
        ([POINT | {"etype": []}], {}, "data_points.0: Value error, Attribute 'p' not found in entity '[]'"),
        ([POINT | {"eid": "e2"}], {}, "data_points.0: Value error, Task's eid 'e1' doesn't match datapoint's eid 'e2'"),
        ([{"etype": "b", "eid": 1, "attr": "as", "v": 1}], {}, "data_points.0: Value error, Attribute 'as' not found in entity 'b'"),
        ([POINT | {"v": "x"}], {}, "data_points.0.v: Input should be a valid integer, unable to parse string as an integer"),
        ([{"etype": "a", "eid": "e1", "attr": "p"}], {}, "data_points.0.v: Field required"),
        ([{"v": 1}], {}, "data_points.0: Value error, Data-point has no 'etype' and no 'attr', got the keys ['v']"),
        ([5], {}, "data_points.0: Value error, Data-point must be an object or a dictionary, got 5"),
        ([], {}, ": Value error, DataPointTask must contain at least one datapoint, non-empty ttl_tokens, or be a delete task."),
        ([], {"ttl_tokens": {}}, ": Value error, DataPointTask must contain at least one datapoint, non-empty ttl_tokens, or be a delete task."),
        ([], {"delete": True, "tags": [object()]}, "tags.0: Value error, object has no JSON form"),
    ],
)  # fmt: skip
def test_wrong_task_is_explained(points: list[Any], keys: Any, expected: str) -> None:
    assert messages(*points, **keys) == [expected]


def test_data_point_of_another_entity_type_is_refused() -> None:
    model = a_model({**ATTRIBS, "l": plain_attr("link<b;mirror=as>")})
    dp = DataPointPlainBase(etype="b", eid=1, attr="as", v=[])
    with pytest.raises(ValidationError, match="Cannot instantiate a read-only attribute datapoint"):
        a_task(dp, model_spec=model)
    other = MODEL.attr("a", "p").dp_model(**POINT)
    other.etype = "b"
    assert messages(other)[0].startswith("data_points.0: Value error, Attribute 'p' not found in entity 'b'")


def test_all_mistakes_are_reported_at_once() -> None:
    assert len(messages(POINT | {"v": "x"}, POINT | {"attr": "q"}, 5)) == 3


def test_ready_made_objects_are_taken_as_they_are() -> None:
    dp = MODEL.attr("a", "p").dp_model(**POINT)
    assert a_task(dp).data_points[0] is dp


def test_objects_of_a_base_class_are_validated_into_the_attributes_class() -> None:
    base = DataPointObservationsBase(
        etype="a", eid="e1", attr="o", v="5", t1=datetime(2020, 1, 1, tzinfo=UTC)
    )
    (dp,) = a_task(base).data_points
    assert isinstance(dp, MODEL.attr("a", "o").dp_model)
    assert dp.v == 5


def test_objects_made_with_another_model_are_validated_again() -> None:
    link = POINT | {"attr": "l", "v": {"eid": 7}}
    dp = a_model(ATTRIBS).attr("a", "l").dp_model(**link)
    assert a_task(dp) == a_task(link)


def test_tokens_without_zone_are_utc() -> None:
    task = a_task(ttl_tokens={"x": datetime(2030, 1, 1)})
    assert task.ttl_tokens == {"x": datetime(2030, 1, 1, tzinfo=UTC)}


def test_model_comes_from_the_context(no_default_model: None) -> None:
    with task_context(MODEL):
        assert DataPointTask(etype="a", eid="e1", delete=True).model_spec is MODEL


def test_argument_wins_over_context_and_context_over_default(no_default_model: None) -> None:
    set_default_model(MODEL)
    assert DataPointTask(etype="a", eid=1, delete=True).model_spec is MODEL
    with task_context(IP_MODEL):
        assert DataPointTask(etype="a", eid=1, delete=True).model_spec is IP_MODEL
        assert DataPointTask(model_spec=INT_MODEL, etype="a", eid=1, delete=True).model_spec is INT_MODEL


def test_default_model_is_seen_in_threads_a_module_starts(no_default_model: None) -> None:
    set_default_model(MODEL)
    made: list[DataPointTask] = []
    thread = threading.Thread(target=lambda: made.append(DataPointTask(etype="a", eid="e1", delete=True)))
    thread.start()
    thread.join()
    assert made[0].model_spec is MODEL


def test_without_a_model_the_error_says_how_to_give_one(no_default_model: None) -> None:
    with pytest.raises(ValidationError, match="Missing `model_spec` in context: pass `model_spec=…`"):
        DataPointTask(etype="a", eid="e1", delete=True)


def test_context_can_permit_empty_tasks() -> None:
    with task_context(MODEL, allow_empty_data_point_task=True):
        assert DataPointTask(etype="a", eid="e1").data_points == []


def test_hash_is_the_end_of_the_md5() -> None:
    assert HASH("a:e1") == 56200
    task = a_task(POINT)
    assert (task.routing_key(), task.hashed_routing_key()) == ("a:e1", 56200)


def test_message_holds_what_was_set() -> None:
    http = {"src": "s", "c": 1.0, "t1": None, "t2": None}
    expected = (
        '{"etype":"a","eid":"e1","data_points":[{"etype":"a","eid":"e1","attr":"p","src":"s","v":1,"c":1.0}]}'
    )
    assert a_task(POINT | http).as_message() == expected
    assert "c" not in json.loads(a_task(POINT).as_message())["data_points"][0]


def test_message_keeps_offsets_of_times() -> None:
    point = POINT | {"attr": "o", "t1": "2020-01-01T00:00:00+02:00", "t2": "2020-01-01T05:00:00"}
    message = json.loads(a_task(point).as_message())["data_points"][0]
    assert (message["t1"], message["t2"]) == ("2020-01-01T00:00:00+02:00", "2020-01-01T05:00:00Z")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"ttl_tokens": {"a": "2030-01-01"}},
            '{"etype":"a","eid":"e1","ttl_tokens":{"a":"2030-01-01T00:00:00Z"}}',
        ),
        ({"delete": True}, '{"etype":"a","eid":"e1","delete":true}'),
        ({"delete": True, "tags": ["x"]}, '{"etype":"a","eid":"e1","tags":["x"],"delete":true}'),
    ],
)
def test_message_of_other_tasks(keys: Any, expected: str) -> None:
    assert a_task(**keys).as_message() == expected


TASKS = [
    a_task(POINT),
    a_task(
        POINT | {"attr": "o", "t1": 0, "c": 0.5}, POINT | {"attr": "m", "v": ["aa:bb:cc:dd:ee:ff"]}, tags=[1]
    ),
    a_task(POINT | {"attr": "l", "v": {"eid": 7}}, ttl_tokens={"a": "2030-01-01T00:00:00.5"}),
    a_task(delete=True),
    DataPointTask(model_spec=IP_MODEL, etype="a", eid="1.1.1.1", data_points=[POINT | {"eid": "1.1.1.1"}]),
]


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_task_survives_its_message_and_its_wire_form(task: DataPointTask) -> None:
    assert parse_data_point_task(task.as_message(), task.model_spec) == task
    (wire,) = decode_tasks(encode_tasks([task_to_wire(task, generation=3)]))
    assert wire.generation == 3
    assert task_from_wire(wire, task.model_spec) == task
    assert task_to_wire(task_from_wire(wire, task.model_spec), 3) == wire


def test_parsing_a_message_validates_it() -> None:
    for text in ("x", "[]", '{"etype":"a"}', '{"etype":"a","eid":"e1"}'):
        with pytest.raises(ValidationError):
            parse_data_point_task(text, MODEL)


def test_changes_made_to_a_read_task_are_written() -> None:
    task = task_from_wire(WireTask("a", "e1", [WirePoint("p", 1)]), MODEL)
    task.data_points[0].v = 2
    assert task_to_wire(task).points == [WirePoint("p", 2)]
    task.data_points = []
    assert task_to_wire(task).points == []


def test_read_task_leaves_out_points_of_unknown_attributes() -> None:
    task = task_from_wire(WireTask("a", "e1", [WirePoint("gone", 1), WirePoint("p", 1)]), MODEL)
    assert [dp.attr for dp in task.data_points] == ["p"]


def test_tasks_with_different_content_differ() -> None:
    assert a_task(POINT) != a_task(POINT | {"v": 2})
    assert a_task(POINT) != "task"
