"""The API tells the same of an application in files and on a server."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dp3.engine.statistics import Statistics
from dp3.store.ports.batches import Batch
from dp3.store.ports.counters import EventGroup
from dp3.store.ports.leases import Holder
from dp3.store.ports.sizes import AttributeSize, SizeReport
from kit.http_runs import make_run
from kit.node import Node, dp, obs

MakeNode = Callable[..., Node]

OF_AN_ENGINE = ("dp3_state_size_bytes", "dp3_log_size_bytes")
"""Metrics that tell what is on the disk."""


@pytest.fixture(scope="module")
def both(tmp_path_factory, runner):
    """Two nodes that have done the same, one with each engine."""
    nodes = []
    with pytest.MonkeyPatch.context() as patch:
        for engine in ("sqlite", "postgres"):
            patch.setattr("kit.rooms.ENGINE", engine)
            groups = {"te": EventGroup(("5m",), True, frozenset())}
            nodes.append(Node(tmp_path_factory.mktemp(engine), runner, event_groups=groups))
            _live(nodes[-1])
    yield nodes
    for node in nodes:
        node.close()


def _live(node: Node) -> None:
    """A life with data-points of several sources, links, mistakes, runs, sizes and work that waits."""
    store, clock = node.store, node.clock
    node.store_points(
        dp("p", 1, src="one"),
        dp("s", "text\0", src="one\0two"),
        obs("o", 1, src="late", t2="2020-01-01T12:30:00Z"),
        obs("l", {"eid": 7}, c=0.5),
        dp("p", 2, eid="e2"),
    )
    assert node.send(dp("p", "no number"), headers={"Idempotency-Key": "k"}).status_code == 422
    clock.advance(2)
    make_run(node)
    node.store_points(obs("om", "x", src="late"), obs("om", "y"), dp("p", 3, eid="e3"))
    clock.advance(3)
    make_run(node)
    lease = store.leases.take(0, 1, Holder("host", 17), 15)
    store.batches.commit(lease, Batch(counters={"datapoints": 5, "e/te/rejected": 2}))
    sizes = {"p": AttributeSize(4, 1, 5, 10)}
    store.sizes.put(lease, {"a": SizeReport(clock.now_us(), 1_500, sizes)})
    store.leases.heartbeat(lease, "working", {**Statistics().numbers(), "slow_hooks": 0})
    store.control.send(0, "make_snapshots", {})
    node.send(dp("p", 4, eid="waits"), headers={"Idempotency-Key": "k"})
    clock.advance(7)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/entities",
        "/entity/a",
        "/entity/a/get",
        "/entity/a/get?generic_filter=" + json.dumps({"last.p": {"$gte": 2}}),
        "/entity/a/count",
        "/entity/a/e1/master",
        "/entity/a/e1/snapshots",
        "/entity/a/e1/get/o",
        "/entity/a/e1",
        "/entity/b/7",
        "/entity/a/_/distinct/p",
        "/entity/a/raw/get",
        "/deadletters",
        "/health/live",
        "/health/ready",
        "/telemetry/attribute_bson_sizes",
        "/telemetry/collections",
        "/telemetry/entities_per_attr",
        "/telemetry/event_counts",
        "/telemetry/log",
        "/telemetry/metadata",
        "/telemetry/rabbitmq/queues",
        "/telemetry/retention",
        "/telemetry/snapshot_summary",
        "/telemetry/sources_age",
        "/telemetry/sources_validity",
        "/telemetry/updates",
    ],
)
def test_routes_tell_the_same(both, path):
    in_files, on_server = (node.get(path) for node in both)

    assert in_files.status_code < 500
    assert (on_server.status_code, on_server.json()) == (in_files.status_code, in_files.json())


def metrics(node: Node) -> dict[Any, float]:
    response = node.get("/metrics")
    assert response.status_code == 200
    families = text_string_to_metric_families(response.text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if family.name.startswith("dp3_") and sample.name not in OF_AN_ENGINE
    }


def test_metrics_tell_the_same(both):
    in_files, on_server = map(metrics, both)

    assert len(in_files) > 30
    assert on_server == in_files


def test_leases_tell_the_same(both):
    in_files, on_server = (node.store.leases.all() for node in both)

    assert len(in_files) == 1
    assert on_server == in_files


def test_what_is_on_the_disk_is_told_of_both(both):
    for node in both:
        assert node.store.sizes.disk_bytes() > 10_000
