"""Routes that read snapshots."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dp3.config.kinds import CronExpression
from dp3.hooks.registrar import CallbackRegistrar
from dp3.http.listings import MAX_QUESTION
from dp3.store.ports.batches import Batch
from dp3.store.ports.leases import Holder
from dp3.store.ports.runs import Phase
from kit.faults import control_results, run_reads
from kit.http_runs import make_run
from kit.limits import Enter, listed_runs, listing_rows, listing_s
from kit.node import NOW, Node, dp, obs

MakeNode = Callable[..., Node]

LAST = {"snapshot": {"last": NOW, "next": None}}
LATER = "2020-01-01T12:00:30Z"


def get(node: Node, url: str, **params: Any) -> Any:
    """The answer; filters may be given as objects."""
    texts = {name: v if isinstance(v, str | int | list) else json.dumps(v) for name, v in params.items()}
    response = node.get(url, params=texts)
    assert response.status_code == 200, response.text
    return response.json()


def eids(answer: dict[str, Any]) -> list[Any]:
    assert answer["count"] == len(answer["data"])
    return [document["eid"] for document in answer["data"]]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, runner: Any) -> Any:
    """Entities e0 … e9 with p = 0 … 9, and one of type b to which e1 refers."""
    node = Node(tmp_path_factory.mktemp("hosts"), runner)
    node.store_points(
        *(dp("p", i, f"e{i}") for i in range(10)),
        *(dp("s", f"host {'ab'[i % 2]}", f"e{i}") for i in range(0, 10, 3)),
        *(dp("ip", f"10.0.{i}.1", f"e{i}") for i in range(5)),
        obs("l", {"eid": 7}, id="e1"),
        obs("om", "k", id="e1"),
        obs("om", "l", id="e1"),
        obs("om", "k", id="e2"),
        dp("p", 1, 7, "b"),
        dp("flag", True, "e1"),
        dp("when", "2020-01-01T00:00:00Z", "e1"),
        dp("f", 1.5, "e1"),
        dp("free", [True, "x", {"y": 1}], "e1"),
        dp("mac", "00:11:22:33:44:55", "e1"),
    )
    make_run(node)
    yield node
    node.close()


def test_latest_snapshots_are_listed_by_id_with_the_time_of_the_run(hosts: Node) -> None:
    answer = get(hosts, "/entity/a/get", limit=3)
    assert answer == {
        "time_created": NOW,
        "count": 3,
        "data": answer["data"],
        "total": 10,
        "cursor": answer["cursor"],
        **LAST,
    }
    assert eids(answer) == ["e0", "e1", "e2"]
    assert answer["data"][0] == {"eid": "e0", "p": 0, "s": "host a", "ip": "10.0.0.1"}


def test_snapshot_has_the_documented_form(hosts: Node) -> None:
    (document,) = get(hosts, "/entity/a/get", generic_filter={"last.eid": "e1"})["data"]
    assert document["om"] == ["k", "l"] and document["om#c"] == [1.0, 1.0]
    assert document["l"] == [{"eid": 7}] and document["l#c"] == [1.0]
    assert get(hosts, "/entity/b/get")["data"] == [{"eid": 7, "p": 1, "as": [{"eid": "e1"}]}]


def test_page_after_page_shows_each_entity_once_by_number_or_by_cursor(hosts: Node) -> None:
    numbered = [
        eid for skip in range(0, 12, 4) for eid in eids(get(hosts, "/entity/a/get", skip=skip, limit=4))
    ]
    followed, cursor = [], {}
    while cursor is not None:
        answer = get(hosts, "/entity/a/get", limit=4, sort="p:-1", **cursor)
        followed += eids(answer)
        cursor = {"cursor": answer["cursor"]} if answer["cursor"] else None
    assert numbered == [f"e{i}" for i in range(10)]
    assert followed == numbered[::-1]


def test_limit_zero_is_everything(hosts: Node) -> None:
    answer = get(hosts, "/entity/a/get", limit=0)
    assert (answer["count"], answer["total"], answer["cursor"]) == (10, 10, None)


def test_answer_that_takes_too_long_is_cut_off_and_can_be_continued(hosts: Node, enter: Enter) -> None:
    slow = {"generic_filter": {"last.om": {"$size": 1}}}
    enter(listing_s(0.0))
    answer, seen = get(hosts, "/entity/a/get", **slow), []
    while answer["cursor"]:
        assert answer["truncated"] is True
        seen += eids(answer)
        answer = get(hosts, "/entity/a/get", **slow, cursor=answer["cursor"])
    assert seen == ["e2"]
    response = hosts.get("/entity/a/count", params={"generic_filter": json.dumps({"last.om": {"$size": 1}})})
    assert response.status_code == 503
    assert "narrow the filter" in response.json()["detail"]


def test_limit_above_that_of_an_answer_is_cut_off(hosts: Node, enter: Enter) -> None:
    enter(listing_rows(4))
    for at in ({}, {"at": NOW}):
        answer = get(hosts, "/entity/a/get", limit=0, **at)
        assert (answer["count"], answer["truncated"]) == (4, True)
        rest = get(hosts, "/entity/a/get", limit=3, cursor=answer["cursor"], **at)
        assert eids(rest) == ["e4", "e5", "e6"]
        assert "truncated" not in rest


@pytest.mark.parametrize("cursor", ["x", "", "e1"])
def test_cursor_of_another_question_is_refused(hosts: Node, cursor: str) -> None:
    response = hosts.get("/entity/a/get", params={"cursor": cursor, "sort": "p"})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", "cursor"]


NIGHTLY = CronExpression(hour=2)


@pytest.mark.parametrize("version", ["", "/v2"])
def test_listing_says_when_snapshots_were_made_and_will_be(make_node: MakeNode, version: str) -> None:
    node = make_node(reads={"run_rate": NIGHTLY})
    node.store_points(dp("p", 1))
    url, tonight = f"{version}/entity/a/get", "2020-01-02T02:00:00Z"
    assert get(node, url)["snapshot"] == {"last": None, "next": tonight}
    assert node.post(url, {"eids": ["e1"]}).json()["snapshot"] == {"last": None, "next": tonight}
    make_run(node)
    assert get(node, url)["snapshot"] == {"last": NOW, "next": tonight}
    node.clock.advance(14 * 3600)
    assert get(node, url)["snapshot"] == {"last": NOW, "next": "2020-01-03T02:00:00Z"}
    node.clock.advance(-14 * 3600)
    assert get(node, url)["snapshot"] == {"last": NOW, "next": tonight}
    assert "snapshot" not in get(node, url, at=NOW)


def test_listing_does_not_take_a_run_under_way_for_the_last_one(node: Node) -> None:
    node.store_points(dp("p", 1))
    run = node.store.runs.begin(node.clock.now_us(), "model", 1)
    assert get(node, "/entity/a/get")["snapshot"] == {"last": None, "next": None}
    assert run is not None
    node.store.runs.advance(run.id, Phase.CLOSED, "partial: slow", {})
    assert get(node, "/entity/a/get")["snapshot"]["last"] == NOW


def test_no_snapshot_is_due_after_the_last_moment_of_a_schedule(make_node: MakeNode) -> None:
    node = make_node(reads={"run_rate": CronExpression(year=2019)})
    assert get(node, "/entity/a/get")["snapshot"] == {"last": None, "next": None}


def test_empty_page_has_no_time(hosts: Node) -> None:
    answer = get(hosts, "/v2/entity/a/get", skip=20)
    assert answer == {"time_created": None, "count": 0, "data": [], "total": 10, "cursor": None, **LAST}


@pytest.mark.parametrize(
    ("generic", "fulltext", "expected"),
    [
        ({"last.p": {"$gt": 7}}, None, ["e8", "e9"]),
        ({"last.ip": "$$IPv4Prefix{10.0.2.0/23}"}, None, ["e2", "e3"]),
        ({"ip": {"$in": ["10.0.0.1", "$$IPv4{10.0.4.1}"]}}, None, ["e0", "e4"]),
        ({"last.om": {"$all": ["k", "l"]}}, None, ["e1"]),
        ({"last.l.eid": 7}, None, ["e1"]),
        ({"last.om#c": {"$gt": 0.5}, "p": {"$ne": 1}}, None, ["e2"]),
        ({"last.om": {"$exists": True, "$ne": []}}, None, ["e1", "e2"]),
        ({"last.s": {"$regex": "^host b"}}, None, ["e3", "e9"]),
        ({"last.free.y": 1}, None, ["e1"]),
        ({"$nor": [{"p": {"$lt": 9}}]}, None, ["e9"]),
        (None, {"s": "HOST B$"}, ["e3", "e9"]),
        (None, {"eid": "^E[12]$"}, ["e1", "e2"]),
        (None, {"l": "7"}, ["e1"]),
        (None, {"mac": "22:33", "s": ""}, ["e1"]),
        ({"last.p": {"$lt": 5}}, {"s": "b"}, ["e3"]),
    ],
)
def test_filters_select_entities(hosts: Node, generic: Any, fulltext: Any, expected: list[str]) -> None:
    filters = {"generic_filter": generic, "fulltext_filters": fulltext}
    given = {name: value for name, value in filters.items() if value is not None}
    for prefix in ("", "/v2"):
        assert eids(get(hosts, f"{prefix}/entity/a/get", **given)) == expected
        assert get(hosts, f"{prefix}/entity/a/count", **given) == {"total_count": len(expected)}
    assert eids(get(hosts, "/entity/a/get", **given, at=NOW)) == expected
    assert get(hosts, "/entity/a/count", **given, at=NOW) == {"total_count": len(expected)}


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("p:-1", ["e9", "e8", "e7"]),
        ("eid:-1", ["e9", "e8", "e7"]),
        (["s:-1", "p:-1"], ["e9", "e3", "e6"]),
        (["s", "p:-1"], ["e8", "e7", "e5"]),
        ("ip:-1", ["e4", "e3", "e2"]),
    ],
)
def test_rows_are_sorted_by_type_and_stably(hosts: Node, sort: Any, expected: list[str]) -> None:
    assert eids(get(hosts, "/entity/a/get", sort=sort, limit=3)) == expected
    assert eids(get(hosts, "/entity/a/get", sort=sort, limit=3, at=NOW)) == expected


@pytest.mark.parametrize(
    ("attr", "counts"),
    [
        ("om", {"k": 2, "l": 1}),
        ("l", {"7": 1}),
        ("flag", {"true": 1}),
        ("f", {"1.5": 1}),
        ("when", {"2020-01-01T00:00:00Z": 1}),
        ("mac", {"00:11:22:33:44:55": 1}),
        ("s", {"host a": 2, "host b": 2}),
        ("free", {"true": 1, "x": 1, '{"y":1}': 1}),
        ("arr", {}),
    ],
)
def test_distinct_values_are_counted_as_text(hosts: Node, attr: str, counts: dict[str, int]) -> None:
    assert get(hosts, f"/entity/a/_/distinct/{attr}") == counts
    assert get(hosts, f"/v2/entity/a/_/distinct/{attr}") == counts


def test_distinct_counts_texts_too_long_for_the_index(node: Node) -> None:
    node.store_points(dp("s", "x" * 2_000, "e1"), dp("s", "x", "e2"))
    make_run(node)
    assert get(node, "/entity/a/_/distinct/s") == {"x": 1, "x" * 2_000: 1}


def test_texts_too_long_for_the_index_are_found_and_sorted_as_if_missing(node: Node) -> None:
    node.store_points(dp("s", "m", "e1"), dp("s", "z" * 2_000, "e2"), dp("s", "b", "e3"))
    make_run(node)
    assert eids(get(node, "/entity/a/get", sort="s")) == ["e2", "e3", "e1"]
    assert eids(get(node, "/entity/a/get", sort="s:-1")) == ["e1", "e3", "e2"]
    assert eids(get(node, "/entity/a/get", generic_filter={"s": {"$gt": "zzz"}})) == ["e2"]
    assert eids(get(node, "/entity/a/get", sort="s", at=NOW)) == ["e3", "e1", "e2"]


def test_values_of_another_type_that_a_module_has_set_are_judged_by_what_they_are(node: Node) -> None:
    node.store_points(dp("p", 1, "e1"), dp("p", 1, "e2"), dp("p", 5, "e3"))
    make_run(node, {("a", "e1"): {"p": True}, ("a", "e3"): {"p": {"of": 5}}})

    def found(query: Any) -> list[str]:
        return eids(get(node, "/entity/a/get", generic_filter={"p": query}))

    assert found(1) == ["e2"]
    assert found(True) == ["e1"]
    assert found({"$exists": True}) == ["e1", "e2", "e3"]
    assert found(None) == []
    assert found({"of": 5}) == ["e3"]
    assert get(node, "/entity/a/count", generic_filter={"p": {"$ne": 1}})["total_count"] == 2


def test_an_entity_with_a_long_id_is_found(node: Node) -> None:
    long = "e" * 2_000
    node.store_points(dp("s", "x", long), dp("s", "x", "e2"))
    make_run(node)
    assert get(node, "/entity/a/count")["total_count"] == 2
    assert eids(get(node, "/entity/a/get", generic_filter={"eid": long})) == [long]


def test_values_that_only_snapshots_tell_are_counted_for_a_bounded_time(hosts: Node, enter: Enter) -> None:
    enter(listing_s(0.0))
    response = hosts.get("/entity/a/_/distinct/free")
    assert response.status_code == 503
    assert "0 s were not enough" in response.json()["detail"]
    assert get(hosts, "/entity/a/_/distinct/flag") == {"true": 1}


def test_many_entities_are_read_at_once_in_the_order_asked_for(hosts: Node) -> None:
    response = hosts.post("/entity/a/get", {"eids": ["e3", "nope", "e1"]})
    assert response.status_code == 200
    answer = response.json()
    assert eids(answer) == ["e3", "e1"]
    assert answer["time_created"] == NOW
    assert eids(hosts.post("/v2/entity/b/get", {"eids": ["7"]}).json()) == [7]


QUESTIONS: list[dict[str, Any]] = [
    {"generic_filter": {"p": {"$gte": 3}}, "sort": ["p:-1"], "skip": 1, "limit": 3},
    {"generic_filter": {"last.p": {"$lt": 4}}, "fulltext_filters": {"s": "HOST"}},
    {"fulltext_filters": {"eid": "[13]$"}, "sort": "s:-1"},
    {"generic_filter": {"ip": "$$IPv4Prefix{10.0.0.0/14}"}, "limit": 0},
    {"generic_filter": {"p": {"$gte": 3}}, "at": NOW, "sort": ["p:-1", "eid"], "limit": 2},
    {"limit": 4},
]


COUNTED = ("generic_filter", "fulltext_filters", "at")


@pytest.mark.parametrize("version", ["", "/v2"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_in_a_body_is_answered_as_one_in_the_url(
    hosts: Node, version: str, question: dict[str, Any]
) -> None:
    path = f"{version}/entity/a"
    page = get(hosts, f"{path}/get", **question)
    assert page["count"] > 0
    assert hosts.post(f"{path}/get", question).json() == page
    counted = {
        name: v for name, v in question.items() if name in ("generic_filter", "fulltext_filters", "at")
    }
    assert hosts.post(f"{path}/count", counted).json() == get(hosts, f"{path}/count", **counted)


def test_a_listing_by_body_continues_after_its_cursor(hosts: Node) -> None:
    question: dict[str, Any] = {"generic_filter": {"p": {"$gte": 3}}, "limit": 4}
    found: list[Any] = []
    while True:
        answer = hosts.post("/entity/a/get", question).json()
        found += eids(answer)
        if answer["cursor"] is None:
            break
        question["cursor"] = answer["cursor"]
    assert found == [f"e{i}" for i in range(3, 10)]


def test_a_list_of_9_999_texts_fits_into_a_body(hosts: Node) -> None:
    texts = [f"host {i:040}" for i in range(9_997)] + ["host a", "host b"]
    question = {"generic_filter": {"s": {"$in": texts}}}
    assert eids(hosts.post("/entity/a/get", question).json()) == ["e0", "e3", "e6", "e9"]
    assert hosts.post("/entity/a/count", question).json() == {"total_count": 4}
    left = {"generic_filter": {"s": {"$nin": texts, "$exists": True}}}
    assert hosts.post("/entity/a/count", left).json() == {"total_count": 0}


def lists_of_texts(count: int) -> dict[str, Any]:
    lists = [[f"{i} {j}" for j in range(9_998)] + ["host a"] for i in range(count)]
    return {"$and": [{"s": {"$in": texts}} for texts in lists]}


def test_lists_of_more_texts_than_the_store_takes_in_one_statement_are_found_all_the_same(
    hosts: Node,
) -> None:
    question = {"generic_filter": lists_of_texts(5)}
    assert hosts.post("/entity/a/count", question).json() == {"total_count": 2}
    assert eids(hosts.post("/entity/a/get", question).json()) == ["e0", "e6"]


LARGEST: list[tuple[dict[str, Any], int]] = [
    ({"ip": {"$in": [f"$$IPv4Prefix{{10.0.{i % 250}.{i // 250}/32}}" for i in range(1_000)]}}, 200),
    ({"ip": {"$in": [f"$$IPv4Prefix{{10.0.{i % 250}.{i // 250}/32}}" for i in range(9_999)]}}, 400),
    ({"$or": [{"p": {"$in": list(range(i, i + 9_999))}} for i in range(60)]}, 200),
    ({"$nor": [{"s": {"$in": [f"{i} {j}" for j in range(3_000)]}} for i in range(60)]}, 200),
]


@pytest.mark.parametrize(("generic", "status"), LARGEST)
def test_the_largest_questions_get_an_answer_in_time(hosts: Node, generic: Any, status: int) -> None:
    for path in ("/entity/a/count", "/entity/a/get"):
        response = hosts.post(path, {"generic_filter": generic})
        assert response.status_code == status, response.text[:300]


@pytest.mark.parametrize(
    ("path", "body", "loc"),
    [
        ("get", {"generic_filter": {}, "filter": {}}, ["body", "filter"]),
        ("get", {"eids": ["e1"], "limit": 1}, ["body", "eids"]),
        ("get", {"limit": -1}, ["body", "limit"]),
        ("get", {"cursor": "x"}, ["query", "cursor"]),
        ("count", {"limit": 1}, ["body", "limit"]),
        ("count", b"", ["body"]),
        ("count", b"[1", ["body", 2]),
        ("count", b'{"generic_filter": {"s": "\\ud800"}}', ["body", 0]),
        ("count", b'{"at": "yesterday"}', ["body", "at"]),
    ],
)
def test_wrong_questions_in_a_body_are_refused(hosts: Node, path: str, body: Any, loc: list[Any]) -> None:
    response = hosts.post(f"/entity/a/{path}", body)
    assert response.status_code == 422, response.text
    assert response.json()["detail"][0]["loc"] == loc


def test_a_question_has_a_limit(hosts: Node) -> None:
    response = hosts.post("/entity/a/count", {"generic_filter": {"s": "x" * MAX_QUESTION}})
    assert response.status_code == 413
    assert str(MAX_QUESTION) in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"eids": ["1", "x"]}, ["body", "eids", 1]),
        ({"eids": "1"}, ["body", "eids"]),
        ({}, ["body", "eids"]),
        ({"eids": list(range(10_001))}, ["body", "eids"]),
        (b"[", ["body", 1]),
    ],
)
def test_wrong_ids_are_refused(shared_node: Node, body: Any, loc: list[Any]) -> None:
    response = shared_node.post("/entity/b/get", body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == loc


# -- the series of one entity --------------------------------------------------------------------------


def test_series_has_a_snapshot_for_every_run_though_only_changes_are_stored(node: Node) -> None:
    node.store_points(dp("p", 1))
    times = []
    for value in (None, 2, None):
        if value:
            node.store_points(dp("p", value))
        make_run(node)
        node.clock.advance(29.5)
    times = [NOW, LATER, "2020-01-01T12:01:00Z"]
    series = get(node, "/entity/a/e1/snapshots")
    assert series == [
        {"eid": "e1", "p": p, "_time_created": t} for p, t in zip((1, 2, 2), times, strict=True)
    ]
    assert len(node.store.snapshots.of("a", "e1")) == 2
    assert get(node, "/v2/entity/a/snapshots", eid="e1", skip=1, limit=1) == series[1:2]
    assert get(node, "/entity/a/e1/snapshots", date_from=LATER, date_to=LATER) == series[1:2]


def test_confidence_in_the_series_is_that_of_each_run(node: Node) -> None:
    node.store_points(obs("o", 5))
    make_run(node)
    node.clock.advance(1800 - 0.5)
    make_run(node)
    assert [row["o#c"] for row in get(node, "/entity/a/e1/snapshots")] == [1.0, 0.5]
    assert get(node, "/entity/a/get")["data"][0]["o#c"] == 0.5


def test_series_begins_with_the_first_run_that_saw_the_entity(node: Node) -> None:
    make_run(node)
    node.store_points(dp("p", 1))
    assert get(node, "/entity/a/e1/snapshots") == []
    make_run(node)
    assert len(get(node, "/entity/a/e1/snapshots")) == 1


def test_series_has_no_old_values_for_a_run_that_ends_meanwhile(node: Node, enter: Enter) -> None:
    node.store_points(dp("p", 1))
    make_run(node)
    node.store_points(dp("p", 2))

    def read_while_a_run_ends(read: Any, etype: str, eid: str) -> Any:
        rows = read(etype, eid)
        make_run(node)
        return rows

    enter(run_reads(node.store, read_while_a_run_ends))
    assert [row["p"] for row in get(node, "/entity/a/e1/snapshots")] == [1]


def test_everything_about_an_entity_in_one_answer(node: Node) -> None:
    node.store_points(dp("p", 1))
    make_run(node)
    answer = get(node, "/entity/a/e1")
    assert answer == {
        "empty": False,
        "master_record": {"p": {"v": 1, "ts_last_update": NOW}, "#time_created": NOW},
        "snapshots": [{"eid": "e1", "p": 1, "_time_created": NOW}],
    }
    assert get(node, "/v2/entity/a", eid="e1") == get(node, "/v2/entity/a/", eid="e1") == answer
    assert get(node, "/entity/a/e1", date_from=LATER)["snapshots"] == []


def test_values_that_hooks_set_are_in_snapshots_and_can_be_asked_for(node: Node) -> None:
    node.store_points(dp("p", 1), dp("p", 2, "e2"))
    make_run(node, {("a", "e1"): {"s": "hooked", "extra": {"risk": 0.5}}})
    assert get(node, "/entity/a/get", generic_filter={"last.s": "hooked"})["data"] == [
        {"eid": "e1", "p": 1, "s": "hooked", "extra": {"risk": 0.5}}
    ]
    assert eids(get(node, "/entity/a/get", generic_filter={"last.extra.risk": {"$gt": 0.1}})) == ["e1"]
    assert "s" not in get(node, "/entity/a/e1/master")


def test_deleted_entity_is_nowhere(node: Node) -> None:
    node.store_points(dp("p", 1))
    make_run(node)
    node.request("DELETE", "/entity/a/e1")
    node.process()
    assert get(node, "/entity/a/e1") == {"empty": True, "master_record": {}, "snapshots": []}
    assert get(node, "/entity/a/get")["data"] == []
    assert get(node, "/entity/a/count") == {"total_count": 0}


# -- values at a moment --------------------------------------------------------------------------------

EARLIER = "2020-01-01T11:00:00Z"


@pytest.fixture
def past(node: Node) -> Node:
    """o was 1 until 10:30 and is 2 since 11:30; the plain value came at 12:00."""
    node.store_points(
        obs("o", 1, "2020-01-01T10:00:00Z", t2="2020-01-01T10:30:00Z"),
        obs("o", 2, "2020-01-01T11:30:00Z", t2=NOW, c=0.8),
        dp("p", 1),
    )
    return node


def test_attribute_at_a_moment_has_the_value_of_then(past: Node) -> None:
    at = {"at": "2020-01-01T10:15:00Z"}
    answer = get(past, "/entity/a/e1/get/o", **at)
    assert answer["current_value"] == 1
    assert [interval["v"] for interval in answer["history"]] == [1]
    assert get(past, "/entity/a/e1/get/p", **at)["current_value"] is None
    assert get(past, "/entity/a/e1/get/p", at=LATER)["current_value"] == 1
    assert get(past, "/entity/a/e1/get/o", at="2019-01-01")["current_value"] is None


def test_entity_at_a_moment_has_its_values_as_one_snapshot(past: Node) -> None:
    answer = get(past, "/entity/a/e1", at="2020-01-01T10:45:00Z")
    assert answer["snapshots"] == [
        {"eid": "e1", "o": 1, "o#c": 0.75, "_time_created": "2020-01-01T10:45:00Z"}
    ]
    assert [row["v"] for row in answer["master_record"]["o"]] == [1, 2]
    assert "p" not in answer["master_record"]
    assert [row["v"] for row in get(past, "/entity/a/e1/master", at=NOW)["o"]] == [2]


def test_list_at_a_moment_needs_no_run(past: Node) -> None:
    answer = get(past, "/entity/a/get", at=EARLIER, generic_filter={"o": 1})
    assert answer == {
        "time_created": EARLIER,
        "count": 1,
        "data": [{"eid": "e1", "o": 1, "o#c": 0.5}],
        "cursor": None,
    }
    assert get(past, "/entity/a/count", at="2020-01-01T10:00:00Z", generic_filter={"o": 1}) == {
        "total_count": 1
    }
    assert get(past, "/entity/a/get", at="2019-01-01")["data"] == []


def test_list_at_a_moment_can_be_continued(hosts: Node) -> None:
    first = get(hosts, "/entity/a/get", at=NOW, limit=6)
    rest = get(hosts, "/entity/a/get", at=NOW, limit=6, cursor=first["cursor"])
    assert eids(first) + eids(rest) == [f"e{i}" for i in range(10)]
    assert rest["cursor"] is None


@pytest.mark.parametrize("limit", [1, 2])
def test_list_at_a_moment_has_the_entity_whose_id_is_empty(node: Node, limit: int) -> None:
    node.store_points(dp("p", 1, ""), dp("p", 1, "x"))
    first = get(node, "/entity/a/get", at=NOW, limit=limit)
    rest = (
        get(node, "/entity/a/get", at=NOW, limit=2, cursor=first["cursor"])
        if first["cursor"] is not None
        else {"data": []}
    )
    assert eids(first) + eids(rest) == ["", "x"]


def test_nothing_is_there_before_it_was_known(node: Node) -> None:
    node.store_points(dp("p", 1, 7, "b"), dp("p", 1, 10, "b"), obs("l", {"eid": 7}, id="e1"))
    before = {"at": "2019-01-01"}
    nothing = {"empty": True, "master_record": {}, "snapshots": []}
    assert get(node, "/entity/b/10", **before) == nothing
    assert get(node, "/entity/a/e1", **before) == nothing
    assert get(node, "/entity/b/10/get/as", **before)["current_value"] is None
    assert eids(get(node, "/entity/b/get", **before)) == [7], "linked to: mirrors tell of links known now"
    assert eids(get(node, "/entity/b/get", at=LATER)) == [10, 7], "by id as text"


# -- control and telemetry -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_run_can_be_asked_for(node: Node, method: str) -> None:
    response = node.request(method, "/control/make_snapshots")
    (message,) = node.store.control.pending(0)
    assert response.json() == {"detail": "Action sent.", "id": str(message.id)}
    assert (message.action, message.args) == ("make_snapshots", {})


def test_what_became_of_a_request_can_be_asked(node: Node) -> None:
    id_ = node.post("/control/make_snapshots").json()["id"]
    assert get(node, f"/control/results/{id_}") == {"done": False, "results": [None]}
    node.process()
    run = node.store.runs.last(1)[0].id
    complete = {"run": run, "status": "complete"}
    assert get(node, f"/control/results/{id_}") == {"done": True, "results": [complete]}
    unknown = node.request("GET", "/control/results/17")
    assert (unknown.status_code, "17 doesn't exist" in unknown.json()["detail"]) == (404, True)


def test_a_request_that_is_done_while_it_is_asked_about_is_known(node: Node, enter: Enter) -> None:
    id_ = int(node.post("/control/make_snapshots").json()["id"])

    def done_right_after(results: Any, ids: Any) -> Any:
        found = results(ids)
        lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
        node.store.batches.commit(lease, Batch(control_done=[(id_, {"done": 1})]))
        return found

    enter(control_results(node.store, done_right_after))
    assert get(node, f"/control/results/{id_}") == {"done": False, "results": [None]}


def test_a_run_that_was_asked_for_is_done_when_it_is_over(node: Node) -> None:
    id_ = node.post("/control/make_snapshots").json()["id"]
    run = node.store.runs.begin(1, "model", 1)
    assert run is not None
    node.store.batches.commit(
        node.store.leases.take(0, 1, Holder("host", 1), 15), Batch(control_done=[(int(id_), {"run": run.id})])
    )
    under_way = {"progress": {"run": run.id, "phase": "init"}}
    assert get(node, f"/control/results/{id_}") == {"done": False, "results": [under_way]}
    node.store.runs.advance(run.id, Phase.CLOSED, "partial: for a test", {})
    over = {"run": run.id, "status": "partial: for a test"}
    assert get(node, f"/control/results/{id_}") == {"done": True, "results": [over]}


def test_an_action_that_is_not_allowed_is_refused(make_node: MakeNode) -> None:
    node = make_node(allowed_actions=["refresh_module_config"])
    refused = node.request("POST", "/control/make_snapshots")
    assert (refused.status_code, "allowed_actions in control.yml" in refused.text) == (403, True)
    assert node.store.control.pending(0) == []


def test_only_enabled_modules_can_be_refreshed_by_all_workers(make_node: MakeNode) -> None:
    node = make_node(modules=["alarm", "rack", "load"], worker_processes=2)
    refused = node.request("POST", "/control/refresh_module_config?module=alram")
    assert refused.status_code == 422
    expected = "'alarm', 'rack' or 'load'"
    assert refused.json()["detail"] == [
        {
            "type": "enum",
            "loc": ["query", "module"],
            "msg": f"Input should be {expected}",
            "input": "alram",
            "ctx": {"expected": expected},
        }
    ]
    missing = node.request("GET", "/control/refresh_module_config")
    assert (missing.status_code, missing.json()["detail"][0]["type"]) == (422, "missing")
    sent = node.post("/control/refresh_module_config?module=alarm").json()["id"]
    messages = [node.store.control.pending(worker)[0] for worker in (0, 1)]
    assert sent == "-".join(str(message.id) for message in messages)
    assert {message.args["module"] for message in messages} == {"alarm"}


def test_creation_hooks_can_be_called_again_by_all_workers_for_a_known_type(make_node: MakeNode) -> None:
    node = make_node(worker_processes=2)
    sent = node.post("/control/refresh_on_entity_creation?etype=a").json()["id"]
    messages = [node.store.control.pending(worker)[0] for worker in (0, 1)]
    assert sent == "-".join(str(message.id) for message in messages)
    assert [message.args for message in messages] == [{"etype": "a"}, {"etype": "a"}]
    unknown = node.request("GET", "/control/refresh_on_entity_creation?etype=aa")
    assert unknown.status_code == 422
    assert unknown.json()["detail"][0]["msg"] == "Entity type 'aa' doesn't exist; did you mean 'a'?"
    missing = node.request("GET", "/control/refresh_on_entity_creation")
    assert missing.status_code == 422
    assert (missing.json()["detail"][0]["type"], missing.json()["detail"][0]["loc"]) == (
        "missing",
        ["query", "etype"],
    )


def test_how_far_the_refresh_is_and_what_it_did_can_be_asked(make_node: MakeNode) -> None:
    hook_calls: list[str] = []

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_on_entity_creation_hook(lambda eid, task: hook_calls.append(eid), "a")

    node = make_node(register=register)
    node.store_points(dp("p", 1), dp("p", 1, "e2"))
    hook_calls.clear()
    path = f"/control/results/{node.post('/control/refresh_on_entity_creation?etype=a').json()['id']}"
    node.process()
    assert sorted(hook_calls) == ["e1", "e2"]
    assert get(node, path) == {"done": True, "results": [{"entities": 2, "tasks": 0, "failures": 0}]}


def test_run_that_was_asked_for_shows_values_links_and_what_hooks_set(make_node: MakeNode) -> None:
    def set_s(etype: str, values: dict[str, Any]) -> None:
        values["s"] = "hooked"

    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_correlation_hook(set_s, "a", [["p"]], [["s"]])

    node = make_node(register=register)
    node.store_points(
        dp("p", 1),
        dp("ip", "1.1.1.1"),
        dp("arr", ["x", "y"]),
        obs("o", 5, c=0.5),
        obs("om", "k"),
        obs("l", {"eid": 7}),
        dp("p", 1, 7, "b"),
    )
    node.post("/control/make_snapshots")
    node.process()
    e1 = {
        "eid": "e1",
        "p": 1,
        "ip": "1.1.1.1",
        "arr": ["x", "y"],
        "o": 5,
        "o#c": 0.5,
        "om": ["k"],
        "om#c": [1.0],
        "l": [{"eid": 7}],
        "l#c": [1.0],
        "s": "hooked",
    }
    assert get(node, "/entity/a/get", fulltext_filters={"s": "hook"})["data"] == [e1]
    assert get(node, "/entity/a/e1/snapshots") == [e1 | {"_time_created": NOW}]
    assert get(node, "/entity/b/get")["data"] == [{"eid": 7, "p": 1, "as": [{"eid": "e1"}]}]
    assert "s" not in get(node, "/entity/a/e1/master")
    assert get(node, "/telemetry/snapshot_summary")["entities"] == 2


def test_summary_tells_age_size_and_duration_of_runs(node: Node) -> None:
    nothing = {"latest_age": None, "finished_age": None, "entities": None, "total_s": None}
    assert get(node, "/telemetry/snapshot_summary") == nothing
    node.store_points(dp("p", 1), dp("p", 1, "e2"))
    make_run(node)
    node.clock.advance(9.5)
    complete = {"latest_age": 10.0, "finished_age": 10.0, "entities": 2, "total_s": 0.5}
    assert get(node, "/telemetry/snapshot_summary") == complete
    make_run(node, status="partial: no sign of life of worker 1")
    assert get(node, "/telemetry/snapshot_summary") == complete | {"latest_age": 0.5, "finished_age": 10.5}


def test_metadata_lists_runs_as_existing_clients_know_them(node: Node) -> None:
    node.store_points(dp("p", 1))
    make_run(node)
    node.clock.advance(29.5)
    make_run(node, status="partial: because")
    newest, oldest = get(node, "/telemetry/metadata")
    assert oldest["_id"] == "SnapShooter2020-01-01T12:00:00.000000Zw0"
    known = {"#module": "SnapShooter", "#time_created": NOW, "#last_update": "2020-01-01T12:00:00.500000Z"}
    assert oldest.items() >= known.items()
    assert (oldest["entities"], oldest["workers_finished"], oldest["linked_finished"]) == (1, 1, True)
    assert (oldest["status"], newest["status"]) == ("complete", "partial: because")
    assert get(node, "/telemetry/metadata", sort="oldest", limit=1) == [oldest]
    assert get(node, "/telemetry/metadata", skip=1) == [oldest]
    assert get(node, "/telemetry/metadata", date_from=LATER, module="SnapShooter") == [newest]
    assert get(node, "/telemetry/metadata", module="Updater") == []


def test_metadata_of_a_long_life_is_read_in_part_only(node: Node, enter: Enter) -> None:
    for _ in range(5):
        make_run(node)
        node.clock.advance(30)
    enter(listed_runs(3))
    assert len(get(node, "/telemetry/metadata")) == 3
    assert len(get(node, "/telemetry/metadata", sort="oldest", skip=4)) == 1
