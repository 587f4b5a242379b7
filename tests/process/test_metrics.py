"""Every metric of the running program has the value of what really happened."""

import time
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dp3.client import ClientError
from dp3.model.partition import partition_of
from kit.program import HEADER, App, Process, wait_for
from kit.specs import a_type, each_point, plain_attr

PARTITIONS = 64

MODULE = (
    HEADER
    + """
class Metered(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        self.gate = os.path.join(os.path.dirname(__file__), "gate")
        registrar.register_allow_entity_creation_hook(self.admit, "a")
        registrar.register_on_new_attr_hook(self.judge, "a", "p")
        registrar.register_on_new_attr_hook(self.derive, "a", "o")
        registrar.register_correlation_hook(self.correlate, "a", [["p"]], [["o"]])

    def admit(self, eid, task):
        return eid != "stranger"

    def judge(self, eid, dp):
        if dp.v == "bad":
            raise ValueError("as asked for")
        if dp.v == "slow":
            time.sleep(0.3)
        if dp.v == "stuck":
            self.wait_at_the_gate()

    def wait_at_the_gate(self):
        while not os.path.exists(self.gate):
            time.sleep(0.02)

    def derive(self, eid, dp):
        point = {"etype": "c", "eid": eid, "attr": "p", "v": "x", "src": "metered"}
        return [DataPointTask(etype="c", eid=eid, data_points=[point]) for _ in range(2)]

    def correlate(self, etype, record):
        pass
"""
)

ODD = (
    HEADER
    + """
ODD_ID = 'an "odd" id\\\\ with\\nlines, commas and é'

class Odd(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_periodic_eid_update_hook(lambda etype, eid: [], ODD_ID, "a", "1s")
"""
)

MODEL = {
    "a": a_type("a", {"o": each_point(), "p": plain_attr("string")}),
    "c": a_type("c", {"p": plain_attr("string")}),
}

Labels = frozenset[tuple[str, str]]


