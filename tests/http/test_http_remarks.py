"""Parts of a data-point that mean nothing, or are odd, are told: to the client, in the log, in the
metrics."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem
from typing import Any

import pytest

from dp3.http.answers import MAX_ERRORS
from dp3.http.remarks import MOST_REMARKS
from dp3.http.warnings import HEADER, MAX_HEADER, MOST_WARNINGS
from kit.node import NESTED_MODEL, NOW, Node, dp, obs

MakeNode = Callable[..., Node]
TOMORROW, LATER = "2020-01-02T12:00:00Z", "2020-01-02T12:00:00.000001Z"
KNOWN = "known are type, id, attr, v, t1, t2, c, src"


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner) -> Iterator[Node]:
    """One node for tests that do not mind what others have sent."""
    node = Node(tmp_path_factory.mktemp("shared"), runner, model=NESTED_MODEL)
    yield node
    node.close()


def padded(point: dict[str, Any]) -> list[dict[str, Any]]:
    """A large body with the data-point in the middle."""
    rest = [dp("s", "x" * 1_000, f"n{i}") for i in range(200)]
    return [*rest, point, *rest]


def as_text(point: dict[str, Any]) -> dict[str, Any]:
    """The same with numbers as text, for which another path decides."""
    return point | {"v": _with_text(point["v"])}


def _with_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_text(v) for key, v in value.items()}
    return [_with_text(v) for v in value] if isinstance(value, list) else str(value)


def link(eid: int, **data: Any) -> dict[str, Any]:
    return {"eid": eid, "data": data}


CASES: list[tuple[dict[str, Any], list[str]]] = [
    (dp("p", 1), []),
    (dp("p", 1, c=1, t1=None, t2=None, src=None), []),
    (obs("o", 1, t1=TOMORROW), []),
    (
        dp("p", 1, confidence=0.5),
        ["unknown key 'confidence' has no effect (1 data-point); did you mean 'c'?"],
    ),
    (dp("p", 1, source="x"), ["unknown key 'source' has no effect (1 data-point); did you mean 'src'?"]),
    (dp("p", 1, srcc="x"), ["unknown key 'srcc' has no effect (1 data-point); did you mean 'src'?"]),
    (dp("p", 1, T1=NOW), ["unknown key 'T1' has no effect (1 data-point); did you mean 't1'?"]),
    (dp("p", 1, colour="x"), [f"unknown key 'colour' has no effect (1 data-point); {KNOWN}"]),
    (
        dp("p", 1, t1=NOW),
        ["'t1' has no effect on plain attributes, which keep only the last value (1 data-point)"],
    ),
    (
        dp("p", 1, c=0.5),
        ["'c' has no effect on plain attributes, which keep only the last value (1 data-point)"],
    ),
    (
        obs("o", 1, t1=LATER),
        ["more than a day ahead of the clock (1 data-point); the furthest is 2020-01-02T12:00:00.000001Z"],
    ),
    (
        obs("o", 1, t2="2100-01-01T00:00:00Z"),
        ["more than a day ahead of the clock (1 data-point); the furthest is 2100-01-01T00:00:00Z"],
    ),
    (dp("free", {"x": 1, "colour": 2}), []),
    (dp("d", {"x": 1, "y": "2"}), []),
    (
        dp("d", {"x": 1, "colour": 2}),
        ["unknown key 'colour' in values of a.d has no effect (1 data-point); known are x, y"],
    ),
    (
        dp("d", {"x": 1, "X": 2, "c": 3}),
        [
            "unknown key 'X' in values of a.d has no effect (1 data-point); did you mean 'x'?",
            "unknown key 'c' in values of a.d has no effect (1 data-point); known are x, y",
        ],
    ),
    (
        obs("ld", link(7, x=1, time=2)),
        ["unknown key 'time' in values of a.ld.data has no effect (1 data-point); known are x, y"],
    ),
    (
        dp("lds", [link(7, x=1), link(8, x=1, time=2), link(9, x=1, time=3)]),
        ["unknown key 'time' in values of a.lds.data has no effect (1 data-point); known are x"],
    ),
    (
        dp("ls", [link(7, x=1, time=2)]),
        ["unknown key 'time' in values of a.ls.data has no effect (1 data-point); known are x"],
    ),
    (
        dp("ll", {"eid": 7, "data": [link(8, x=1, time=2)]}),
        ["unknown key 'time' in values of a.ll.data.data has no effect (1 data-point); known are x"],
    ),
    (
        obs("t", {"x": [1], "y": [1], "speed": [1, 2]}),
        ["unknown key 'speed' in values of a.t has no effect (1 data-point); known are x, y"],
    ),
    (
        obs("ti", {"x": [1], "time": [1577880000], "tiem": []}),
        ["unknown key 'tiem' in values of a.ti has no effect (1 data-point); did you mean 'time'?"],
    ),
]


@pytest.mark.parametrize("shape", [lambda point: [point], lambda point: [as_text(point)], padded])
@pytest.mark.parametrize(("point", "warnings"), CASES)
def test_client_is_warned_of_what_is_accepted_but_has_no_effect(
    shared_node: Node, point: dict[str, Any], warnings: list[str], shape: Callable[[Any], Any]
) -> None:
    response = shared_node.post("/datapoints", shape(point))
    assert response.status_code == 200
    assert response.json() == {"detail": "OK"} | ({"warnings": warnings} if warnings else {})
    assert json.loads(response.headers.get(HEADER, "[]")) == warnings


def test_data_points_are_counted_by_key(node: Node) -> None:
    answer = node.send(*(dp("p", i, source=f"s{i}", src=f"s{i % 2}", t1=NOW) for i in range(7))).json()
    assert answer["warnings"] == [
        "unknown key 'source' has no effect (7 data-points); did you mean 'src'?",
        "'t1' has no effect on plain attributes, which keep only the last value (7 data-points)",
    ]


@pytest.mark.parametrize("rest", [1, 400])
def test_data_points_that_are_read_twice_count_once(node: Node, rest: int) -> None:
    """What is not obviously right, at last, has the body read again, more thoroughly."""
    some = [dp("s", "x" * 1_000, f"n{i}") for i in range(rest)]
    response = node.send(obs("o", 1, t1=LATER, colour="x"), *some, as_text(dp("p", 1)))
    assert response.json()["warnings"] == [
        f"unknown key 'colour' has no effect (1 data-point); {KNOWN}",
        "more than a day ahead of the clock (1 data-point); the furthest is 2020-01-02T12:00:00.000001Z",
    ]


def test_what_is_accepted_with_a_warning_is_stored_and_answered_again_to_a_repetition(node: Node) -> None:
    for _ in range(2):
        response = node.send(dp("p", 5, colour="x"), headers={"Idempotency-Key": "k"})
        assert len(response.json()["warnings"]) == 1
    node.process()
    assert node.get("/entity/a/e1/get/p").json()["current_value"] == 5


def test_remarks_of_one_request_are_bounded(node: Node) -> None:
    response = node.send(
        *(dp("p", 1, src="s", **{f"key{i}" + "x" * 300: i}) for i in range(2 * MOST_REMARKS))
    )
    assert len(response.headers[HEADER]) <= MAX_HEADER
    assert len(response.json()["warnings"]) == MOST_WARNINGS + 1
    assert (
        f'dp3_remarked_datapoints_total{{about="unknown_key"}} {2 * MOST_REMARKS}.0'
        in node.get("/metrics").text
    )


def test_log_tells_each_source_and_key_once(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "dp3.http.remarks")
    for _ in range(3):
        node.send(dp("p", 1, colour="x"), dp("p", 1, colour="x", src="s1"), dp("p", 1, hue="x", src="s1"))
    said = "unknown key '{}' has no effect; " + KNOWN
    assert caplog.messages == [
        f"data-points of source '127.0.0.9' from 127.0.0.9: {said.format('colour')}",
        f"data-points of source 's1' from 127.0.0.9: {said.format('colour')}",
        f"data-points of source 's1' from 127.0.0.9: {said.format('hue')}",
    ]


def test_keys_in_values_of_different_attributes_are_told_apart(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "dp3.http.remarks")
    node = make_node(model=NESTED_MODEL)
    for _ in range(3):
        node.send(
            dp("d", {"x": 1, "z": 1}), obs("ld", link(7, x=1, z=1)), dp("d", {"x": 1, "z": 1}, src="s1")
        )
    said = "unknown key 'z' in values of {} has no effect; known are x, y"
    assert caplog.messages == [
        f"data-points of source '127.0.0.9' from 127.0.0.9: {said.format('a.d')}",
        f"data-points of source '127.0.0.9' from 127.0.0.9: {said.format('a.ld.data')}",
        f"data-points of source 's1' from 127.0.0.9: {said.format('a.d')}",
    ]


def test_remarks_about_keys_in_values_are_bounded(node: Node) -> None:
    response = node.send(*(dp("d", {"x": 1, f"key{i}" + "x" * 300: i}) for i in range(2 * MOST_REMARKS)))
    assert len(response.json()["warnings"]) == MOST_WARNINGS + 1
    assert (
        f'dp3_remarked_datapoints_total{{about="unknown_value_key"}} {2 * MOST_REMARKS}.0'
        in node.get("/metrics").text
    )


def test_metrics_count_what_was_remarked(node: Node) -> None:
    node.send(dp("p", 1, colour="x"), dp("p", 1, t1=NOW), dp("p", 1, t1=NOW), obs("o", 1, t1=LATER))
    node.send(*[dp("d", {"x": 1, "colour": 1})] * 3)
    metrics = node.get("/metrics").text
    counts = {"unknown_key": 1, "unknown_value_key": 3, "plain_validity": 2, "time_ahead": 1}
    for about, count in counts.items():
        assert f'dp3_remarked_datapoints_total{{about="{about}"}} {count}.0' in metrics


# -- refused on request ------------------------------------------------------------------------------------
REFUSED: list[tuple[dict[str, Any], list[Any], str]] = [
    (dp("p", 1, confidence=0.5), ["body", 1, "confidence"], "Unknown key 'confidence'; did you mean 'c'?"),
    (dp("p", 1, colour="x"), ["body", 1, "colour"], f"Unknown key 'colour'; {KNOWN}"),
    (dp("p", 1, t1=NOW), ["body", 1, "t1"], "'t1' has no effect on plain attributes"),
    (dp("p", 1, c=0.5), ["body", 1, "c"], "'c' has no effect on plain attributes"),
    (dp("d", {"x": 1, "X": 2}), ["body", 1, "v", "X"], "Unknown key 'X'; did you mean 'x'?"),
    (obs("ld", link(7, x=1, z=2)), ["body", 1, "v", "data", "z"], "Unknown key 'z'; known are x, y"),
    (
        dp("lds", [link(7, x=1), link(8, x=1, z=2)]),
        ["body", 1, "v", 1, "data", "z"],
        "Unknown key 'z'; known are x",
    ),
    (
        dp("ll", {"eid": 7, "data": [link(8, x=1, z=2)]}),
        ["body", 1, "v", "data", 0, "data", "z"],
        "Unknown key 'z'; known are x",
    ),
    (
        obs("t", {"x": [1], "y": [1], "speed": [1, 2]}),
        ["body", 1, "v", "speed"],
        "Unknown key 'speed'; known are x, y",
    ),
]


@pytest.mark.parametrize(("point", "loc", "message"), REFUSED)
def test_keys_that_mean_nothing_are_refused_where_the_application_wants_it(
    make_node: MakeNode, point: dict[str, Any], loc: list[Any], message: str
) -> None:
    node = make_node(settings={"unknown_keys": "refuse"}, model=NESTED_MODEL)
    response = node.send(dp("p", 1), point)
    assert response.status_code == 422
    (error,) = response.json()["detail"]
    sent = reduce(getitem, loc[2:], point)
    assert (error["type"], error["loc"], error["input"]) == ("extra_forbidden", loc, sent)
    assert error["msg"].startswith(message)
    node.process()
    assert node.get("/entity/a/e1/master").json() == {}
    assert node.send(dp("p", 1, c=1, t1=None), obs("o", 1, t1=LATER)).status_code == 200


def test_unknown_keys_are_listed_with_the_other_mistakes(make_node: MakeNode) -> None:
    node = make_node(settings={"unknown_keys": "refuse"})
    response = node.send({"type": "a", "id": "e1", "attr": "p", "value": 1})
    assert [(error["type"], error["loc"][-1]) for error in response.json()["detail"]] == [
        ("missing", "v"),
        ("extra_forbidden", "value"),
    ]


def test_each_unknown_key_of_a_value_is_listed_also_beside_other_mistakes_in_it(make_node: MakeNode) -> None:
    node = make_node(settings={"unknown_keys": "refuse"}, model=NESTED_MODEL)
    response = node.send(dp("lds", [link(7, X=1), link(8, x=1, z=2), 3]), dp("d", {"x": 1, "a": 2}, b=3))
    assert [(error["type"], error["loc"]) for error in response.json()["detail"]] == [
        ("missing", ["body", 0, "v", 0, "data", "x"]),
        ("model_type", ["body", 0, "v", 2]),
        ("extra_forbidden", ["body", 0, "v", 0, "data", "X"]),
        ("extra_forbidden", ["body", 0, "v", 1, "data", "z"]),
        ("extra_forbidden", ["body", 1, "b"]),
        ("extra_forbidden", ["body", 1, "v", "a"]),
    ]


@pytest.mark.parametrize("inside", [True, False])
def test_refused_keys_without_end_are_one_mistake(make_node: MakeNode, inside: bool) -> None:
    node = make_node(settings={"unknown_keys": "refuse"})
    many = {f"key{i}": i for i in range(MAX_ERRORS + 1)}
    point = dp("d", {"x": 1, **many}) if inside else dp("d", {"x": 1}, **many)
    (error,) = node.send(point).json()["detail"]
    assert error["type"] == "too_many_errors"


# -- values that are set -----------------------------------------------------------------------------------
def test_unknown_keys_in_a_value_that_is_set_are_told_too(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "dp3.http.remarks")
    said = "unknown key 'X' in values of a.d has no effect"
    for path, query in (("entity/a/e1/set/d", ""), ("v2/entity/a/attr", "?eid=e1&attr=d")):
        response = node.post(f"/{path}{query}", {"value": {"x": 1, "X": 2}})
        assert response.json() == {
            "detail": "OK",
            "warnings": [f"{said} (1 data-point); did you mean 'x'?"],
        }
    assert caplog.messages == [
        f"data-points of source '127.0.0.9 via API' from 127.0.0.9: {said}; did you mean 'x'?"
    ]
    assert 'dp3_remarked_datapoints_total{about="unknown_value_key"} 2.0' in node.get("/metrics").text


def test_unknown_keys_in_a_value_that_is_set_are_refused_where_the_application_wants_it(
    make_node: MakeNode,
) -> None:
    node = make_node(settings={"unknown_keys": "refuse"}, model=NESTED_MODEL)
    response = node.post("/entity/a/e1/set/lds", {"value": [link(7, x=1), link(8, x=1, z=2)]})
    assert response.status_code == 422
    assert response.json()["detail"] == [
        {
            "type": "extra_forbidden",
            "loc": ["body", "value", 1, "data", "z"],
            "msg": "Unknown key 'z'; known are x",
            "input": 2,
        }
    ]
    assert node.post("/entity/a/e1/set/lds", {"value": [link(7, x=1)]}).status_code == 200
