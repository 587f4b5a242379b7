"""Requests and answers that existing clients know."""

import json
from typing import Any

import pytest

from kit.node import NOW, Node, dp, obs

DATAPOINTS = "POST /datapoints"
A_POINT = dp("p", 1)


def error(type: str, loc: list[Any], msg: str, **more: Any) -> dict[str, Any]:
    return {"detail": [{"type": type, "loc": loc, "msg": msg, **more}]}


def platform_error(loc: list[str], msg: str) -> dict[str, Any]:
    return {"detail": [{"loc": loc, "msg": msg, "type": "value_error"}]}


OK = {"detail": "OK"}
NOT_INT = "Input should be a valid integer, unable to parse string as an integer"
DATETIME = "Input should be a valid datetime"
RAISED: dict[str, Any] = {"ctx": {"error": {}}}
UNKNOWN = dp("nope", 1)
NO_RUN = {"snapshot": {"last": None, "next": None}}
NO_ROWS = {"time_created": None, "count": 0, "data": [], "total": 0, "cursor": None, **NO_RUN}
NO_VALUE = {"type": "a", "id": "e1", "attr": "p"}

GOLDEN: list[tuple[str, Any, int, Any]] = [
    ("GET /", None, 200, {"detail": "It works!"}),
    (DATAPOINTS, [], 200, OK),
    (DATAPOINTS, {}, 422, error("list_type", ["body"], "Input should be a valid list", input={})),
    (DATAPOINTS, None, 422, error("missing", ["body"], "Field required", input=None)),
    (
        DATAPOINTS,
        ["x"],
        422,
        error(
            "model_attributes_type",
            ["body", 0],
            "Input should be a valid dictionary or object to extract fields from",
            input="x",
        ),
    ),
    (
        DATAPOINTS,
        b"[garbage",
        422,
        error(
            "json_invalid",
            ["body", 1],
            "JSON decode error",
            input="[garbage",
            ctx={"error": "Expecting value"},
        ),
    ),
    (DATAPOINTS, [NO_VALUE], 422, error("missing", ["body", 0, "v"], "Field required", input=NO_VALUE)),
    (
        DATAPOINTS,
        [UNKNOWN],
        422,
        error(
            "value_error",
            ["body", 0],
            "Value error, Combination of type 'a' and attr 'nope' doesn't exist",
            input=UNKNOWN,
            **RAISED,
        ),
    ),
    (DATAPOINTS, [A_POINT, dp("p", "x")], 422, error("int_parsing", ["body", 1, "v"], NOT_INT, input="x")),
    (
        DATAPOINTS,
        [dp("o", 1)],
        422,
        {
            "detail": [
                {"type": "datetime_type", "loc": ["body", 0, "t1"], "msg": DATETIME, "input": None},
                {"type": "datetime_type", "loc": ["body", 0, "t2"], "msg": DATETIME, "input": None},
            ]
        },
    ),
    (
        DATAPOINTS,
        [obs("o", 1, t2="2019-01-01T00:00:00Z")],
        422,
        error(
            "assertion_error",
            ["body", 0, "t2"],
            "Assertion failed, 't2' is before 't1'",
            input="2019-01-01T00:00:00Z",
            **RAISED,
        ),
    ),
    (
        DATAPOINTS,
        [dp("p", 1, c=2)],
        422,
        error(
            "less_than_equal",
            ["body", 0, "c"],
            "Input should be less than or equal to 1",
            input=2,
            ctx={"le": 1.0},
        ),
    ),
    (
        DATAPOINTS,
        [dp("p", 1, eid=5)],
        422,
        error("string_type", ["body", 0, "id"], "Input should be a valid string", input=5),
    ),
    (
        DATAPOINTS,
        [dp("p", 1, t2=NOW)],
        422,
        error("none_required", ["body", 0, "t2"], "Input should be None", input=NOW),
    ),
    (
        DATAPOINTS,
        [dp("as", [], eid=1, etype="b")],
        422,
        error(
            "value_error",
            ["body", 0, "v"],
            "Value error, Cannot instantiate a read-only attribute datapoint.",
            input=[],
            **RAISED,
        ),
    ),
    (
        "GET /entity/nope/e1/master",
        None,
        422,
        platform_error(["path", "etype"], "Entity type 'nope' doesn't exist"),
    ),
    ("GET /entity/b/xx/master", None, 422, platform_error(["path", "eid"], NOT_INT)),
    ("GET /v2/entity/b/master?eid=xx", None, 422, platform_error(["query", "eid"], NOT_INT)),
    ("GET /entity/b/raw/get?eid=xx", None, 422, platform_error(["query", "eid"], NOT_INT)),
    (
        "GET /entity/m/xx/master",
        None,
        422,
        platform_error(["path", "eid"], "Input should be an instance of MACAddress"),
    ),
    (
        "GET /v2/entity/a/master",
        None,
        422,
        error("missing", ["query", "eid"], "Field required", input=None),
    ),
    ("GET /entity/a/nope/master", None, 200, {}),
    ("GET /entity/a/nope/get/o", None, 200, {"attr_type": 2, "current_value": None, "history": []}),
    (
        "GET /entity/a/e1/get/nope",
        None,
        422,
        platform_error(["path", "attr"], "Attribute 'nope' doesn't exist"),
    ),
    (
        "GET /v2/entity/a/attr?eid=e1&attr=nope",
        None,
        422,
        platform_error(["query", "attr"], "Attribute 'nope' doesn't exist"),
    ),
    (
        "GET /entity/a/raw/get?attr=nope",
        None,
        422,
        platform_error(["query", "attr"], "Attribute 'nope' doesn't exist"),
    ),
    (
        "GET /entity/a/raw/get?limit=-1",
        None,
        422,
        error(
            "greater_than_equal",
            ["query", "limit"],
            "Input should be greater than or equal to 0",
            input="-1",
            ctx={"ge": 0},
        ),
    ),
    (
        "GET /entity/nope/get",
        None,
        422,
        platform_error(["path", "etype"], "Entity type 'nope' doesn't exist"),
    ),
    (
        "GET /entity/a/get?limit=-1",
        None,
        422,
        error(
            "greater_than_equal",
            ["query", "limit"],
            "Input should be greater than or equal to 0",
            input="-1",
            ctx={"ge": 0},
        ),
    ),
    (
        "GET /entity/a/get?fulltext_filters=xyz",
        None,
        422,
        error(
            "json_invalid",
            ["query", "fulltext_filters"],
            "Invalid JSON: expected value at line 1 column 1",
            input="xyz",
            ctx={"error": "expected value at line 1 column 1"},
        ),
    ),
    ("GET /entity/a/get?fulltext_filters=[1]", None, 400, {"detail": "Fulltext filter is invalid"}),
    ("GET /entity/a/count?generic_filter=[1]", None, 400, {"detail": "Generic filter is invalid"}),
    ('GET /entity/a/get?fulltext_filters={"s":5}', None, 400, {"detail": "Filter '5' is not string"}),
    (
        'GET /entity/a/get?fulltext_filters={"nope":"x"}',
        None,
        400,
        {"detail": "Attribute 'nope' in fulltext filter doesn't exist"},
    ),
    (
        'GET /entity/a/get?generic_filter={"last.p":"$$int{x}"}',
        None,
        400,
        {"detail": "Invalid generic filter: $$int{x}: invalid literal for int() with base 10: 'x'"},
    ),
    (
        'GET /entity/a/count?generic_filter={"$foo":1}',
        None,
        400,
        {
            "detail": "Query is invalid: unknown operator $foo, "
            "expected $and, $or, $nor or the name of an attribute"
        },
    ),
    (
        'GET /entity/a/get?generic_filter={"s":{"$regex":"("}}',
        None,
        400,
        {"detail": "Query is invalid: $regex '(': missing ): ("},
    ),
    ("GET /entity/b/xx", None, 422, platform_error(["path", "eid"], NOT_INT)),
    ("GET /entity/a/nope", None, 200, {"empty": True, "master_record": {}, "snapshots": []}),
    ("GET /entity/a/nope/snapshots", None, 200, []),
    ("GET /entity/m/count", None, 200, {"total_count": 0}),
    ("GET /entity/m/get", None, 200, NO_ROWS),
    (
        "GET /entity/a/_/distinct/t",
        None,
        400,
        {"detail": "Attribute 't' isn't plain or observations"},
    ),
    ("GET /entity/a/_/distinct/nope", None, 400, {"detail": "Attribute 'nope' does not exist"}),
    (
        "GET /entity/a/_/distinct/js",
        None,
        400,
        {"detail": "Data type 'json' of attribute 'js' is not processable"},
    ),
    (
        "GET /entity/a/get?sort=p:2",
        None,
        422,
        platform_error(
            ["query", "sort"],
            "Sort specification at position 0 has invalid format 'p:2'. "
            "Expected format 'attribute' or 'attribute:direction' where direction is 1 or -1",
        ),
    ),
    (
        "GET /entity/a/get?sort=p&sort=nope",
        None,
        422,
        platform_error(["query", "sort"], "Attribute 'nope' at position 1 doesn't exist"),
    ),
    (
        "GET /entity/a/get?sort=t",
        None,
        422,
        platform_error(
            ["query", "sort"],
            "Cannot sort by attribute 't' at position 0: "
            "only plain and observations attributes are supported",
        ),
    ),
    (
        "GET /entity/a/get?sort=om:-1",
        None,
        422,
        platform_error(
            ["query", "sort"],
            "Cannot sort by attribute 'om' at position 0: "
            "multi_value observations attributes are not supported for sorting",
        ),
    ),
    (
        "GET /entity/a/get?sort=d",
        None,
        422,
        platform_error(
            ["query", "sort"],
            "Cannot sort by attribute 'd' at position 0: "
            "data type 'dict<x:int, y?:string>' is not supported for sorting",
        ),
    ),
    (
        "GET /control/nope",
        None,
        422,
        error(
            "enum",
            ["path", "action"],
            "Input should be 'make_snapshots', 'refresh_on_entity_creation' or 'refresh_module_config'",
            input="nope",
            ctx={"expected": "'make_snapshots', 'refresh_on_entity_creation' or 'refresh_module_config'"},
        ),
    ),
    (
        "GET /telemetry/metadata?sort=x",
        None,
        422,
        error(
            "literal_error",
            ["query", "sort"],
            "Input should be 'newest' or 'oldest'",
            input="x",
            ctx={"expected": "'newest' or 'oldest'"},
        ),
    ),
    ("POST /entity/a/g1/set/p", {"value": 5}, 200, OK),
    ("POST /entity/a/g1/set/p", {"value": "x"}, 422, platform_error(["body", "value"], NOT_INT)),
    (
        "POST /entity/a/g1/set/p",
        {},
        422,
        platform_error(["body", "value"], "Input should be a valid integer"),
    ),
    (
        "POST /entity/a/g1/set/p",
        b"x",
        422,
        platform_error(["body"], "Expecting value: line 1 column 1 (char 0)"),
    ),
    (
        "POST /v2/entity/a/attr?eid=g1&attr=nope",
        {"value": 5},
        422,
        platform_error(["query", "attr"], "Attribute 'nope' doesn't exist"),
    ),
    (
        "POST /entity/a/g1/ttl",
        {"a": "xyz"},
        422,
        error(
            "datetime_from_date_parsing",
            ["body", "a"],
            "Input should be a valid datetime or date, input is too short",
            input="xyz",
            ctx={"error": "input is too short"},
        ),
    ),
    ("POST /entity/a/g1/ttl", {"a": "2030-01-01T00:00:00"}, 200, OK),
    ("DELETE /entity/a/unknown", None, 200, OK),
    ("DELETE /v2/entity/a?eid=unknown", None, 200, OK),
    ("DELETE /v2/entity/a/?eid=unknown", None, 200, OK),
    ("GET /no/such/path", None, 404, {"detail": "Not Found"}),
    ("GET /datapoints", None, 405, {"detail": "Method Not Allowed"}),
    ("POST /entities", None, 405, {"detail": "Method Not Allowed"}),
]


