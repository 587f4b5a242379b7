"""Periodic hooks in the real program."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from kit.load import choose
from kit.program import HEADER, App, Process, wait_for
from kit.specs import a_type, each_point, plain_attr

ENTITIES, KILLS = 300, 8
SOON_S = 3
"""A worker that takes longer to start misses its schedule, which is set anew then."""

FIELDS = ("month", "day", "hour", "minute", "second")
"""Of a schedule that fires once a year."""

MODEL = {
    "n": a_type("n", {"p": plain_attr("int"), "q": plain_attr("int")}),
    "m": a_type("m", {"told": each_point()}),
}

EXAMPLES = (
    HEADER
    + """
class Periodic(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)

        def periodic_update_hook(
                entity_type: str,
                eid: str,
                record: dict,
        ) -> list[DataPointTask]:
            assert record["_id"] == eid
            return [self.task(entity_type, eid, "q", record["p"]["v"] + 1)]

        registrar.register_periodic_update_hook(
            periodic_update_hook, "test_id", "n", "1s"
        )

        def periodic_eid_update_hook(
                entity_type: str,
                eid: str,
        ) -> list[DataPointTask]:
            return [self.task("m", eid, "told", len(eid), t1=datetime(2020, 1, 1))]

        registrar.register_periodic_eid_update_hook(
            periodic_eid_update_hook, "test_id", "n", "1s"
        )

    def task(self, etype, eid, attr, v, **more):
        point = {"etype": etype, "eid": eid, "attr": attr, "v": v, **more}
        return DataPointTask(etype=etype, eid=eid, data_points=[point])
"""
)

SLOW = (
    HEADER
    + """
class Slow(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_periodic_update_hook(self.hook, "slow", "n", "1d")

    def hook(self, etype, eid, record):
        time.sleep(0.02)
        told = record["p"]["v"]
        point = {"etype": "m", "eid": "all", "attr": "told", "v": told, "t1": datetime(2020, 1, 1)}
        return [DataPointTask(etype="m", eid="all", data_points=[point])]
"""
)


def points(number: int) -> list[dict[str, Any]]:
    return [{"type": "n", "id": f"e{i}", "attr": "p", "v": i} for i in range(number)]


def test_the_examples_of_the_module_api_are_called(app: App) -> None:
    updater = {"update_batch_cron": {"second": "*"}, "update_batch_period": "1s"}
    app.write({"periodic": EXAMPLES}, model=MODEL, files={"updater.yml": updater})
    program = app.run_ready()
    app.client.send(points(2))
    wait_for("value from the record", lambda: app.client.get("/entity/n/e1/get/q")["current_value"] == 2)
    wait_for("value by eid", lambda: app.raw("m", "told"))
    assert app.dead_letters() == []
    cycles = app.client.get("/telemetry/updates")
    assert {(cycle["etype"], cycle["period_s"], cycle["eid_only"]) for cycle in cycles} == {
        ("n", 1.0, False),
        ("n", 1.0, True),
    }
    app.stop(program)


def test_killed_workers_leave_no_entity_out_and_double_no_effect(app: App) -> None:
    write_slow(app, {"year": 2100})
    api, worker, chance = app.api(1), app.worker(0, 1), choose(3)
    app.wait_ready()
    app.client.send(points(ENTITIES))
    app.wait_idle()
    while not has_begun(app):
        then = datetime.now(UTC) + timedelta(seconds=SOON_S)
        write_slow(app, {name: getattr(then, name) for name in FIELDS})
        worker = again(app, worker)
        while not has_begun(app) and datetime.now(UTC) < then + timedelta(seconds=1):
            time.sleep(0.02)
    killed_inside = 0
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, 0.4))
        killed_inside += not is_over(app)
        worker = again(app, worker)
    wait_for("end of the batch", lambda: is_over(app))
    app.wait_idle()
    assert killed_inside >= 2
    told = [value for _, _, value in app.raw("m", "told")]
    assert sorted(told) == list(range(ENTITIES))
    for process in (api, worker):
        process.send_signal(15)
    assert [process.wait() for process in (api, worker)] == [0, 0]


def write_slow(app: App, cron: dict[str, Any]) -> None:
    updater = {"update_batch_cron": cron, "update_batch_period": "1d"}
    app.write({"slow": SLOW}, model=MODEL, files={"updater.yml": updater})


def has_begun(app: App) -> bool:
    return app.query("SELECT 1 FROM update_progress LIMIT 1") == [(1,)]


def is_over(app: App) -> bool:
    return app.query("SELECT 1 FROM update_progress WHERE open <> 0 LIMIT 1") == []


def again(app: App, worker: Process) -> Process:
    """Kill the worker and start another one in its place."""
    worker.kill()
    started = app.worker(0, 1)
    app.wait_ready()
    return started
