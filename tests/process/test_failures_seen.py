"""Whatever fails in the running program is seen: in its log, the record of a run, and dead letters."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kit.program import HEADER, App, Process, application, wait_for
from kit.specs import a_type, plain_attr, series_attr

ENTITIES = 12

MODULE = (
    HEADER
    + """
class Failing(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_task_hook("on_task_start", self.task)
        registrar.register_allow_entity_creation_hook(self.allow, "a")
        registrar.register_on_entity_creation_hook(self.creation, "a", self.refresh, [["p"]])
        registrar.register_on_new_attr_hook(self.new_attr, "a", "p")
        registrar.register_timeseries_hook(self.timeseries, "a", "t")
        registrar.register_correlation_hook(self.correlation, "a", [["p"]], [["x"]])
        registrar.register_correlation_hook_with_master_record(self.with_master, "a", [["p"]], [["y"]])
        registrar.register_correlation_hook(self.unstorable, "a", [["p"]], [["z"]])
        registrar.register_snapshot_init_hook(self.init)
        registrar.register_snapshot_finalize_hook(self.finalize)
        registrar.register_periodic_update_hook(self.periodic, "with-record", "a", "1s")
        registrar.register_periodic_eid_update_hook(self.periodic_eid, "without", "a", "1s")
        registrar.scheduler_register(self.scheduled, second="*")
        self.refresh.set()

    def task(self, task):
        raise ValueError("task")

    def allow(self, eid, task):
        raise ValueError("allow")

    def creation(self, eid, task):
        raise ValueError("creation")

    def new_attr(self, eid, dp):
        raise ValueError("new_attr")

    def timeseries(self, etype, attr, history):
        raise ValueError("timeseries")

    def correlation(self, etype, values):
        raise ValueError("correlation")

    def with_master(self, etype, values, master):
        raise ValueError("with_master")

    def unstorable(self, etype, values):
        values["z"] = {1, object()}

    def init(self):
        raise ValueError("init")

    def finalize(self):
        raise ValueError("finalize")

    def periodic(self, etype, eid, master):
        raise ValueError("periodic")

    def periodic_eid(self, etype, eid):
        raise ValueError("periodic_eid")

    def scheduled(self):
        raise ValueError("scheduled")
"""
)

MODEL = {
    "a": a_type(
        "a",
        {
            "p": plain_attr("string"),
            "x": plain_attr("string"),
            "y": plain_attr("string"),
            "z": plain_attr("string"),
            "t": series_attr("irregular", series={"v": {"data_type": "int"}}),
        },
    )
}

KINDS = {
    "task": "task",
    "allow": "allow_entity_creation",
    "creation": "on_entity_creation",
    "new_attr": "on_new_attr",
    "timeseries": "timeseries",
    "correlation": "correlation",
    "with_master": "correlation_with_master_record",
    "init": "snapshot_init",
    "finalize": "snapshot_finalize",
    "periodic": "periodic_update",
    "periodic_eid": "periodic_eid_update",
}

UPDATER = {"update_batch_cron": {"second": "*"}, "update_batch_period": "1s"}
NO_HOOKS = {"init", "finalize"}
"""Hooks of a run that are called for no entity."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """After some data-points and a run of snapshots, in all of which every hook failed."""
    with application(tmp_path_factory.mktemp("failures")) as app:
        files = {"updater.yml": UPDATER, "snapshots.yml": {"creation_rate": {"year": 2100}}}
        app.write({"failing": MODULE}, model=MODEL, files=files)
        app.program = app.run_ready()
        now = datetime.now().astimezone().isoformat()
        for number in range(ENTITIES):
            place = {"type": "a", "id": f"e{number}"}
            series = {"v": [1], "time": [now]}
            app.client.send(
                [{**place, "attr": "p", "v": "1"}, {**place, "attr": "t", "t1": now, "t2": now, "v": series}]
            )
        app.wait_idle()
        app.client.request("POST", "/control/make_snapshots")
        wait_for("run", lambda: record(app))
        yield app


def record(app: App) -> dict[str, Any]:
    """What is known of the run, once it is over."""
    runs = app.client.get("/telemetry/metadata")
    return runs[0] if runs and runs[0]["phase"] == "closed" else {}


def place(app: App, name: str) -> str:
    """Where the hook raises."""
    lines = enumerate(MODULE.splitlines(), 1)
    (number,) = (number for number, line in lines if f'ValueError("{name}")' in line)
    return f"{app.root}/modules/failing.py:{number}"


def warnings(app: App, text: str) -> list[str]:
    return [line for line in app.program.output.splitlines() if text in line]


@pytest.mark.parametrize("name", KINDS)
def test_a_hook_that_raises_is_told_with_module_entity_exception_and_line(app: App, name: str) -> None:
    hook = f"module failing: hook failing.Failing.{name} ({KINDS[name]}) failed"
    first, *more = wait_for("line", lambda: warnings(app, hook))
    at = place(app, name)
    entity = "" if name in NO_HOOKS else r" for a/e\d+"
    assert re.search(rf"\[WARNING\] {re.escape(hook)}{entity} at {re.escape(at)}: ValueError: {name}$", first)
    told = [int(times) for line in more if (times := line.split(" failed ")[1].split(" times")[0])]
    assert told == [10**power for power in range(1, len(told) + 1)]
    if KINDS[name] in ("task", "allow_entity_creation", "on_new_attr", "timeseries", "correlation"):
        assert told == [10]


def test_a_scheduled_callback_that_raises_is_told_once_with_its_traceback(app: App) -> None:
    text = "Scheduled callback failing: failing.Failing.scheduled failed"
    first = wait_for("line", lambda: warnings(app, text))[0]
    at = place(app, "scheduled")
    assert first.endswith(f"[WARNING] {text} at {at}: ValueError: scheduled; it stays scheduled")
    assert 'raise ValueError("scheduled")' in app.program.output


def test_the_record_of_a_run_counts_failures_of_hooks(app: App) -> None:
    each = ("timeseries", "correlation", "with_master", "unstorable", "creation, which is refreshed")
    failures = len(each) * ENTITIES + len(NO_HOOKS)
    assert record(app)["hook_failures"] == failures
    (line,) = wait_for("line", lambda: warnings(app, "calls of hooks that failed in snapshot run "))
    assert line.endswith(f": {failures}")


def test_a_value_that_can_not_be_stored_names_the_hook_that_left_it(app: App) -> None:
    (group,) = app.client.get("/deadletters/summary", hook="failing.Failing.unstorable")["groups"]
    assert (group["module"], group["count"]) == ("failing", ENTITIES)
    assert group["reason"].startswith("z: cannot be stored: ")
    assert warnings(app, "hook failing.Failing.unstorable (correlation) failed for a/e")


# -- dp3 deadletters -------------------------------------------------------------------------------------


def deadletters(app: App, *arguments: str, status: int = 0) -> str:
    """What `dp3 deadletters …` prints to a pipe."""
    command = (sys.executable, "-m", "dp3", "deadletters", *arguments, "--url", app.url)
    found = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert found.returncode == status, found.stderr
    return found.stdout + found.stderr


def on_terminal(app: App, *arguments: str) -> str:
    """What it prints to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    command = (sys.executable, "-m", "dp3", "deadletters", *arguments, "--url", app.url)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, env={**os.environ, "COLUMNS": "80"}):
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 1 << 16)
            except OSError:  # how a terminal ends
                break
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


