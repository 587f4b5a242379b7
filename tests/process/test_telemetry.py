"""What the running program tells of itself: metrics, events, logs, slow hooks, stacks."""

import json
import signal
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from dp3.cli.main import application
from kit.load import Sender, choose
from kit.program import HEADER, App, Process, wait_for

KILLS = 6

MODULE = (
    HEADER
    + """
class Telling(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_new_attr_hook(self.derive, "a", "o")
        registrar.register_on_new_attr_hook(self.wait, "a", "p")

    def derive(self, eid, dp):
        point = {"etype": "c", "eid": eid, "attr": "p", "v": "x", "src": "telling"}
        return [DataPointTask(etype="c", eid=eid, data_points=[point])]

    def wait(self, eid, dp):
        self.log.info("waiting")
        time.sleep(float(dp.v))
        if dp.v == "0.7":
            raise ValueError("spoilt")
"""
)


FAILING = (
    HEADER
    + """
class Failing(BaseModule):
    def start(self):
        threading.Thread(target=self.fail, name="unlucky").start()

    def fail(self):
        raise ValueError("in a thread")
"""
)


def samples(app: App) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    from urllib.request import urlopen

    with urlopen(f"{app.url}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}


def total(app: App, name: str, **labels: str) -> float:
    """The sum over all samples that have these labels."""
    wanted = frozenset(labels.items())
    return sum(v for (found, has), v in samples(app).items() if found == name and wanted <= has)


def events(app: App, group: str) -> dict[str, int]:
    """Events of the last two to four hours: all of the test, whenever it runs."""
    found = app.client.get("/telemetry/event_counts", group=group, interval="2h")
    names = found["current"].keys() | found["last"].keys()
    return {name: found["current"].get(name, 0) + found["last"].get(name, 0) for name in names}


def test_after_kills_under_load_everything_is_counted_once(app: App) -> None:
    app.write({"telling": MODULE})
    api, worker = app.api(1), app.worker(0, 1)
    chance = choose(4)
    app.wait_ready()
    with Sender(app) as sender:
        for _ in range(KILLS):
            wanted = len(sender.accepted) + chance.randint(5, 80)
            wait_for("progress", lambda wanted=wanted: len(sender.accepted) >= wanted)
            worker.kill()
            worker = app.worker(0, 1)
    app.wait_ready()
    app.wait_idle()
    sent = len(sender.accepted)
    assert total(app, "dp3_processed_datapoints_total") == 2 * sent
    for metric in ("executions", "created_tasks"):
        assert total(app, f"dp3_hook_{metric}_total", module="telling", context="a,o") == sent
    assert events(app, "te")["task_processed"] == total(app, "dp3_processed_tasks_total")
    assert events(app, "tasks_by_src")["telling"] == sent
    hook = {name.rpartition("/")[2]: n for name, n in events(app, "secondary_hooks").items()}
    assert (hook["executions"], hook["created_tasks"]) == (sent, sent)
    assert sum(p["lag"] for p in app.client.get("/telemetry/log")["partitions"]) == 0
    app.stop(worker)
    app.stop(api)


def test_workers_tell_their_numbers_through_the_state(app: App) -> None:
    app.write({"telling": MODULE}, core={"worker_processes": 2})
    program = app.run_ready()
    app.client.send([value(f"e{number}", "0") for number in range(40)], wait=True)
    wait_for("reports", lambda: total(app, "dp3_entity_cache_lookups_total") >= 40)
    wait_for("batches", lambda: total(app, "dp3_batch_duration_seconds_count") >= 2)
    assert {dict(labels)["worker"] for name, labels in samples(app) if name == "dp3_worker_working"} == {
        "0",
        "1",
    }
    assert total(app, "dp3_worker_working") == 2
    assert total(app, "dp3_accepted_datapoints_total") == 40
    app.stop(program)


def value(eid: str, v: str) -> dict[str, str]:
    return {"type": "a", "id": eid, "attr": "p", "v": v}


def test_attributes_are_measured_at_the_first_start(app: App) -> None:
    app.write()
    program = app.run_ready()
    sizes = wait_for("sizes", lambda: app.client.get("/telemetry/attribute_bson_sizes"))
    measured = {etype: report["attributes"] for etype, report in sizes.items()}
    assert {etype: sorted(attributes) for etype, attributes in measured.items()} == {
        "a": ["o", "p"],
        "c": ["born", "p", "seen"],
    }
    assert all(size["count"] == 0 for attributes in measured.values() for size in attributes.values())
    app.stop(program)


def test_a_slow_hook_is_told_with_its_entity_and_how_long_it_took(app: App) -> None:
    app.write({"telling": MODULE}, core={"hook_timeout": "1s"})
    program = app.run_ready()
    app.client.send([value("slow", "2.2"), value("quick", "0")])
    running = wait_for("report", lambda: line_with(program, "has been running for"))
    assert "hook telling." in running
    assert "a/slow" in running
    ended = wait_for("end", lambda: line_with(program, "more than hook_timeout (1 s)"))
    assert "wait for a/slow took 2.2 s" in ended
    assert "time.sleep(float(dp.v))" in program.output
    assert "a/quick" not in program.output
    wait_for("counter", lambda: total(app, "dp3_slow_hooks_total") == 1)
    app.stop(program)


def line_with(program: Process, text: str) -> str:
    return next((line for line in program.output.splitlines() if text in line), "")


def test_every_line_of_the_log_is_an_object_if_wanted(app: App) -> None:
    app.write({"telling": MODULE, "failing": FAILING}, core={"worker_processes": 2})
    program = app.run_ready("--log-format", "json")
    app.client.send([value("x", "0"), value("x", "0.7")], wait=True)
    app.child(program, "worker", 1).kill()
    wait_for("another one", lambda: line_with(program, "starting it again"))
    app.wait_ready(program)
    app.stop(program)
    logged = [json.loads(line) for line in program.output.splitlines()]
    assert {"run", "api", "worker-0", "worker-1"} == {event["process"] for event in logged}
    keys = {"time", "level", "process", "thread", "logger", "message"}
    assert all(event.keys() - {"exception"} == keys for event in logged)
    assert any(event["message"] == "waiting" and event["level"] == "INFO" for event in logged)
    assert all(event["time"].endswith("+00:00") for event in logged)
    failed = [event for event in logged if "thread unlucky has ended" in event["message"]]
    assert {event["process"] for event in failed} == {"worker-0", "worker-1"}
    assert all("ValueError: in a thread" in event["exception"] for event in failed)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_any_process_writes_its_stacks_to_its_log_when_asked(app: App, log_format: str) -> None:
    app.write({"telling": MODULE})
    program = app.run_ready("--log-format", log_format)
    app.client.send([value("busy", "5")])
    wait_for("the hook", lambda: line_with(program, "waiting"))
    worker, api = app.child(program, "worker"), app.child(program, "api")
    for process in (worker, api, psutil.Process(program.pid)):
        process.send_signal(signal.SIGUSR1)
    stacks = wait_for("stacks", lambda: stacks_of(program, log_format, 3))
    assert "telling.py" in stacks["worker-0"]
    assert " in wait" in stacks["worker-0"]
    assert "Thread heartbeat" in stacks["worker-0"]
    assert "Thread appender" in stacks["api"]
    assert "supervisor.py" in stacks["run"]
    assert worker.is_running()
    app.stop(program)


def stacks_of(program: Process, log_format: str, processes: int) -> dict[str, str]:
    """What each process wrote, once all did so."""
    if log_format == "json":
        logged = [json.loads(line) for line in program.output.splitlines()]
        found = {e["process"]: e["message"] for e in logged if e["message"].startswith("stacks of all")}
    else:
        parts = [part for part in program.output.split("\n") if "stacks of all threads" in part]
        found = {part.split(" ", 1)[0]: program.output for part in parts}
    return found if len(found) == processes else {}


def command(app: App, *arguments: str, status: int = 0) -> str:
    """What a command prints."""
    before = len(app.output.read_text())
    process = app.start(*arguments)
    assert process.wait() == status, process.output
    return process.output[before:]


def asked(app: App, *arguments: str) -> Any:
    """What a command prints that works. It is called here: its start would take longer than all it does."""
    done = CliRunner().invoke(application("sh"), ["sh", "--url", app.url, "telemetry", *arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_telemetry_can_be_asked_for_on_the_command_line(app: App) -> None:
    app.write({"telling": MODULE})
    api, worker = app.api(1), app.worker(0, 1)
    app.wait_ready()
    sent = {"t1": "2020-01-01T00:00:00Z", "t2": "2020-01-01T00:00:01Z", "src": "probe"}
    app.client.send([{"type": "a", "id": "x", "attr": "o", "v": 1, **sent}], wait=True)
    app.wait_idle()
    assert asked(app, "sources-validity") == {"probe": "2020-01-01T00:00:01Z"}
    assert asked(app, "source-age", "-u", "seconds")["probe"] > 60 * asked(app, "source-age")["probe"] - 60
    assert asked(app, "entities-per-attr")["a"] == {"o": 1, "p": 0}
    assert set(asked(app, "attribute-bson-sizes")) == {"a", "c"}
    assert asked(app, "snapshot-summary")["entities"] is None
    assert [queue["queue"] for queue in asked(app, "rabbitmq-queues")["queues"]] == ["0-main", "0-pri"]
    assert asked(app, "metadata", "-F", "json") == []
    counts = asked(app, "event-counts", "-g", "tasks_by_src", "-i", "2h")
    assert list(counts) == ["group", "interval", "last"], "the last interval unless told otherwise"
    assert counts == asked(app, "event-counts", "-g", "tasks_by_src", "-i", "2h", "--last")
    both = asked(app, "event-counts", "-g", "tasks_by_src", "-i", "2h", "--both")
    assert list(both) == ["current", "group", "interval", "last"]
    assert both["current"].get("probe", 0) + both["last"].get("probe", 0) == 1
    assert list(asked(app, "event-counts", "-g", "te", "-i", "2h", "--last", "--current")) == list(both)
    assert list(asked(app, "event-counts", "-g", "te", "-i", "2h", "--current")) == [
        "current",
        "group",
        "interval",
    ]
    told = command(app, "sh", "-u", app.url, "telemetry", "event-counts", "-g", "x", "-i", "2h", status=1)
    assert "Group 'x' is not counted" in told
    for folder in (("-c", str(app.config)), ("--config", "nowhere")):
        found = command(
            app, "sh", *folder, "-u", app.url, "telemetry", "event-counts", "-g", "te", "-i", "2h"
        )
        assert list(json.loads(found)) == ["group", "interval", "last"]
    app.stop(worker)
    app.stop(api)
