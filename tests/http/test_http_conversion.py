"""The fast path takes nothing that the slow path would not, and makes the same of it."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.http.answers import Refusal
from dp3.http.conversion import Converter
from dp3.http.pieces import PIECE_BYTES
from dp3.http.remarks import Remarks
from dp3.http.validation import Validator
from dp3.http.writing import BYTES_AT_ONCE, ENTRY_POINTS, Groups, entries_of, tasks_of
from dp3.model.errors import Reject
from dp3.model.wire import decode_tasks
from kit.node import NESTED_MODEL, NOW_US, dp, obs

MIB = 1 << 20
CONVERTER, VALIDATOR = Converter(NESTED_MODEL, MIB), Validator(NESTED_MODEL, MIB)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["", "1", "x", "up", "1.2.3.4", "aa:bb:cc:dd:ee:ff", "2020-01-01", "{}", "[1]", "yes"]),
    st.text(max_size=3),
)
series = st.lists(st.one_of(st.integers(0, 9), scalars), max_size=3)
times_text = st.sampled_from(
    [
        "2020-01-01T12:00:00Z",
        "2020-01-01T12:00:00",
        "2020-01-01T12:05:00+00:00",
        "2020-01-01 12:10:00.5+02:00",
        "2020-01-01T12:00:00.1234567Z",
        "2020-01-01T12:00:00.9999999",
        "2020-01-01T12:00:00.123456789+01:00",
        "2020-01-01",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-10:00",
        "1577880000",
        "32503680000",
        "",
        "noon",
    ]
)
times = st.one_of(
    st.none(),
    times_text,
    times_text,
    st.integers(),
    st.floats(),
    st.sampled_from([0, 0.0, 1577880000.25, 1577880000250, 32503680000, 1e11, 1e12, True]),
)
values = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.dictionaries(st.sampled_from(["x", "y", "eid", "data"]), scalars, max_size=3),
    st.fixed_dictionaries({"x": series, "y": series}),
    st.fixed_dictionaries({"x": series, "time": st.lists(times_text, max_size=3)}),
)
sent_points = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["a", "a", "a", "b", "m", "x"]),
        "id": st.one_of(scalars, st.just("e1")),
        "attr": st.sampled_from(sorted({attr for _, attr in NESTED_MODEL.attributes} | {"nope"})),
        "v": values,
    },
    optional={
        "t1": times,
        "t2": times,
        "c": st.one_of(st.floats(0, 1), st.sampled_from([0, 1, 2, -1, "0.5", None, True])),
        "src": st.one_of(st.none(), st.text(max_size=3), st.integers()),
        "extra": scalars,
    },
)


def united(groups: Iterable[Groups]) -> Groups:
    """All that comes, by entity."""
    every: dict[tuple[str, int | str], list[Any]] = {}
    for some in groups:
        for entity, points in some.items():
            every.setdefault(entity, []).extend(points)
    return every


def validate(body: bytes) -> Groups:
    return united(VALIDATOR.validate(body, Remarks("client", NOW_US)))


def fast(body: bytes) -> Groups | None:
    try:
        return united(CONVERTER.convert(body, Remarks("client", NOW_US)))
    except Reject:
        return None


def slow(body: bytes) -> Groups | list[Any]:
    try:
        return validate(body)
    except Refusal as refusal:
        return refusal.body["detail"]  # type: ignore[no-any-return]


ALL_KINDS = [
    dp("p", 1),
    dp("s", "é", src="x"),
    dp("f", 1),
    dp("ip", "1.2.3.4"),
    dp("mac", "AA:BB:CC:DD:EE:FF"),
    dp("when", "2020-01-01T00:00:00Z"),
    dp("free", {"a": [None]}),
    dp("arr", ["x", "y"]),
    dp("macs", ["aa:bb:cc:dd:ee:ff"]),
    dp("set", [3, 1]),
    dp("d", {"x": 1}),
    dp("cat", "up"),
    dp("js", {"a": 1}),
    dp("flag", True),
    obs("o", 1, t2="2020-01-01T13:00:00Z", c=0.9),
    obs("om", "k", t1=1577880000),
    obs("l", {"eid": 7}, t1="2020-01-01T12:00:00"),
    obs("t", {"x": [1, 2], "y": [1.0, 2.0]}, t2="2020-01-01T12:10:00Z"),
    obs("t", {"x": [1], "y": [2]}),
    obs("ti", {"x": [1], "time": ["2020-01-01T12:00:00Z"]}),
    obs("ld", {"eid": 7, "data": {"x": 1}}),
    dp("lds", [{"eid": 7, "data": {"x": 1}}, {"eid": 8, "data": {"x": 2}}]),
    dp("ls", [{"eid": 7, "data": {"x": 1}}]),
    dp("ll", {"eid": 7, "data": [{"eid": 8, "data": {"x": 2}}]}),
    dp("p", 1, eid=7, etype="b"),
    dp("p", 1, eid="aa:bb:cc:dd:ee:ff", etype="m"),
]


nearly_right = st.builds(
    lambda point, changes: point | changes,
    st.sampled_from(ALL_KINDS),
    st.fixed_dictionaries(
        {},
        optional={
            "id": scalars,
            "v": values,
            "t1": times,
            "t2": times,
            "c": st.floats(0, 1) | scalars,
            "src": st.text(max_size=3),
        },
    ),
)


@settings(max_examples=1200, deadline=None)
@given(sent_points | nearly_right)
def test_what_the_fast_path_takes_the_slow_path_takes_equally(point: dict[str, Any]) -> None:
    body = json.dumps([point]).encode()
    taken, validated = fast(body), slow(body)
    if taken is not None:
        assert repr(taken) == repr(validated)
    if isinstance(validated, dict):
        entries_of(tasks_of(validated), 8)


def with_keys(value: Any, more: dict[str, Any], choose: Callable[[], bool]) -> Any:
    """The value with more keys in some of its objects, at any depth."""
    if isinstance(value, list):
        return [with_keys(v, more, choose) for v in value]
    if not isinstance(value, dict):
        return value
    inner = {key: with_keys(v, more, choose) for key, v in value.items()}
    return inner | more if choose() else inner


@st.composite
def points_with_keys(draw: st.DrawFn) -> dict[str, Any]:
    """Data-points of all kinds, with or without more keys in their values."""
    point = draw(st.sampled_from(ALL_KINDS))
    more = draw(st.dictionaries(st.sampled_from(["z", "X", "é"]), scalars, max_size=2))
    return point | {"v": with_keys(point["v"], more, lambda: draw(st.booleans()))}


remarkable = st.builds(
    lambda point, changes: point | changes,
    points_with_keys(),
    st.fixed_dictionaries(
        {},
        optional={
            "t1": st.sampled_from([None, "2020-01-02T12:00:00Z", "2020-01-02T12:00:00.000001Z"]),
            "t2": st.sampled_from([None, "2020-01-02T12:00:00.000001Z", "2100-01-01T00:00:00Z"]),
            "c": st.sampled_from([1, 0.5, 1.0, 0]),
            "src": st.sampled_from([None, "", "x"]),
            "confidence": scalars,
            "V": values,
        },
    ),
)


@settings(max_examples=1200, deadline=None)
@given(st.lists(remarkable, min_size=1, max_size=4), st.booleans())
def test_both_paths_remark_the_same(points: list[dict[str, Any]], refuses: bool) -> None:
    body = json.dumps(points).encode()
    fast_remarks = Remarks("client", NOW_US, refuses=refuses)
    slow_remarks = Remarks("client", NOW_US, refuses=refuses)
    try:
        taken = united(CONVERTER.convert(body, fast_remarks))
    except Reject:
        return
    assert repr(taken) == repr(united(VALIDATOR.validate(body, slow_remarks)))
    assert dict(fast_remarks) == dict(slow_remarks)


REMARKABLE = [
    dp("p", 1, confidence=1),
    dp("p", 1, t1="2020-01-01T12:00:00Z"),
    dp("p", 1, c=0.5),
    dp("p", 1, é=1),
    dp("d", {"x": 1, "z": 1}),
    dp("lds", [{"eid": 7, "data": {"x": 1, "z": 1}}] * 2),
    obs("t", {"x": [1], "y": [1], "z": [1]}),
]


@pytest.mark.parametrize("point", REMARKABLE)
def test_remarkable_data_points_take_the_fast_path_unless_they_are_refused(point: dict[str, Any]) -> None:
    body = json.dumps([point] * 2).encode()
    remarks = Remarks("client", NOW_US)
    assert united(CONVERTER.convert(body, remarks))["a", "e1"]
    assert list(dict(remarks).values()) == [2]
    with pytest.raises(Reject):
        united(CONVERTER.convert(body, Remarks("client", NOW_US, refuses=True)))


@pytest.mark.parametrize("point", ALL_KINDS, ids=lambda point: f"{point['type']}.{point['attr']}")
def test_usual_data_points_take_the_fast_path(point: dict[str, Any]) -> None:
    body = json.dumps([point]).encode()
    taken = fast(body)
    assert taken is not None
    assert repr(taken) == repr(slow(body))


def test_the_last_of_repeated_keys_counts_on_both_paths() -> None:
    body = b'[{"type":"a","id":"e","attr":"p","v":1,"v":2,"v":3}]'
    taken = fast(body)
    assert taken == slow(body)
    assert taken is not None
    assert taken["a", "e"][0].v == 3


def test_digits_below_a_microsecond_are_cut() -> None:
    body = json.dumps([obs("o", 1, t1="2020-01-01T12:00:00.0000019Z")]).encode()
    assert fast(body) is None
    assert validate(body)["a", "e1"][0].t1 == NOW_US + 1


LARGE = [ALL_KINDS[i % len(ALL_KINDS)] for i in range(10 * PIECE_BYTES // 100)]


@pytest.mark.parametrize("indent", [None, 1])
def test_large_bodies_are_converted_in_pieces_with_the_same_result(indent: int | None) -> None:
    body = json.dumps(LARGE, indent=indent).encode()
    assert fast(body) == fast(bytearray(body)) == validate(body) == united(map(validate, each_alone(LARGE)))


def each_alone(points: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps([point]).encode() for point in points]


@pytest.mark.parametrize("first", [{"eid": 7, "type": ""}, [{"type": "a"}, {"type": "a"}], '},{"type":"a"'])
def test_what_looks_like_the_end_of_a_data_point_inside_a_value_is_none(first: Any) -> None:
    points = [{"type": "a", "id": "e", "attr": "free", "v": [first] * 1_000} for _ in range(20)]
    body = json.dumps(points, separators=(",", ":")).encode()
    taken = fast(body)
    assert taken in (None, validate(body))
    assert [point.v for point in validate(body)["a", "e"]] == [[first] * 1_000] * 20


def test_what_comes_from_a_large_body_is_handed_on_a_part_at_a_time() -> None:
    body = json.dumps([dp("p", i, f"e{i}") for i in range(3 * BYTES_AT_ONCE // 50)]).encode()
    for convert in (CONVERTER.convert, VALIDATOR.validate):
        groups = list(convert(body, Remarks("client", NOW_US)))
        assert len(groups) > 2
        assert [eid for some in groups for _, eid in some] == [
            f"e{i}" for i in range(3 * BYTES_AT_ONCE // 50)
        ]


def test_data_points_are_grouped_by_entity_in_order_of_first_appearance() -> None:
    sent = [dp("p", 1, "x"), dp("p", 2, "y"), dp("s", "z", "x"), dp("p", 3, "1", "b"), dp("p", 4, 1, "b")]
    groups = validate(json.dumps(sent).encode())
    assert [(entity, [point.v for point in points]) for entity, points in groups.items()] == [
        (("a", "x"), [1, "z"]),
        (("a", "y"), [2]),
        (("b", 1), [3, 4]),
    ]


def test_tasks_are_numbered_through_the_entry_whatever_their_partition() -> None:
    groups = validate(json.dumps([dp("p", i, f"e{i % 5}") for i in range(20)]).encode())
    (slices,) = entries_of(tasks_of(groups), 8)
    tasks = [task for some in slices.values() for task in decode_tasks(some)]
    assert sorted((task.first, task.eid) for task in tasks) == [(4 * i, f"e{i}") for i in range(5)]


def test_a_large_request_becomes_entries_of_bounded_size_and_a_large_task_is_split() -> None:
    points = [dp("p", i, "big") for i in range(2 * ENTRY_POINTS + 1)] + [dp("p", 1, "small")]
    groups = validate(json.dumps(points).encode())
    sizes, values = [], []
    for slices in entries_of(tasks_of(groups), 8):
        tasks = [task for some in slices.values() for task in decode_tasks(some)]
        sizes.append(sum(len(task.points) for task in tasks))
        values += [point.v for task in tasks if task.eid == "big" for point in task.points]
        assert sorted(task.first for task in tasks)[0] == 0
    assert sizes == [ENTRY_POINTS, ENTRY_POINTS, 2]
    assert values == list(range(2 * ENTRY_POINTS + 1))
