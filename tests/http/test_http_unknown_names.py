"""Names that nobody reads are noticed: a slip is refused with what was meant, others are warned of."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dp3.hooks.registrar import CallbackRegistrar
from dp3.http.warnings import HEADER, MAX_HEADER, MOST_WARNINGS
from kit.http_runs import make_run
from kit.node import NOW, Node, dp, obs

MakeNode = Callable[..., Node]
LISTINGS = ["/entity/a/get", "/entity/a/count", "/v2/entity/a/get", "/v2/entity/a/count"]


def filtered(node: Node, generic: Any, path: str = "/entity/a/get", **more: Any) -> Any:
    return node.get(path, params={"generic_filter": json.dumps(generic), **more})


def warnings_of(response: Any) -> list[str]:
    """Those of an answer, which are in its header and, if it has room, in its body."""
    assert response.status_code == 200, response.text
    header: list[str] = json.loads(response.headers.get(HEADER, "[]"))
    body = response.json()
    assert isinstance(body, list) or body.get("warnings", header) == header
    return header


# -- filters ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", LISTINGS)
@pytest.mark.parametrize(
    ("generic", "reason"),
    [
        ({"flg": {"$ne": True}}, "'a' has no attribute 'flg'; did you mean 'flag'?"),
        ({"last.flg": True}, "'a' has no attribute 'flg'; did you mean 'flag'?"),
        ({"$or": [{"p": 1}, {"$nor": [{"zzz.x": 1}]}]}, "'a' has no attribute 'zzz'"),
        ({"last.latest": True}, "'a' has no attribute 'latest'; did you mean 'latest'?"),
        ({"_tme_created": {"$gt": NOW}}, "did you mean '_time_created'?"),
        ({"d.z": {"$exists": False}}, "'d' has no part 'z', only x and y"),
        ({"p.x": {"$ne": 1}}, "'p' has no part 'x', no parts"),
        ({"l": {"$elemMatch": {"edi": 7}}}, "'l' has no part 'edi', only eid; did you mean 'eid'?"),
        ({"l.0.data": 7}, "'l.0' has no part 'data', only eid"),
        ({"p#c": {"$lt": 0.5}}, "'a' has no observations 'p' with a confidence"),
    ],
)
def test_condition_on_what_nobody_has_is_refused(
    shared_node: Node, path: str, generic: Any, reason: str
) -> None:
    response = filtered(shared_node, generic, path)
    assert response.status_code == 400
    assert response.json()["detail"].startswith("Query is invalid: ") and reason in response.json()["detail"]
    by_body = shared_node.post(path, {"generic_filter": generic})
    assert (by_body.status_code, by_body.json()) == (400, response.json())
    assert filtered(shared_node, generic, path, at=NOW).status_code == 400


@pytest.mark.parametrize(
    ("generic", "eids"),
    [
        ({"_id": "e1"}, ["e1"]),
        ({"last.eid": "e1"}, ["e1"]),
        ({"latest": True}, ["e1", "e2"]),
        ({"latest": {"$ne": True}}, []),
        ({"oversized": False, "p": 1}, ["e1"]),
        ({"oversized": {"$exists": True}, "latest": {"$in": [1, "x"]}}, []),
        ({"$nor": [{"oversized": True}]}, ["e1", "e2"]),
        ({"_time_created": NOW, "last._time_created": {"$gte": NOW}}, ["e1", "e2"]),
        ({"om#c": 1, "om.0": "k", "l.eid": 7, "l.0.eid": 7, "js.deep.down": 1, "d.x": 5}, ["e1"]),
    ],
)
def test_fields_of_documents_mean_what_existing_clients_expect(
    node: Node, generic: Any, eids: list[str]
) -> None:
    node.store_points(
        *(dp("p", 1), dp("js", {"deep": {"down": 1}}), dp("d", {"x": 5, "y": None}), dp("p", 2, "e2")),
        *(obs("om", "k"), obs("l", {"eid": 7})),
    )
    make_run(node)
    answer = filtered(node, generic)
    assert warnings_of(answer) == []
    assert [row["eid"] for row in answer.json()["data"]] == eids
    assert node.get("/entity/a/count", params={"generic_filter": json.dumps(generic)}).json() == {
        "total_count": len(eids)
    }


def test_what_a_hook_has_once_stored_may_be_asked_for(node: Node) -> None:
    node.store_points(dp("p", 1), dp("p", 2, "e2"))
    assert filtered(node, {"risk.level": "high"}).status_code == 400
    hooked = {"risk": {"level": "high"}, "note": "x" * 1_001, "d": {"odd": 1}}
    make_run(node, {("a", "e1"): hooked})
    make_run_later(node)
    for generic in (
        {"risk.level": {"$ne": "low"}},
        {"risk": {"$ne": 1}},
        {"note": {"$ne": ""}},
        {"d.odd": 1},
    ):
        assert warnings_of(filtered(node, generic)) == []
    near = filtered(node, {"rsk": {"$ne": "low"}})
    assert near.status_code == 400 and "did you mean" not in near.json()["detail"]
    (warning,) = warnings_of(filtered(node, {"risk.level": "high"}, at=NOW))
    assert "'a' has no attribute 'risk'; what hooks have set is not part of values at a moment" in warning


def test_near_name_may_be_one_that_hooks_give(node: Node) -> None:
    node.store_points(dp("p", 1))
    make_run(node, {("a", "e1"): {"risk": "high"}})
    response = filtered(node, {"rsk": {"$ne": "low"}})
    assert response.json() == {"detail": "Query is invalid: 'a' has no attribute 'rsk'; did you mean 'risk'?"}


def make_run_later(node: Node) -> None:
    node.clock.advance(60)
    make_run(node)


def with_correlation(registrar: CallbackRegistrar) -> None:
    """Hooks of `a` that see the records of `b`; nothing is called for `m`."""
    registrar.register_correlation_hook(lambda *_: None, "a", [["l", "p"]], [["p"]])


@pytest.mark.parametrize(("etype", "status"), [("a", 200), ("b", 200), ("m", 400)])
def test_where_hooks_may_add_values_an_unknown_name_is_warned_of(
    make_node: MakeNode, etype: str, status: int
) -> None:
    node = make_node(register=with_correlation)
    node.store_points(dp("p", 1))
    run_snapshots(node, with_correlation)
    response = filtered(node, {"rsk": {"$ne": "low"}}, f"/entity/{etype}/get")
    assert response.status_code == status
    if status == 200:
        assert warnings_of(response) == [f"'{etype}' has no attribute 'rsk'; no snapshot has it so far"]


def run_snapshots(node: Node, register: Callable[[CallbackRegistrar], None]) -> None:
    """A run of a real worker."""
    with node.engine.worker(register) as worker:
        worker.request_run()
        worker.finish()


def test_before_the_first_run_of_an_application_with_modules_an_unknown_name_is_warned_of(
    make_node: MakeNode,
) -> None:
    node = make_node(reads={"hooks_are_possible": True})
    assert warnings_of(filtered(node, {"risk": "high"})) == [
        "'a' has no attribute 'risk'; no snapshot has it so far"
    ]
    make_run(node)
    assert filtered(node, {"risk": "high"}).status_code == 400


def test_condition_on_a_timeseries_is_warned_of(shared_node: Node) -> None:
    assert warnings_of(filtered(shared_node, {"t": {"$ne": 1}})) == [
        "attribute 't' is a timeseries, of which snapshots have nothing; no snapshot has it so far"
    ]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (
            '/entity/a/get?fulltext_filters={"flg":"x"}',
            "in fulltext filter doesn't exist; did you mean 'flag'?",
        ),
        ("/entity/a/get?sort=flg:-1", "Attribute 'flg' at position 0 doesn't exist; did you mean 'flag'?"),
        ("/entity/a/_/distinct/flg", "Attribute 'flg' does not exist; did you mean 'flag'?"),
        ("/entity/a/raw/get?attr=flg", "Attribute 'flg' doesn't exist; did you mean 'flag'?"),
        ("/entity/a/e1/get/flg", "Attribute 'flg' doesn't exist; did you mean 'flag'?"),
        ("/v2/entity/a/attr?eid=e1&attr=flg", "Attribute 'flg' doesn't exist; did you mean 'flag'?"),
    ],
)
def test_unknown_attribute_is_refused_with_the_near_name(shared_node: Node, url: str, text: str) -> None:
    response = shared_node.get(url)
    assert response.status_code in (400, 422)
    detail = response.json()["detail"]
    assert text in (detail if isinstance(detail, str) else detail[0]["msg"])


# -- parameters ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("request_line", "name", "text"),
    [
        ("GET /entity/a/get?limt=3", "limt", "Unknown parameter 'limt'; did you mean 'limit'?"),
        ("GET /entity/a/get?Limit=3", "Limit", "did you mean 'limit'?"),
        ("GET /entity/a/get?filter={}", "filter", "did you mean 'generic_filter'?"),
        ("GET /v2/entity/a/count?genericFilter={}", "genericFilter", "did you mean 'generic_filter'?"),
        (
            "GET /entity/a/get?flag=1",
            "flag",
            "'flag' is an attribute, select by its value with generic_filter: {\"flag\": …}",
        ),
        ("GET /entity/a/get?eid=e1", "eid", "'eid' is an attribute"),
        ("GET /entity/a/raw/get?flag=1", "flag", "'flag' is an attribute"),
        ("GET /entity/a/e1/master?datefrom=0", "datefrom", "did you mean 'date_from'?"),
        ("GET /entity/a/e1?from=0", "from", "did you mean 'date_from'?"),
        ("GET /telemetry/metadata?ofset=1&srt=newest", "srt", "did you mean 'sort'?"),
        ("GET /deadletters?modul=x", "modul", "did you mean 'module'?"),
        ("POST /deadletters/drop?anything=x", "anything", "Unknown parameter 'anything'; known are after"),
        ("POST /control/make_snapshots?modul=x", "modul", "did you mean 'module'?"),
        ("POST /entity/a/e1/set/p?wiat=true", "wiat", "did you mean 'wait'?"),
        ("DELETE /entity/a/e1?wiat=true", "wiat", "did you mean 'wait'?"),
        ("POST /datapoints?wiat=true", "wiat", "did you mean 'wait'?"),
        ("GET /metrics?by_partitions=true", "by_partitions", "did you mean 'by_partition'?"),
    ],
)
def test_slip_in_the_name_of_a_parameter_is_refused(
    shared_node: Node, request_line: str, name: str, text: str
) -> None:
    method, url = request_line.split(" ", 1)
    response = shared_node.request(method, url, content=b'{"value": 1}' if "set" in url else b"[]")
    assert response.status_code == 422, response.text
    (error,) = [error for error in response.json()["detail"] if error["loc"] == ["query", name]]
    assert error["type"] == "extra_forbidden" and text in error["msg"]


@pytest.mark.parametrize(
    "url",
    [
        *("/entity/a/get?format=json", "/entity/a/count?pretty=1", "/entity/a/raw/get?_=1577880000"),
        *("/entity/a/e1/master?pretty=1", "/entity/a/e1/get/p?pretty=1", "/entity/a/e1?x=1"),
        *("/entity/a/e1/snapshots?pretty=1", "/entity/a/_/distinct/p?pretty=1", "/entities?pretty=1"),
        *("/?pretty=1", "/telemetry/log?pretty=1", "/health/live?pretty=1"),
    ],
)
def test_other_unknown_parameter_is_warned_of(shared_node: Node, url: str) -> None:
    name = url.partition("?")[2].partition("=")[0]
    plain = shared_node.get(url.partition("?")[0]).json()
    response = shared_node.get(url)
    (warning,) = warnings_of(response)
    assert warning.startswith(f"unknown parameter '{name}' has no effect; ")
    answer = response.json()
    if isinstance(answer, dict):
        answer.pop("warnings", None)
    assert answer == plain


def test_warnings_are_bounded_and_safe_in_a_header(shared_node: Node) -> None:
    names = [f"žluť\n{i}{'x' * 300}" for i in range(30)]
    response = shared_node.get("/entity/a/count", params=dict.fromkeys(names, "1"))
    header = response.headers[HEADER]
    assert len(header) <= MAX_HEADER and header.isascii() and header.isprintable()
    *told, more = json.loads(header)
    assert "žluť" in told[0] and more.endswith(" more")
    assert len(response.json()["warnings"]) == MOST_WARNINGS + 1


@pytest.mark.parametrize(
    ("path", "body", "loc", "text"),
    [
        ("get", {"limt": 3}, ["body", "limt"], "Unknown key 'limt'; did you mean 'limit'?"),
        ("get", {"flag": True}, ["body", "flag"], "'flag' is an attribute, select by its value with"),
        ("get", {"eid": ["e1"]}, ["body", "eid"], "Unknown key 'eid'"),
        ("get", {"limit": 3, "pretty": 1}, ["body", "pretty"], "Unknown key 'pretty'; known are at, cursor"),
        ("count", {"filter": {}}, ["body", "filter"], "did you mean 'generic_filter'?"),
        ("e1/set/p", {"valeu": 3}, ["body", "valeu"], "did you mean 'value'?"),
        ("e1/set/p", {"flag": 3}, ["body", "flag"], "'flag' is an attribute"),
    ],
)
def test_unknown_key_of_a_body_is_refused(
    shared_node: Node, path: str, body: Any, loc: list[str], text: str
) -> None:
    response = shared_node.post(f"/entity/a/{path}", body)
    assert response.status_code == 422, response.text
    (error,) = response.json()["detail"]
    assert error["loc"] == loc and text in error["msg"]


def test_other_unknown_key_beside_a_new_value_is_warned_of(shared_node: Node) -> None:
    response = shared_node.post("/entity/a/e1/set/p", {"value": 3, "author": "x"})
    assert warnings_of(response) == ["unknown key 'author' has no effect; known are value"]
    assert response.json() == {"detail": "OK", "warnings": warnings_of(response)}
