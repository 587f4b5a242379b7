"""Times in answers end in `Z`; with `timestamps: naive` they have no zone, whatever the route."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from dp3.config.kinds import CronExpression
from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.canonical import MAX_DEPTH
from dp3.model.spec import ModelSpec
from dp3.store.ports.batches import Stream
from dp3.store.ports.counters import EventGroup
from dp3.store.ports.leases import Holder
from dp3.store.ports.lifetimes import Collection, CollectionSlice
from dp3.store.ports.retention import RetentionPass, RetentionSlice
from dp3.store.ports.sizes import AttributeSize, SizeReport
from dp3.store.ports.updates import UpdateBatch, UpdateCycle, UpdateGroup
from kit.http_runs import make_run
from kit.node import NOW, NOW_US, Node, dp, obs
from kit.specs import a_type, hourly, plain_attr, series_attr

MakeNode = Callable[..., Node]

TIMES = {"x": {"data_type": "int"}, "at": {"data_type": "time"}}

MODEL = ModelSpec(
    {
        "a": a_type(
            "a",
            {
                "plain": plain_attr("time"),
                "list": plain_attr("array<time>"),
                "unique": plain_attr("set<time>"),
                "parts": plain_attr("dict<at:time,name:string,until?:time>"),
                "year": plain_attr("category<time;2020,2021>"),
                "to": plain_attr("link<b,time>"),
                "tos": plain_attr("array<link<b,dict<since:time,note:string>>>"),
                "observed": hourly("time"),
                "several": hourly("time", multi_value=True),
                "linked": hourly("link<b,array<time>;mirror=by>", multi_value=True),
                "regular": series_attr(series=TIMES),
                "irregular": series_attr("irregular", series=TIMES),
                "intervals": series_attr("irregular_intervals", series=TIMES),
                "text": plain_attr("string"),
                "texts": hourly("string", multi_value=True),
                "free": plain_attr("special"),
                "js": plain_attr("json"),
            },
        ),
        "b": a_type("b", {"p": plain_attr("int")}, lifetime={"type": "ttl", "on_create": "1h"}),
    }
)

EARLY = "2020-01-01T11:00:00.123Z"
DATA = [
    dp("plain", EARLY, src="s"),
    dp("list", [NOW, EARLY]),
    dp("unique", [NOW, EARLY]),
    dp("parts", {"at": EARLY, "name": "n"}),
    dp("to", {"eid": "b1", "data": EARLY}),
    dp("tos", [{"eid": "b1", "data": {"since": EARLY, "note": "n"}}]),
    obs("observed", EARLY, src="s"),
    obs("several", EARLY),
    obs("several", NOW),
    obs("linked", {"eid": "b1", "data": [EARLY, NOW]}),
    obs("regular", {"x": [1], "at": [EARLY]}, t1="2020-01-01T11:55:00Z", src="r"),
    obs("irregular", {"time": [NOW], "x": [1], "at": [EARLY]}),
    obs("intervals", {"time_first": [EARLY], "time_last": [NOW], "x": [1], "at": [NOW]}, t1=EARLY, t2=NOW),
    dp("p", 1, "b1", "b"),
]

ENTITIES = [
    "/entity/a/get",
    "/entity/a/get?at=2020-01-01T12:00:01",
    "/entity/a/count",
    "/entity/a/_/distinct/plain",
    "/entity/a/_/distinct/list",
    "/entity/a/_/distinct/observed",
    "/entity/a/_/distinct/several",
    "/entity/a/_/distinct/year",
    "/entity/a/raw/get",
    "/entity/a/raw/get?attr=irregular",
    "/entity/b/get",
    "/entity/b/b1",
]
V1 = [
    *ENTITIES,
    "/entity/a/e1",
    "/entity/a/e1?at=2020-01-01T12:00:01",
    "/entity/a/e1/master",
    "/entity/a/e1/master?at=2020-01-01T12:00:01",
    "/entity/a/e1/snapshots",
    "/entity/b/b1/get/by",
    *(
        f"/entity/a/e1/get/{attr}{more}"
        for attr in MODEL.attribs("a")
        for more in ("", "?date_to=2030-01-01")
    ),
]
V2 = [
    *(f"/v2{url}" for url in ENTITIES[:-1]),
    "/v2/entity/a?eid=e1",
    "/v2/entity/a/master?eid=e1",
    "/v2/entity/a/snapshots?eid=e1",
    *(f"/v2/entity/a/attr?eid=e1&attr={attr}" for attr in MODEL.attribs("a")),
]
REQUEST = str(NOW_US + 500_000)
OTHERS = [
    "/",
    "/entities",
    "/health/live",
    "/health/ready",
    "/control/make_snapshots",
    f"/control/results/{REQUEST}",
    "/telemetry/attribute_bson_sizes",
    "/telemetry/collections",
    "/telemetry/entities_per_attr",
    "/telemetry/event_counts?group=te&interval=5m",
    "/telemetry/log",
    "/telemetry/metadata",
    "/telemetry/rabbitmq/queues",
    "/telemetry/retention",
    "/telemetry/snapshot_summary",
    "/telemetry/sources_age",
    "/telemetry/sources_validity",
    "/telemetry/updates",
    "/deadletters",
    "/deadletters/1",
    "/deadletters/summary",
]
WITHOUT_TIMES = re.compile(
    r"/|/entities|/health/.*|/control/.*|/telemetry/(entities_per_attr|log|rabbitmq/queues|snapshot_summary|"
    r"sources_age)|.*/count|.*(/get/|attr=)(text|texts|free|js|by|year)(\?.*)?"
).fullmatch
"""Routes whose answers tell no times."""

_is_time = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?").fullmatch


def fails(registrar: CallbackRegistrar) -> None:
    def hook(eid: str, dp: Any) -> None:
        raise ValueError("no")

    for attr in ("plain", "irregular"):
        registrar.register_on_new_attr_hook(hook, "a", attr)


def filled(node: Node) -> Node:
    """Data of every type, and something to tell for each route."""
    node.store_points(*DATA)
    node.post("/entity/b/b1/ttl", {"token": "2020-01-01T13:00:00"})
    node.process()
    make_run(node, {("a", "e1"): {"year": "1970-01-01T00:33:40Z"}})
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    report = SizeReport(NOW_US, 1, {"plain": AttributeSize(1, 1, 1, 1)})
    node.store.sizes.put(lease, {"a": report, "b": SizeReport(NOW_US, 0, {})})
    node.store.retention.write(lease, RetentionSlice(RetentionPass(0, NOW_US, NOW_US)))
    node.store.lifetimes.write_collection(lease, CollectionSlice(Collection(0, NOW_US, 1, NOW_US, "ttl", 0)))
    group = UpdateGroup("periodic_update", node.store.names.etype_id("a"), 60_000_000)
    cycle = UpdateCycle(group, 0, NOW_US, NOW_US, 1, 1, 1, 0, True)
    node.store.updates.write(lease, UpdateBatch(group, Stream.UPDATES, cycles=[cycle]))
    assert node.post("/control/make_snapshots").json()["id"] == REQUEST
    return node


@pytest.fixture(scope="module")
def naive(tmp_path_factory: pytest.TempPathFactory, runner: Any) -> Iterator[Node]:
    yield from _a_node(tmp_path_factory, runner, timestamps="naive")


@pytest.fixture(scope="module")
def zoned(tmp_path_factory: pytest.TempPathFactory, runner: Any) -> Iterator[Node]:
    yield from _a_node(tmp_path_factory, runner)


def _a_node(tmp: pytest.TempPathFactory, runner: Any, **settings: Any) -> Iterator[Node]:
    groups = {"te": EventGroup((timedelta(minutes=5),))}
    node = Node(
        tmp.mktemp("times"),
        runner,
        settings=settings,
        reads={"run_rate": CronExpression(hour=2)},
        model=MODEL,
        register=fails,
        event_groups=groups,
    )
    yield filled(node)
    node.close()


def times_in(content: Any) -> Iterator[str]:
    """All texts that look like times, those in keys as well."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from times_in(key)
            yield from times_in(value)
    elif isinstance(content, list):
        for value in content:
            yield from times_in(value)
    elif isinstance(content, str) and _is_time(content):
        yield content


