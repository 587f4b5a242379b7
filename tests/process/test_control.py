"""Telling the running program to do something."""

from typing import Any

import pytest
import yaml

from kit.program import HEADER, App, wait_for
from kit.specs import a_type, plain_attr

MODULE = (
    HEADER
    + """
class Limits(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        self.index = platform_config.process_index
        registrar.register_on_new_attr_hook(self.tell, "a", "p")

    def load_config(self, config, module_config):
        self.limit = int(module_config["limit"])

    def tell(self, eid, dp):
        told = f"{self.limit} {self.refresh.isset()}"
        point = {"etype": "c", "eid": f"{self.index}-{eid}", "attr": "p", "v": told}
        return [DataPointTask(etype="c", eid=f"{self.index}-{eid}", data_points=[point])]
"""
)


@pytest.fixture
def limits(app: App) -> App:
    app.write({"limits": MODULE}, core={"worker_processes": 2})
    configure(app, {"limit": 1})
    return app


def configure(app: App, content: Any) -> None:
    file = app.root / "config" / "modules" / "limits.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))


def refresh(app: App) -> list[dict[str, Any]]:
    """Ask for it and wait until both workers are through."""
    sent = app.client.request("POST", "/control/refresh_module_config", query={"module": "limits"})
    path = f"/control/results/{sent['id']}"
    answer = wait_for("results", lambda: (found := app.client.get(path))["done"] and found)
    results: list[dict[str, Any]] = answer["results"]
    return results


def told(app: App, prefix: str) -> set[str]:
    """What the hooks of all workers say about some new entities."""
    points = [{"type": "a", "id": f"{prefix}{i}", "attr": "p", "v": "x"} for i in range(20)]
    app.client.send(points, wait=True)
    app.wait_idle()
    masters = (app.client.get(f"/entity/c/{w}-{prefix}{i}/master") for w in (0, 1) for i in range(20))
    said = [(master["p"]["v"]) for master in masters if master]
    assert len(said) == 20
    return set(said)


def test_every_worker_loads_the_configuration_of_a_module_again(limits: App) -> None:
    program = limits.run_ready()
    assert told(limits, "before") == {"1 False"}
    configure(limits, {"limit": 2})
    assert refresh(limits) == [{"done": 1}, {"done": 1}]
    assert told(limits, "after") == {"2 True"}
    limits.stop(program)


def test_a_configuration_with_mistakes_changes_nothing_and_is_told(limits: App) -> None:
    program = limits.run_ready()
    configure(limits, "limit: [")
    assert all("limits.yml:" in result["error"] for result in refresh(limits))
    configure(limits, {"limit": "many"})
    assert all("load_config() of module 'limits' failed" in result["error"] for result in refresh(limits))
    assert told(limits, "after") == {"1 False"}
    limits.stop(program)


REFRESHED = (
    HEADER
    + """
class Limits(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_on_entity_creation_hook(
            self.processing_function,
            "test_entity_type",
            refresh=self.refresh,
            may_change=[["derived_on_creation"]]
        )
        registrar.register_on_new_attr_hook(
            self.attr_hook,
            "test_entity_type",
            "test_attr_type",
            refresh=self.refresh,
            may_change=[["above"]]
        )

    def load_config(self, config, module_config):
        self.limit = int(module_config["limit"])

    def processing_function(self, eid, task):
        return self.derived(eid, "derived_on_creation", str(self.limit))

    def attr_hook(self, eid, dp):
        return self.derived(eid, "above", dp.v > self.limit)

    def derived(self, eid, attr, v):
        return [DataPointTask(etype="test_entity_type", eid=eid, data_points=[{
            "etype": "test_entity_type", "eid": eid, "attr": attr, "src": "secondary/limits", "v": v}])]
"""
)

TYPE = a_type(
    "test_entity_type",
    {
        "test_attr_type": plain_attr("int"),
        "derived_on_creation": plain_attr("string"),
        "above": plain_attr("binary"),
    },
)


def derived_values(app: App) -> dict[str, tuple[str, bool]]:
    """What the latest snapshots say, by entity."""
    rows = app.client.get("/entity/test_entity_type/get", limit=0)["data"]
    return {row["eid"]: (row.get("derived_on_creation"), row.get("above")) for row in rows}


def make_snapshots(app: App) -> None:
    before = app.client.get("/telemetry/metadata")
    app.client.request("POST", "/control/make_snapshots")
    wait_for("run", lambda: len(app.client.get("/telemetry/metadata")) > len(before) and no_open_run(app))


def no_open_run(app: App) -> bool:
    return app.query("SELECT count(*) FROM run WHERE phase <> 'closed'") == [(0,)]


def test_values_derived_by_hooks_are_computed_again_with_the_new_configuration(app: App) -> None:
    app.write({"limits": REFRESHED}, core={"worker_processes": 2}, model={"test_entity_type": TYPE})
    configure(app, {"limit": 5})
    program = app.run_ready()
    app.client.send(
        [{"type": "test_entity_type", "id": f"e{i}", "attr": "test_attr_type", "v": i} for i in range(20)]
    )
    app.wait_idle()
    make_snapshots(app)
    assert derived_values(app) == {f"e{i}": ("5", i > 5) for i in range(20)}
    configure(app, {"limit": 10})
    refresh(app)
    make_snapshots(app)
    assert derived_values(app) == {f"e{i}": ("10", i > 10) for i in range(20)}, "in the very next snapshots"
    app.wait_idle()
    assert app.client.get("/entity/test_entity_type/e7/get/above")["current_value"] is False
    assert app.dead_letters() == []
    app.stop(program)