def test_without_a_command_dead_letters_are_told_by_hook_and_reason_with_counts(app: App) -> None:
    text = deadletters(app)
    total = re.match(r"(\d+) dead letters, by hook and reason, the newest first:\n", text)
    assert total and int(total[1]) > 8 * ENTITIES
    hook = f"{ENTITIES} × hook failing: failing.Failing.new_attr"
    assert re.search(rf"{hook}, last .* \(#\d+\)\n      ValueError: new_attr\n", text)
    assert deadletters(app, "--hook", "failing.Failing.new_attr").startswith(f"{ENTITIES} of ")
    assert json.loads(deadletters(app, "--json"))["groups"]


def test_letters_are_listed_with_the_newest_first_and_how_to_see_more(app: App) -> None:
    kept = ("--hook", "failing.Failing.new_attr")
    lines = [json.loads(line) for line in deadletters(app, "list", "--json", *kept).splitlines()]
    ids = [letter["id"] for letter in lines]
    assert (len(ids), ids) == (ENTITIES, sorted(ids, reverse=True))
    text = deadletters(app, "list", "--limit", "2", *kept)
    assert re.findall(r"^#(\d+) ", text, re.M) == [str(id) for id in ids[:2]]
    assert text.endswith(f"2 of {ENTITIES} dead letters; older ones: --before {ids[1]}\n")
    assert f"#{ids[2]} " in deadletters(app, "list", "--limit", "1", "--before", str(ids[1]), *kept)


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_on_a_terminal_lines_fit_and_nowhere_there_are_boxes(app: App, arguments: tuple[str, ...]) -> None:
    text = on_terminal(app, *arguments)
    reasons = [line for line in text.splitlines() if line.startswith("      ")]
    assert reasons and max(map(len, reasons)) < 80
    assert not re.search("[\u2500-\u257f]", text + deadletters(app, *arguments))