def without_zones(content: Any) -> Any:
    """The content with all times as they are when they are naive."""
    if isinstance(content, dict):
        return {without_zones(key): without_zones(value) for key, value in content.items()}
    if isinstance(content, list):
        return [without_zones(value) for value in content]
    return content.removesuffix("Z") if isinstance(content, str) and _is_time(content) else content


def get(node: Node, url: str) -> Any:
    response = node.get(url)
    assert response.status_code in (200, 503 if url == "/health/ready" else 200), response.text
    return response.json()


def test_every_route_that_answers_with_json_is_looked_at(naive: Node) -> None:
    described = naive.get("/openapi.json").json()["paths"]
    patterns = {path: re.sub(r"\\{\w+\\}", "[^/?]+", re.escape(path)) for path in described}
    asked = [url.partition("?")[0] for url in (*V1, *V2, *OTHERS)]
    missed = [
        path
        for path, item in described.items()
        if "get" in item and not any(re.fullmatch(patterns[path], url) for url in asked)
    ]
    assert missed == []


@pytest.mark.parametrize("url", [*V1, *V2, *OTHERS])
def test_no_time_has_a_zone_when_times_are_naive_and_else_all_have(
    naive: Node, zoned: Node, url: str
) -> None:
    without, usual = get(naive, url), get(zoned, url)
    times = list(times_in(usual))
    assert [time for time in times if not re.search(r":\d\d(\.\d{6})?Z$", time)] == []
    assert without == without_zones(usual)
    assert bool(times) != bool(WITHOUT_TIMES(url))


