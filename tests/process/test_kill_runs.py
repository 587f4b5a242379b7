"""A snapshot run ends, with everything in it once, whatever dies."""

import time

from kit.load import choose
from kit.program import HEADER, App, Process, wait_for
from kit.specs import a_type, each_point, plain_attr

KILLS = 10
ENTITIES, CHAIN = 480, 4

MODEL = {
    "n": a_type("n", {"p": plain_attr("int"), "risk": plain_attr("int"), "peer": plain_attr("link<n>")}),
    "m": a_type("m", {"told": each_point()}),
}

MODULE = (
    HEADER
    + """
import time


class Risky(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_correlation_hook(self.hook, "n", [["peer", "p"]], [["risk"]])

    def hook(self, etype, values):
        time.sleep(0.02)
        if "peer" not in values:
            return []
        values["risk"] = values["peer"]["record"]["p"]
        point = {"etype": "m", "eid": "all", "attr": "told", "v": values["p"], "t1": datetime(2020, 1, 1)}
        return [DataPointTask(etype="m", eid="all", data_points=[point])]
"""
)


def points(i):
    yield {"type": "n", "id": f"e{i}", "attr": "p", "v": i}
    if is_linked(i):
        yield {"type": "n", "id": f"e{i}", "attr": "peer", "v": {"eid": f"e{i + 1}"}}


def is_linked(i):
    return i % CHAIN != CHAIN - 1


def run_is_over(app: App) -> bool:
    return app.query("SELECT count(*) FROM run WHERE phase = 'closed'") == [(1,)]


def test_a_run_whose_worker_is_killed_ten_times_ends_with_nothing_missing_or_twice(app: App) -> None:
    app.write({"risky": MODULE}, model=MODEL, files={"snapshots.yml": {"creation_rate": {"year": 2100}}})
    api, worker, chance = app.api(1), app.worker(0, 1), choose(2)
    app.wait_ready()
    app.client.send([point for i in range(ENTITIES) for point in points(i)])
    app.wait_idle()
    app.client.request("POST", "/control/make_snapshots")
    wait_for("beginning of the run", lambda: app.query("SELECT 1 FROM run") == [(1,)])
    killed_inside = 0
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.6))
        killed_inside += not run_is_over(app)
        worker.kill()
        worker = app.worker(0, 1)
        app.wait_ready()
    wait_for("end of the run", lambda: run_is_over(app))
    app.wait_idle()
    assert killed_inside >= KILLS // 2
    assert app.query("SELECT status FROM run") == [("complete",)]
    expect_everything_once(app)
    stop(api, worker)


def expect_everything_once(app: App) -> None:
    found = app.client.get("/v2/entity/n/get", limit=ENTITIES + 1)["data"]
    risks = {row["eid"]: row.get("risk") for row in found}
    assert risks == {f"e{i}": i + 1 if is_linked(i) else None for i in range(ENTITIES)}
    told = [value for _, _, value in app.raw("m", "told")]
    assert sorted(told) == [i for i in range(ENTITIES) if is_linked(i)]


def stop(*processes: Process) -> None:
    for process in processes:
        process.send_signal(15)
    assert [process.wait() for process in processes] == [0] * len(processes)