def test_names_that_no_dead_letter_has_are_told_with_near_ones(app: App) -> None:
    for arguments in ((), ("list",), ("drop",)):
        assert "Did you mean 'failing'?" in deadletters(app, *arguments, "--module", "faling")
    assert "Did you mean 'failing.Failing.task'?" in deadletters(app, "--hook", "failing.Failing.taks")
    assert "No dead letter has etype 'b'. Known: a." in deadletters(app, "list", "--etype", "b")
    assert "'result'" in deadletters(app, "list", "--kind", "rsult", status=2)


def test_options_before_the_command_are_refused(app: App) -> None:
    assert "belongs behind the command" in deadletters(app, "--module", "x", "list", status=2)


def test_letters_are_dropped_and_retried_by_filter_once_that_is_confirmed(app: App) -> None:
    of_task, of_run = ("--hook", "failing.Failing.task"), ("--hook", "failing.Failing.correlation")
    would = f"this would drop {ENTITIES} of the {ENTITIES} dead letters that match; add --yes to do it"
    assert would in deadletters(app, "drop", *of_task, status=2)
    assert "which dead letters?" in deadletters(app, "drop", status=2)
    retried = deadletters(app, "retry", *of_task, "--yes", status=1)
    assert retried == f"0 done\n{ENTITIES} not done: ValueError: task\n"
    assert "runs again in every snapshot run" in deadletters(app, "retry", *of_run, "--yes", status=1)
    assert deadletters(app, "drop", *of_task, "--limit", "5", "--yes") == "5 done\n"
    assert deadletters(app, "drop", *of_task, "--yes") == f"{ENTITIES - 5} done\n"
    assert "No dead letters match." in deadletters(app, *of_task)


# -- before it runs --------------------------------------------------------------------------------------


@pytest.fixture
def noted(tmp_path: Path) -> Iterator[App]:
    """An application with a configuration of which something is to be noted."""
    with application(tmp_path) as noted:
        noted.write(files={"snapshot.yml": {"keep_empty": True}})
        yield noted


def notes(process: Process) -> int:
    return process.output.count("snapshot.yml")


def test_notes_of_the_configuration_are_told_once_by_the_program_and_by_each_single_process(
    noted: App,
) -> None:
    program = noted.run_ready()
    assert notes(program) == 1
    noted.stop(program)
    api = noted.api(1)
    wait_for("note of the API", lambda: notes(api) == 2)
    worker = noted.worker(0, 1)
    wait_for("note of the worker", lambda: notes(worker) == 3)
    noted.wait_ready()
    for process in (worker, api):
        noted.stop(process)