LOOKS_LIKE_ONE = "2020-01-01T00:00:00Z"


def test_texts_of_other_types_stay_as_they_are(make_node: MakeNode) -> None:
    node = make_node(settings={"timestamps": "naive"}, model=MODEL)
    values = {
        "text": LOOKS_LIKE_ONE,
        "free": [LOOKS_LIKE_ONE, {"at": LOOKS_LIKE_ONE}],
        "js": {"at": LOOKS_LIKE_ONE, LOOKS_LIKE_ONE: 1},
    }
    node.store_points(
        *(dp(attr, v, LOOKS_LIKE_ONE) for attr, v in values.items()),
        dp("parts", {"at": EARLY, "name": LOOKS_LIKE_ONE}, LOOKS_LIKE_ONE),
        dp("plain", EARLY, LOOKS_LIKE_ONE, src=LOOKS_LIKE_ONE),
    )
    make_run(node, {("a", LOOKS_LIKE_ONE): {"plain": "Z"}})
    (snapshot,) = node.get("/entity/a/get").json()["data"]
    master = node.get(f"/entity/a/{LOOKS_LIKE_ONE}/master").json()
    raw = node.get("/entity/a/raw/get").json()["data"]
    parts = {"at": "2020-01-01T11:00:00.123000", "name": LOOKS_LIKE_ONE, "until": None}
    assert snapshot | values | {"parts": parts, "plain": "Z", "eid": LOOKS_LIKE_ONE} == snapshot
    assert {attr: master[attr]["v"] for attr in values} == values
    assert {row["attr"]: row["v"] for row in raw} == values | {"parts": parts, "plain": parts["at"]}
    assert {row["id"] for row in raw} == {LOOKS_LIKE_ONE}
    assert node.get("/entity/a/_/distinct/text").json() == {LOOKS_LIKE_ONE: 1}


def test_values_of_the_greatest_depth_are_shown(make_node: MakeNode) -> None:
    node = make_node(settings={"timestamps": "naive"}, model=MODEL)
    value: Any = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    node.store_points(dp("free", value))
    assert node.get("/entity/a/e1/get/free").json()["current_value"] == value
    assert node.get("/entity/a/raw/get").json()["data"][0]["v"] == value


@pytest.mark.parametrize("sent", [EARLY, EARLY.removesuffix("Z"), "2020-01-01T12:00:00.123+01:00"])
def test_times_are_taken_with_and_without_zone(naive: Node, sent: str) -> None:
    last = {"plain": sent}
    assert naive.get("/entity/a/count", params={"generic_filter": json.dumps(last)}).json() == {
        "total_count": 1
    }
    between = {"date_from": sent, "date_to": sent}
    (interval,) = naive.get("/entity/a/e1/get/intervals", params=between).json()["history"]
    assert interval["t1"] == "2020-01-01T11:00:00.123000"
    assert naive.get("/entity/b/b1/master", params={"at": sent}).json() == {}
    assert naive.send(dp("plain", sent), obs("observed", sent, t1=sent)).status_code == 200


def test_errors_show_what_was_sent(naive: Node) -> None:
    (error,) = naive.send(obs("observed", NOW, t1=NOW, t2=EARLY)).json()["detail"]
    assert (error["loc"][-1], error["input"]) == ("t2", EARLY)


def test_a_question_in_a_body_is_answered_likewise(naive: Node) -> None:
    by_url = naive.get("/entity/a/get").json()
    assert naive.post("/entity/a/get", {"limit": 20}).json() == by_url
    assert naive.post("/entity/a/get", {"eids": ["e1"]}).json()["data"] == by_url["data"]


def test_times_of_runs_are_naive_and_times_in_warnings_stay(naive: Node) -> None:
    runs = {"last": "2020-01-01T12:00:00", "next": "2020-01-02T02:00:00"}
    for answer in (
        naive.get("/entity/a/get", params={"colour": "x"}).json(),
        naive.post("/entity/a/get", {"eids": ["e1"]}).json(),
    ):
        assert answer["snapshot"] == runs
    sent = naive.send(obs("observed", NOW, t1="2020-01-03T12:00:00")).json()
    assert sent["warnings"][0].endswith("the furthest is 2020-01-03T12:00:00Z")


def test_answers_with_naive_times_have_room_for_warnings(naive: Node) -> None:
    for url in ("/entity/a/get", "/entity/a/e1", "/entity/a/e1/get/observed", "/entity/a/raw/get"):
        (warning,) = naive.get(url, params={"colour": "x"}).json()["warnings"]
        assert warning.startswith("unknown parameter 'colour' has no effect")