class Scrape:
    """All samples at a moment. No sample comes twice, which Prometheus would refuse."""

    def __init__(self, app: App, query: str = "") -> None:
        with urlopen(f"{app.url}/metrics{query}", timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = [sample for family in families for sample in family.samples]
        self._values = {(s.name, frozenset(s.labels.items())): s.value for s in samples}
        assert len(self._values) == len(samples)

    def __getitem__(self, name: str) -> float:
        """The only sample of this name."""
        return self.only(name)

    def only(self, name: str, **labels: str) -> float:
        """The only sample that has these labels."""
        (value,) = self.all(name, **labels).values()
        return value

    def sum(self, name: str, **labels: str) -> float:
        return sum(self.all(name, **labels).values())

    def all(self, name: str, **labels: str) -> dict[Labels, float]:
        wanted = frozenset(labels.items())
        return {has: v for (found, has), v in self._values.items() if found == name and wanted <= has}

    def labels(self, name: str, label: str) -> set[str]:
        return {dict(has)[label] for has in self.all(name)}


def start(app: App, **core: Any) -> Process:
    app.write({"metered": MODULE}, core=core, model=MODEL)
    return app.run_ready()


def value(eid: str, v: str, **more: str) -> dict[str, str]:
    return {"type": "a", "id": eid, "attr": "p", "v": v, **more}


def observed(eid: str) -> dict[str, Any]:
    t1, t2 = "2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z"
    return {"type": "a", "id": eid, "attr": "o", "v": 1, "t1": t1, "t2": t2}


def send(app: App, *points: dict[str, Any]) -> None:
    app.client.send(list(points), wait=True)


def hook(metered: Scrape, metric: str, name: str) -> float:
    return metered.only(f"dp3_hook_{metric}_total", module="metered", hook=f"metered.Metered.{name}")


def settled(app: App) -> Scrape:
    """Once everything was processed and the workers have told it with a heartbeat."""
    app.wait_idle()

    def told() -> Scrape | None:
        now = Scrape(app)
        batches = now.sum("dp3_batch_duration_seconds_count")
        return now if batches == now["dp3_batches_total"] else None

    return wait_for("reports of the workers", told)


def test_ingestion_is_counted_with_what_was_refused(app: App) -> None:
    program = start(app)
    send(app, value("x", "1"), value("y", "1"), observed("x"))
    send(app, value("x", "2"))
    for _ in range(2):
        with pytest.raises(ClientError):
            app.client.send([{**value("x", "1"), "attr": "unknown"}])
    now = settled(app)
    assert now["dp3_accepted_requests_total"] == 2
    assert now["dp3_accepted_datapoints_total"] == 4
    assert now.only("dp3_refused_requests_total", status="422") == 2
    assert now["dp3_processed_datapoints_total"] == 4 + 2, "those of hooks are processed too"
    assert now["dp3_processed_tasks_total"] == 3 + 2
    assert now["dp3_created_entities_total"] == 3
    assert {etype: now.only("dp3_entities", etype=etype) for etype in MODEL} == {"a": 2, "c": 1}
    app.stop(program)


def test_hooks_are_told_by_module_and_hook_with_calls_failures_time_and_tasks(app: App) -> None:
    program = start(app)
    send(app, value("x", "slow"), value("y", "bad"), value("stranger", "1"), observed("y"))
    send(app, value("x", "bad"))
    now = settled(app)
    assert [hook(now, "executions", name) for name in ("admit", "judge", "derive")] == [3, 3, 1]
    assert [hook(now, "failures", name) for name in ("admit", "judge", "derive")] == [0, 2, 0]
    assert [hook(now, "created_tasks", name) for name in ("admit", "judge", "derive")] == [0, 0, 2]
    assert 0.3 <= hook(now, "duration_seconds", "judge") < 10
    assert 0 < hook(now, "duration_seconds", "derive") < 0.3
    decisions = {d: now.only("dp3_hook_decisions_total", decision=d) for d in ("allowed", "denied")}
    assert decisions == {"allowed": 2, "denied": 1}
    assert now["dp3_errors_total"] == 2
    app.stop(program)


def test_dead_letters_are_those_that_are_kept(app: App) -> None:
    program = start(app)
    send(app, *(value(eid, "bad") for eid in ("x", "y", "z")))
    assert settled(app)["dp3_dead_letters"] == 3 == len(app.dead_letters())
    app.client.request("DELETE", f"/deadletters/{app.dead_letters()[0]['id']}")
    wait_for("removal", lambda: Scrape(app)["dp3_dead_letters"] == 2)
    app.stop(program)


def test_batches_are_told_with_their_duration(app: App) -> None:
    program = start(app)
    begun = time.monotonic()
    for v in ("1", "slow", "slow"):
        send(app, value("x", v))
    now = settled(app)
    count = now.only("dp3_batch_duration_seconds_count", worker="0")
    assert count == now["dp3_batches_total"] >= 3
    assert 0.6 <= now.only("dp3_batch_duration_seconds_sum", worker="0") < time.monotonic() - begun
    buckets = {b: now.only("dp3_batch_duration_seconds_bucket", le=b) for b in ("0.25", "+Inf")}
    assert buckets == {"0.25": count - 2, "+Inf": count}
    app.stop(program)


def test_the_share_of_entities_found_in_the_cache_is_told(app: App) -> None:
    program = start(app)
    for _ in range(3):
        send(app, value("x", "1"))
    send(app, value("x", "2"), value("y", "2"))
    now = settled(app)
    looked_up = {r: now.only("dp3_entity_cache_lookups_total", result=r) for r in ("hit", "miss")}
    assert looked_up == {"hit": 3, "miss": 2}
    app.stop(program)


def test_a_run_of_snapshots_is_told_with_its_time_duration_and_entities(app: App) -> None:
    program = start(app)
    send(app, *(value(f"e{number}", "1") for number in range(7)), observed("e0"))
    app.wait_idle()
    assert Scrape(app)["dp3_snapshot_run_timestamp_seconds"] == 0
    before = time.time()
    app.client.request("POST", "/control/make_snapshots")
    wait_for("run", lambda: Scrape(app)["dp3_snapshot_run_timestamp_seconds"])
    now = Scrape(app)
    assert before - 1 < now["dp3_snapshot_run_timestamp_seconds"] < time.time() + 1
    assert 0 < now["dp3_snapshot_run_duration_seconds"] < time.time() - before + 1
    assert now["dp3_snapshot_run_entities"] == 7 + 1
    assert hook(now, "executions", "correlate") == 7
    app.stop(program)


def bytes_of(directory: Path, name: str) -> int:
    return sum(file.stat().st_size for file in directory.rglob(name) if file.is_file())


@pytest.mark.files
def test_sizes_are_those_of_the_files(app: App) -> None:
    program = start(app)
    send(app, value("x", token_hex(50_000)))  # what repeats is stored compressed
    before = settled(app)

    def same() -> bool:
        now = Scrape(app)
        log = now.sum("dp3_log_size_bytes")
        return now["dp3_state_size_bytes"] == state_bytes(app) and log == log_bytes(app)

    wait_for("the sizes of the files", same)
    assert before.only("dp3_log_size_bytes", lane="main") > 50_000
    app.stop(program)


def state_bytes(app: App) -> int:
    return bytes_of(app.data / "state", "state.db*")


def log_bytes(app: App) -> int:
    return bytes_of(app.data / "log", "*")


def eid_of(worker: int, number: int = 0) -> str:
    """Some entity that belongs to one of two workers."""
    names = (f"e{n}" for n in range(1000))
    return [name for name in names if partition_of("a", name, PARTITIONS) % 2 == worker][number]


def by_partition(app: App) -> Scrape:
    return Scrape(app, "?by_partition=true")


def test_what_waits_is_told_by_lane_and_if_asked_for_by_partition_with_its_age(app: App) -> None:
    program = start(app, worker_processes=2)
    stuck = eid_of(1)
    app.client.send([value(stuck, "stuck")])
    send(app, value(eid_of(0), "1"))
    place = {"lane": "main", "partition": str(partition_of("a", stuck, PARTITIONS))}

    def aged() -> Scrape | None:
        now = by_partition(app)
        return now if now.only("dp3_log_backlog_age_seconds", **place) > 1 else None

    then = wait_for("age", aged)
    for metric in ("dp3_log_backlog_bytes", "dp3_log_backlog_age_seconds"):
        waiting = {int(dict(has)["partition"]): v > 0 for has, v in then.all(metric, lane="main").items()}
        assert waiting == {partition: partition % 2 == 1 for partition in range(PARTITIONS)}
    assert then.only("dp3_log_backlog_bytes", **place) < 10_000
    of_lanes = Scrape(app)
    assert of_lanes.only("dp3_log_backlog_bytes", lane="main") > 0
    assert of_lanes.only("dp3_log_backlog_age_seconds", lane="main") > 1
    (app.root / "modules" / "gate").touch()
    now = settled(app)
    assert now.sum("dp3_log_backlog_bytes") == 0
    assert now.sum("dp3_log_backlog_age_seconds") == 0
    app.stop(program)


def test_the_numbers_of_several_workers_add_up(app: App) -> None:
    program = start(app, worker_processes=3)
    for _ in range(4):
        send(app, *(value(f"e{number}", "1") for number in range(60)), observed("e0"))
    now = settled(app)
    assert now["dp3_accepted_datapoints_total"] == 4 * 61
    assert now["dp3_processed_datapoints_total"] == 4 * (61 + 2)
    assert hook(now, "executions", "judge") == 4 * 60
    assert hook(now, "created_tasks", "derive") == 4 * 2
    for metric in (
        "dp3_batch_duration_seconds_count",
        "dp3_entity_cache_lookups_total",
        "dp3_slow_hooks_total",
    ):
        assert now.labels(metric, "worker") == {"0", "1", "2"}
    assert now.sum("dp3_entity_cache_lookups_total") == now["dp3_processed_tasks_total"] == 4 * (60 + 2)
    assert now.sum("dp3_entity_cache_lookups_total", result="miss") == 61
    assert now.sum("dp3_worker_working") == 3
    app.stop(program)


def test_after_a_worker_was_replaced_totals_go_on_and_its_own_numbers_begin_again(app: App) -> None:
    app.write({"metered": MODULE}, model=MODEL)
    api, worker = app.api(1), app.worker(0, 1)
    app.wait_ready()
    for _ in range(5):
        send(app, value("x", "1"))
    before = settled(app)
    worker.kill()
    meanwhile = Scrape(app)
    assert hook(meanwhile, "executions", "judge") == 5
    worker = app.worker(0, 1)
    wait_for("the new one", lambda: working_anew(app))
    send(app, value("x", "1"))
    app.wait_idle()

    def reported() -> Scrape | None:
        now = Scrape(app)
        return now if now.sum("dp3_batch_duration_seconds_count") else None

    now = wait_for("its report", reported)
    assert now["dp3_batches_total"] > before["dp3_batches_total"]
    assert now["dp3_processed_datapoints_total"] == hook(now, "executions", "judge") == 6
    assert now["dp3_accepted_datapoints_total"] == 6
    own = "dp3_batch_duration_seconds_count"
    assert 0 < now.only(own, worker="0") < before.only(own, worker="0")
    looked_up = {r: now.only("dp3_entity_cache_lookups_total", result=r) for r in ("hit", "miss")}
    assert looked_up == {"hit": 0, "miss": 1}, "the cache of the new one was empty"
    app.stop(worker)
    app.stop(api)


def working_anew(app: App) -> bool:
    """Whether a worker works that has not processed anything yet."""
    now = Scrape(app)
    return now.sum("dp3_worker_working") == 1 and now.sum("dp3_batch_duration_seconds_count") == 0


def test_names_may_have_any_characters(app: App) -> None:
    updater = {"update_batch_cron": {"second": "*"}, "update_batch_period": "1s"}
    app.write({"odd": ODD}, model=MODEL, files={"updater.yml": updater})
    program = app.run_ready()
    sources = ['"\\\n', "é{}=,", "\0", "🚌" * 300]
    send(app, *({**observed("x"), "src": source} for source in sources))
    app.wait_idle()
    lambdas = wait_for(
        "calls", lambda: Scrape(app).all("dp3_hook_executions_total", family="periodic_eid_update")
    )
    (labels,) = lambdas
    assert dict(labels)["context"] == 'a,an "odd" id\\ with\nlines, commas and é,period=1s'
    assert dict(labels)["hook"] == "odd.Odd.__init__.<locals>.<lambda>"
    kept = {source[:200]: 1 for source in sources}
    assert app.client.get("/telemetry/sources_age").keys() == kept.keys()
    counts = app.client.get("/telemetry/event_counts", group="tasks_by_src", interval="2h")
    told = {**counts["last"], **counts["current"]}
    assert {source: told[source] for source in kept} == kept
    app.stop(program)
