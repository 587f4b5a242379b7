"""Creation hooks are called again by the running program, whatever dies."""

import time
from typing import Any

from kit.load import choose
from kit.program import HEADER, App, wait_for
from kit.specs import a_type, each_point, plain_attr

ENTITIES, KILLS = 400, 6

MODEL = {
    "n": a_type("n", {"p": plain_attr("int")}),
    "m": a_type("m", {"told": each_point()}),
}

MODULE = (
    HEADER
    + """
class Slow(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_entity_creation_hook(self.tell, "n", refresh=self.refresh, may_change=[])

    def tell(self, eid, task):
        if task.data_points:
            return []
        time.sleep(0.02)
        point = {"etype": "m", "eid": "all", "attr": "told", "v": int(eid[1:]), "t1": datetime(2020, 1, 1)}
        return [DataPointTask(etype="m", eid="all", data_points=[point])]
"""
)


def answer(app: App, path: str) -> dict[str, Any]:
    found: dict[str, Any] = app.client.get(path)
    return found


def test_killed_workers_leave_no_entity_out_and_double_no_effect(app: App) -> None:
    app.write({"slow": MODULE}, model=MODEL, files={"snapshots.yml": {"creation_rate": {"year": 2100}}})
    processes = [app.api(2), app.worker(0, 2), app.worker(1, 2)]
    chance = choose(4)
    app.wait_ready()
    app.client.send([{"type": "n", "id": f"e{i}", "attr": "p", "v": i} for i in range(ENTITIES)])
    app.wait_idle()
    sent = app.client.request("POST", "/control/refresh_on_entity_creation", query={"etype": "n"})
    path = f"/control/results/{sent['id']}"
    wait_for("progress", lambda: "progress" in str(answer(app, path)))
    killed_inside = 0
    for kill in range(KILLS):
        time.sleep(chance.uniform(0.2, 0.6))
        killed_inside += not answer(app, path)["done"]
        index = kill % 2
        processes[index + 1].kill()
        processes[index + 1] = app.worker(index, 2)
        app.wait_ready()
    wait_for("end", lambda: answer(app, path)["done"])
    app.wait_idle()
    assert killed_inside >= 2
    results = answer(app, path)["results"]
    assert all(result["entities"] == result["tasks"] > 0 == result["failures"] for result in results)
    assert sum(result["entities"] for result in results) == ENTITIES
    assert sorted(value for _, _, value in app.raw("m", "told")) == list(range(ENTITIES))
    for process in processes:
        process.send_signal(15)
    assert [process.wait() for process in processes] == [0, 0, 0]