@pytest.mark.parametrize(("request_line", "body", "status", "answer"), GOLDEN)
def test_documented_request_gets_documented_answer(
    shared_node: Node, request_line: str, body: Any, status: int, answer: Any
) -> None:
    method, url = request_line.split(" ", 1)
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    response = shared_node.request(method, url, content=content)
    assert (response.status_code, response.json()) == (status, answer)


@pytest.mark.files
def test_unexpected_failure_is_answered_with_a_plain_text(node: Node) -> None:
    node.store.close()
    response = node.get("/entity/a/e1/master")
    assert (response.status_code, response.text) == (500, "Internal Server Error")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'["\xff"]', "Invalid UTF-8"),
        (b'[{"type":"a","id":"x","attr":"s","v":"\xff"}]', "Invalid UTF-8"),
        (b"[" * 200_000, "Nested too deeply"),
        (b"[" + b"1" * 5_000 + b"]", None),
    ],
)
def test_body_that_the_parser_can_not_take_is_a_client_error(
    shared_node: Node, body: bytes, reason: str | None
) -> None:
    response = shared_node.post("/datapoints", body)
    assert response.status_code == 422
    (found,) = response.json()["detail"]
    assert reason is None or found["ctx"]["error"] == reason


@pytest.mark.parametrize("v", ["NaN", "Infinity", '"\\ud800"', "1e999", "1" * 400])
def test_error_shows_values_that_json_can_not_express_as_far_as_possible(shared_node: Node, v: str) -> None:
    response = shared_node.post("/datapoints", b'[{"type":"a","id":"e","attr":"ip","v":%s}]' % v.encode())
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", 0, "v"]


