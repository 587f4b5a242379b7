"""Telling the running program to do something."""

from typing import Any

import pytest
import yaml
from harness import HEADER, App, wait_for

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
