"""Routes about sources, attributes, events and queues, and the metrics for Prometheus."""

import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dp3.clock import FakeClock
from dp3.engine.statistics import Statistics
from dp3.hooks.registrar import CallbackRegistrar
from dp3.http.metrics import MOST_SOURCES
from dp3.store.ports.batches import Batch
from dp3.store.ports.counters import EventGroup, HookSums, SourceSums
from dp3.store.ports.leases import Holder
from dp3.store.ports.retention import RetentionPass, RetentionSlice
from dp3.store.ports.sizes import AttributeSize, SizeReport
from kit.limits import Enter, counting_s
from kit.node import MODEL, NOW, NOW_US, Node, dp, obs

MakeNode = Callable[..., Node]

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def metrics(node: Node, query: str = "") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples by name and labels."""
    response = node.get(f"/metrics{query}")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}


def sample(node: Node, name: str, **labels: str) -> float:
    return metrics(node)[name, frozenset(labels.items())]


def test_sources_are_told_with_the_end_of_their_data(node: Node) -> None:
    node.store_points(
        obs("o", 1, src="late", t2="2020-01-01T12:30:00Z"),
        obs("o", 2, src="early", t1="2020-01-01T11:00:00Z", t2="2020-01-01T11:58:01Z"),
        dp("p", 1, src="plain"),
    )
    response = node.get("/telemetry/sources_validity")
    assert list(response.json().items()) == [
        ("early", "2020-01-01T11:58:01Z"),
        ("late", "2020-01-01T12:30:00Z"),
    ]


@pytest.mark.parametrize(
    ("query", "early", "late"), [("", 1, -30), ("?unit=minutes", 1, -30), ("?unit=seconds", 119, -1800)]
)
def test_ages_of_sources_are_whole_and_cut_off(node: Node, query: str, early: int, late: int) -> None:
    node.store_points(
        obs("o", 1, src="late", t2="2020-01-01T12:30:00Z"),
        obs("o", 2, src="early", t1="2020-01-01T11:00:00Z", t2="2020-01-01T11:58:01Z"),
    )
    assert node.get(f"/telemetry/sources_age{query}").json() == {"early": early, "late": late}


def test_another_unit_is_refused(node: Node) -> None:
    response = node.get("/telemetry/sources_age?unit=hours")
    assert response.status_code == 422
    assert response.json()["detail"][0]["type"] == "literal_error"


def test_entities_are_counted_by_attribute(node: Node) -> None:
    node.store_points(dp("p", 1, "e1"), dp("p", 1, "e2"), obs("o", 1), obs("o", 2))
    node.store_points(obs("l", {"eid": 5}))
    counts = node.get("/telemetry/entities_per_attr").json()
    assert {attr: n for attr, n in counts["a"].items() if n} == {"p": 2, "o": 1, "l": 1}
    assert counts["b"] == {"p": 0, "as": 0}, "mirrors have no data of their own"


def test_counting_entities_ends_after_its_time(node: Node, enter: Enter) -> None:
    node.store_points(dp("p", 1))
    enter(counting_s(0))
    response = node.get("/telemetry/entities_per_attr")
    assert (response.status_code, response.json()) == (503, {"detail": "counting took more than 0 s"})


def test_sizes_of_attributes_are_those_last_measured(node: Node) -> None:
    assert node.get("/telemetry/attribute_bson_sizes").json() == {}
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    sizes = {"p": AttributeSize(4, 1, 5, 10)}
    node.store.sizes.put(lease, {"a": SizeReport(NOW_US, 1_500_000, sizes), "b": SizeReport(NOW_US, 0, {})})
    answer = node.get("/telemetry/attribute_bson_sizes").json()
    assert (answer["a"]["calculated_at"], answer["a"]["duration_s"]) == ("2020-01-01T12:00:00Z", 1.5)
    assert answer["a"]["attributes"]["p"] == {"count": 4, "min": 1, "mean": 2.5, "max": 5, "total": 10}
    assert answer["b"]["duration_s"] == 0.0


def test_sizes_are_told_of_every_configured_attribute_and_no_other(node: Node) -> None:
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    report = SizeReport(NOW_US, 1, {"gone": AttributeSize(4, 1, 5, 10)})
    node.store.sizes.put(lease, dict.fromkeys(("a", "b", "gone"), report))
    answer = node.get("/telemetry/attribute_bson_sizes").json()
    assert {etype: list(sizes["attributes"]) for etype, sizes in answer.items()} == {
        "a": list(MODEL.attribs("a")),
        "b": ["p", "as"],
    }
    without_data = {"count": 0, "min": None, "mean": None, "max": None, "total": 0}
    assert {json.dumps(size) for etype in answer for size in answer[etype]["attributes"].values()} == {
        json.dumps(without_data)
    }


def test_queues_are_the_lanes_of_the_workers(make_node: MakeNode) -> None:
    node = make_node(worker_processes=2)
    node.send(dp("p", 1))
    node.store.leases.take(1, 2, Holder("host", 1), 15)
    queues = node.get("/telemetry/rabbitmq/queues").json()["queues"]
    assert [(q["name"], q["queue"]) for q in queues] == [
        ("worker-0", "0-main"),
        ("worker-0-pri", "0-pri"),
        ("worker-1", "1-main"),
        ("worker-1-pri", "1-pri"),
    ]
    assert [(q["total"], q["ready"], q["consumers"]) for q in queues] == [
        (1, 1, 0),
        (0, 0, 0),
        (1, 1, 1),
        (0, 0, 1),
    ]
    assert [q["message_bytes"] > 0 for q in queues] == [True, False, True, False]
    numbers = {"unacked": 0, "memory": 0, "incoming": 0.0, "outgoing": 0.0}
    assert all(numbers.items() <= q.items() for q in queues)


@pytest.fixture
def counting(make_node: MakeNode) -> Node:
    return make_node(event_groups={"te": EventGroup((timedelta(minutes=5), timedelta(hours=2)))})


def test_events_of_an_interval_are_told(counting: Node) -> None:
    answer = counting.get("/telemetry/event_counts?group=te&interval=5m").json()
    assert answer == {
        "group": "te",
        "interval": "5m",
        "since": "2020-01-01T12:00:00Z",
        "current": {},
        "last": {},
    }


@pytest.mark.parametrize(
    ("query", "where", "message"),
    [
        ("group=x&interval=5m", "group", "Group 'x' is not counted; those that are: te"),
        ("group=te&interval=1m", "interval", "Group 'te' is counted over 0:05:00, 2:00:00, got 1m"),
        ("group=te&interval=soon", "interval", "Invalid time duration string"),
    ],
)
def test_events_that_are_not_counted_are_refused(
    counting: Node, query: str, where: str, message: str
) -> None:
    response = counting.get(f"/telemetry/event_counts?{query}")
    assert response.status_code == 422
    (error,) = response.json()["detail"]
    assert error["loc"] == ["query", where]
    assert message in error["msg"]


def test_what_was_accepted_and_refused_is_counted(node: Node) -> None:
    node.send(dp("p", 1), dp("p", 2))
    key = {"Idempotency-Key": "k"}
    for _ in range(2):
        node.send(dp("p", 3), headers=key)
    node.send(dp("p", "no number"))
    assert sample(node, "dp3_accepted_requests_total") == 2
    assert sample(node, "dp3_accepted_datapoints_total") == 3
    assert sample(node, "dp3_refused_requests_total", status="422") == 1


@pytest.mark.parametrize(
    ("query", "place"),
    [("", {"lane": "main"}), ("?by_partition=true", {"lane": "main", "partition": "0"})],
)
def test_what_waits_in_the_log_is_told_by_lane_and_if_asked_for_by_partition(
    node: Node, query: str, place: dict[str, str]
) -> None:
    node.send(dp("p", 1))
    node.clock.advance(3)

    def backlog() -> list[float]:
        found, labels = metrics(node, query), frozenset(place.items())
        return [found[f"dp3_log_backlog_{unit}", labels] for unit in ("bytes", "age_seconds")]

    size, age_s = backlog()
    assert (size > 0, age_s) == (True, 3)
    node.process()
    assert backlog() == [0, 0]


def test_partitions_are_not_told_unless_asked_for(node: Node) -> None:
    assert "partition" not in {name for _, labels in metrics(node) for name, _ in labels}
    refused = node.get("/metrics?by_partition=maybe")
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["query", "by_partition"])


def test_a_source_has_the_age_of_the_last_data_points_that_were_processed_of_it(node: Node) -> None:
    node.store_points(dp("p", 1, src="plain"), obs("o", 1, src="ahead", t2="2031-01-01T00:00:00Z"))
    node.clock.advance(60)
    node.store_points(dp("p", 2, src="plain"))
    node.clock.advance(5)
    assert sample(node, "dp3_source_age_seconds", source="plain") == 5
    assert sample(node, "dp3_source_age_seconds", source="ahead") == 65


def test_of_very_many_sources_those_with_the_most_data_points_have_an_age(node: Node) -> None:
    node.store_points(*(dp("p", 1, src=f"made up {number}") for number in range(MOST_SOURCES + 50)))
    node.store_points(*(dp("p", 2, src="busy") for _ in range(3)))
    told = {dict(labels)["source"] for name, labels in metrics(node) if name == "dp3_source_age_seconds"}
    assert (len(told), "busy" in told) == (MOST_SOURCES, True)


def test_hooks_are_counted_by_module_and_hook(make_node: MakeNode) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        def judge(eid: Any, dp: Any) -> None:
            raise ValueError

        registrar.register_on_new_attr_hook(judge, "a", "p")
        registrar.register_allow_entity_creation_hook(lambda eid, task: True, "a")

    node = make_node(register=register)
    node.store_points(dp("p", 1))
    found = metrics(node)
    failed = {
        labels["context"]: value
        for (name, pairs), value in found.items()
        if name == "dp3_hook_failures_total" and (labels := dict(pairs))["module"] == "test"
    }
    assert failed == {"a,p": 1, "a": 0}
    decisions = [v for (name, labels), v in found.items() if name == "dp3_hook_decisions_total"]
    assert sorted(decisions) == [0, 1]
    assert sample(node, "dp3_errors_total") == 1
    assert sample(node, "dp3_dead_letters") == 1
    assert sample(node, "dp3_processed_datapoints_total") == 1
    assert sample(node, "dp3_entities", etype="a") == 1


def deriv(unit: str, eid: Any, dp: Any) -> None: ...


def test_hooks_are_told_without_the_arguments_of_partials(make_node: MakeNode) -> None:
    def register(registrar: CallbackRegistrar) -> None:
        registrar.register_on_new_attr_hook(partial(deriv, "s"), "a", "o")
        registrar.register_on_new_attr_hook(partial(deriv, "m"), "a", "o")

    node = make_node(register=register)
    node.store_points(obs("o", 1), obs("o", 2))
    name = {"module": "test", "hook": "test_http_telemetry.deriv", "family": "on_new_observation"}
    assert sample(node, "dp3_hook_executions_total", context="a,o", **name) == 4


def test_what_workers_report_is_told_by_worker(node: Node) -> None:
    statistics = Statistics()
    for duration_s in (0.001, 0.2, 20):
        statistics.batch(duration_s)
    statistics.looked_up(10, 3)
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    node.store.leases.heartbeat(lease, "working", {**statistics.numbers(), "slow_hooks": 2})
    bucket = "dp3_batch_duration_seconds_bucket"
    assert [sample(node, bucket, worker="0", le=le) for le in ("0.005", "0.1", "0.25", "10.0", "+Inf")] == [
        1,
        1,
        2,
        2,
        3,
    ]
    assert sample(node, "dp3_batch_duration_seconds_count", worker="0") == 3
    assert sample(node, "dp3_batch_duration_seconds_sum", worker="0") == pytest.approx(20.201)
    assert sample(node, "dp3_entity_cache_lookups_total", worker="0", result="hit") == 7
    assert sample(node, "dp3_entity_cache_lookups_total", worker="0", result="miss") == 3
    assert sample(node, "dp3_slow_hooks_total", worker="0") == 2
    assert sample(node, "dp3_worker_working", worker="0") == 1
    node.clock.advance(16)
    assert sample(node, "dp3_worker_working", worker="0") == 0


def test_slices_of_the_upkeep_of_history_are_told_by_worker(node: Node) -> None:
    statistics = Statistics()
    statistics.upkeep("packing", 0.02)
    statistics.upkeep("cleaning", 0.2)
    statistics.packed(7)
    statistics.packing_read(9)
    for name in ("packing", "packing", "cleaning"):
        statistics.passed(name)
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    node.store.leases.heartbeat(lease, "working", {**statistics.numbers(), "slow_hooks": 0})
    assert sample(node, "dp3_packing_slice_seconds_bucket", worker="0", le="0.025") == 1
    assert sample(node, "dp3_cleaning_slice_seconds_bucket", worker="0", le="0.1") == 0
    assert sample(node, "dp3_cleaning_slice_seconds_sum", worker="0") == pytest.approx(0.2)
    assert sample(node, "dp3_packing_read_rows_total", worker="0") == 9
    assert sample(node, "dp3_packing_passes_total", worker="0") == 2
    assert sample(node, "dp3_cleaning_passes_total", worker="0") == 1
    assert sample(node, "dp3_packed_datapoints_total", worker="0") == 7


def test_rows_of_history_that_questions_read_are_told(node: Node) -> None:
    node.store_points(obs("o", 1), obs("o", 2), obs("o", 3))
    before = sample(node, "dp3_history_read_rows_total", process="api")
    node.get("/entity/a/e1/get/o")
    node.get("/entity/a/e1/master")
    assert sample(node, "dp3_history_read_rows_total", process="api") - before == 6


def test_rows_of_history_that_a_worker_read_are_told_of_it(node: Node) -> None:
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    numbers = {**Statistics().numbers(), "slow_hooks": 0}
    node.store.leases.heartbeat(lease, "working", numbers)
    assert sample(node, "dp3_history_read_rows_total", process="worker 0") == 0
    node.store.leases.heartbeat(lease, "working", numbers | {"history_read": 8})
    assert sample(node, "dp3_history_read_rows_total", process="worker 0") == 8


def test_cleanings_of_history_are_told_newest_first_and_what_they_removed_is_counted(node: Node) -> None:
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    for begun, points in ((NOW_US - 1, 3), (NOW_US, 5)):
        record = RetentionPass(0, begun, begun, done=int(begun < NOW_US), rows=9, points=points)
        node.store.retention.write(lease, RetentionSlice(record, points=points))
    newest, older = node.get("/telemetry/retention").json()
    assert newest == {
        "worker": 0,
        "begun": NOW,
        "updated": NOW,
        "done": False,
        "rows_looked_at": 9,
        "datapoints_removed": 5,
    }
    assert older["done"]
    assert len(node.get("/telemetry/retention?limit=1").json()) == 1
    assert sample(node, "dp3_cleaned_datapoints_total") == 8


def test_names_of_sources_can_be_anything(node: Node) -> None:
    lease = node.store.leases.take(0, 1, Holder("host", 1), 15)
    node.store.batches.commit(lease, Batch(sources=[SourceSums('"\n\\é', 1, NOW_US)]))
    assert node.get("/telemetry/sources_age").json() == {'"\n\\é': 0}


def test_every_metric_is_documented_and_every_documented_metric_is_there(node: Node) -> None:
    """With the type that is given there."""
    rows = re.findall(r"^\| (`dp3_[^|]*) \| (\w+) \|", OPERATIONS.read_text(encoding="utf-8"), re.M)
    documented = {(name, kind) for names, kind in rows for name in re.findall(r"`(\w+)`", names)}
    told = re.findall(r"^# TYPE (\w+) (\w+)$", node.get("/metrics").text, re.M)
    assert documented == set(told)


def test_metrics_of_a_new_application_can_be_read(node: Node) -> None:
    assert isinstance(node.clock, FakeClock)
    assert sample(node, "dp3_snapshot_run_entities") == 0
    assert sample(node, "dp3_state_size_bytes") > 0
    assert sample(node, "dp3_log_size_bytes", lane="main") > 0


def test_thousands_of_hooks_and_types_are_told_in_a_moment(node: Node) -> None:
    """The limit is ten times what it takes, in processor time, whatever else the machine does."""
    for number in range(2_000):
        node.store.names.etype_id(f"type{number}")
    some = [
        HookSums("m", "f", "on_new_plain", f"type{n % 2_000},p{n}", 1, 0, 5, 2, 0, 0) for n in range(5_000)
    ]
    node.store.batches.commit(node.store.leases.take(0, 1, Holder("host", 1), 15), Batch(hooks=some))
    begun = time.process_time()
    text = node.get("/metrics").text
    assert time.process_time() - begun < 1.5
    assert text.count("dp3_hook_executions_total{") == 5_000
    assert text.count("dp3_entities{") >= 2_000
