"""Requests and answers that existing clients know."""

import json
from typing import Any

import pytest
from http_kit import NOW, Node, dp, obs

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
        error("string_type", ["body", 0, "eid"], "Input should be a valid string", input=5),
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


def test_unexpected_failure_is_answered_with_a_plain_text(node: Node) -> None:
    node.store.close()
    response = node.get("/entity/a/e1/master")
    assert (response.status_code, response.text) == (500, "Internal Server Error")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'["\xff"]', "Invalid UTF-8"),
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