def test_all_errors_of_all_data_points_are_listed(shared_node: Node) -> None:
    response = shared_node.send({"type": "a"}, dp("p", 1), dp("p", "x", c=0.5), dp("nope", 1))
    found = [(item["loc"], item["type"]) for item in response.json()["detail"]]
    assert found == [
        (["body", 0, "id"], "missing"),
        (["body", 0, "attr"], "missing"),
        (["body", 0, "v"], "missing"),
        (["body", 2, "v"], "int_parsing"),
        (["body", 3], "value_error"),
    ]


@pytest.mark.parametrize(
    ("point", "near"),
    [
        (dp("whn", 1), "; did you mean 'when'?"),
        (dp("p", 1, etype="bb"), "; did you mean 'b'?"),
        (dp("colour", 1), ""),
        (dp("when" * 40, 1), ""),
        (dp("p", 1, etype="nothing"), ""),
    ],
    ids=["attribute", "type", "nothing near", "long", "no type near"],
)
def test_near_names_of_types_and_attributes_are_suggested(
    shared_node: Node, point: dict[str, Any], near: str
) -> None:
    (found,) = shared_node.send(point).json()["detail"]
    message = (
        f"Value error, Combination of type '{point['type']}' and attr '{point['attr']}' doesn't exist{near}"
    )
    assert (found["loc"], found["msg"]) == (["body", 0], message)


def test_suggestions_end_after_some_errors(shared_node: Node) -> None:
    found = shared_node.send(*[dp("whn", 1)] * 30).json()["detail"]
    assert [error["msg"].endswith("did you mean 'when'?") for error in found] == [True] * 20 + [False] * 10


ONE_MISTAKE: list[tuple[dict[str, Any], list[Any]]] = [
    (dp("p", 1, eid=5), ["id"]),
    (dp("p", 1, eid="x", etype="b"), ["id"]),
    (dp("p", 1, eid=None, etype="m"), ["id"]),
    (dp("p", [1]), ["v"]),
    (dp("arr", ["a", 1]), ["v", 1]),
    (dp("set", [1, "x"]), ["v", 1]),
    (dp("d", {"x": 1, "y": 5}), ["v", "y"]),
    (dp("cat", "left"), ["v"]),
    (dp("js", 5), ["v"]),
    (dp("p", 1, t2=NOW), ["t2"]),
    (dp("p", 1, src=5), ["src"]),
    (obs("l", {"eid": "x"}), ["v", "eid"]),
    (obs("l", 7), ["v"]),
    (obs("o", 1, t1="noon"), ["t1"]),
    (obs("o", 1, t2="noon"), ["t2"]),
    (obs("o", 1, c="x"), ["c"]),
    (obs("t", {"x": [1], "y": [1, 2]}), ["v"]),
    (obs("t", {"x": ["a"], "y": [1]}), ["v", "x", 0]),
    (obs("ti", {"x": [1], "time": ["noon"]}), ["v", "time", 0]),
]


@pytest.mark.parametrize(("point", "loc"), ONE_MISTAKE, ids=lambda value: json.dumps(value))
def test_one_mistake_is_one_error_at_its_place(
    shared_node: Node, point: dict[str, Any], loc: list[Any]
) -> None:
    (found,) = shared_node.send(dp("p", 1), point).json()["detail"]
    assert found["loc"] == ["body", 1, *loc]
