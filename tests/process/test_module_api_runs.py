"""What the module API promises of snapshots, periodic updates and ids, shown by a third party's application.

A garden: beds, whose moisture is measured, in greenhouses; and things with ids of every other type. All
modules run in one program, which makes two runs of snapshots; every test asks for what must have come of it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kit.program import FINDINGS, HEADER, App, application, wait_for
from kit.specs import a_type, observed_attr, plain_attr, series_attr

MOISTURE = series_attr(params={"time_step": "1m"}, series={"level": {"data_type": "float"}})
LEVEL = observed_attr("float", {"post_validity": "1d"})

MODEL = {
    "bed": a_type(
        "bed",
        {
            "moisture": MOISTURE,
            "driest": LEVEL,
            "house": plain_attr("link<greenhouse>"),
            "thirsty": plain_attr("binary"),
            "advice": plain_attr("string"),
        },
    ),
    "greenhouse": a_type(
        "greenhouse", {"limit": plain_attr("float"), "asked_by": plain_attr("string")}, id_data_type="int"
    ),
    "pump": a_type("pump", {"power": plain_attr("int")}, id_data_type="ipv4"),
    "router": a_type("router", {"power": plain_attr("int")}, id_data_type="ipv6"),
    "valve": a_type("valve", {"power": plain_attr("int")}, id_data_type="mac"),
    "diary": a_type("diary", {"begun": plain_attr("int"), "ended": plain_attr("int")}),
}

DRYNESS = (
    HEADER
    + """
from findings import found

class Dryness(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_timeseries_hook(self.summarize, "bed", "moisture")

    def summarize(self, entity_type, attr_type, attr_history):
        assert isinstance(attr_history, list) and all(isinstance(chunk, dict) for chunk in attr_history)
        found("timeseries", entity_type, attr_type, [chunk["v"]["level"] for chunk in attr_history])
        levels = [level for chunk in attr_history for level in chunk["v"]["level"]]
        end = max(chunk["t2"] for chunk in attr_history)
        return [DataPointTask(etype="bed", eid="roses", data_points=[
            {"etype": "bed", "eid": "roses", "attr": "driest", "t1": end, "v": min(levels)}])]
"""
)

GARDENER = (
    HEADER
    + """
from findings import found

class Gardener(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.register_correlation_hook(self.advise, "bed", [["thirsty"]], [["advice"]])
        registrar.register_correlation_hook(
            self.judge,
            "bed",
            [["driest"], ["house", "limit"]],
            [["thirsty"]],
        )
        registrar.register_snapshot_init_hook(self.begin)
        registrar.register_snapshot_finalize_hook(self.end)
        self.runs = 0

    def begin(self):
        self.runs += 1
        found("order", "begin")
        return self.noted("begun")

    def judge(self, entity_type, values):
        house = values["house"]["record"]
        found("order", entity_type, "judged", values["eid"], values["driest"], house["eid"], house["limit"])
        values["thirsty"] = values["driest"] < house["limit"]

    def advise(self, entity_type, values):
        found("order", entity_type, "advised", values["eid"])
        values["advice"] = "water" if values["thirsty"] else "wait"
        house = values["house"]["eid"]
        return [DataPointTask(etype="greenhouse", eid=house, data_points=[
            {"etype": "greenhouse", "eid": house, "attr": "asked_by", "v": values["eid"]}])]

    def end(self):
        found("order", "end")
        return self.noted("ended")

    def noted(self, attr):
        return [DataPointTask(etype="diary", eid="runs", data_points=[
            {"etype": "diary", "eid": "runs", "attr": attr, "v": self.runs}])]
"""
)

MISTAKEN = (
    HEADER
    + """
from findings import found

class Mistaken(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        self.registrar = registrar
        registrar.register_correlation_hook(self.hook, "pump", [["power"]], [])
        self.refused("cycle", "bed", [["advice"]], [["driest"]])
        self.refused("path that ends", "bed", [["roots"]], [])
        self.refused("path through no link", "bed", [["driest", "limit"]], [])
        self.refused("output", "bed", [["driest"]], [["house", "roof"]])

    def refused(self, what, *places):
        try:
            self.registrar.register_correlation_hook(self.never, *places)
        except ValueError as error:
            found("refused", what)

    def hook(self, entity_type, values):
        found("pumps", values["eid"])

    def never(self, entity_type, values):
        found("never", entity_type)
"""
)

IDENTIFIED = (
    HEADER
    + """
from functools import partial
from ipaddress import IPv4Address, IPv6Address

from dp3.common.datatype import AnyEidT
from dp3.common.mac_address import MACAddress

from findings import found

ATTRIBUTES = {"bed": "thirsty", "greenhouse": "limit", "pump": "power", "router": "power", "valve": "power"}
TYPES = {"bed": str, "greenhouse": int, "pump": IPv4Address, "router": IPv6Address, "valve": MACAddress}

class Identified(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        for etype, attr in ATTRIBUTES.items():
            registrar.register_allow_entity_creation_hook(partial(self.allow, etype), etype)
            registrar.register_on_entity_creation_hook(partial(self.created, etype), etype)
            registrar.register_on_new_attr_hook(partial(self.new, etype), etype, attr)
            registrar.register_correlation_hook(self.correlated, etype, [[attr]], [])
            registrar.register_periodic_update_hook(self.updated, "test_id", etype, "1s")
            registrar.register_periodic_eid_update_hook(self.visited, "test_id", etype, "1s")

    def allow(self, etype, eid, task):
        self.note("allow", etype, eid)
        return True

    def created(self, etype, eid, task):
        self.note("creation", etype, eid)
        return []

    def new(self, etype, eid, dp):
        self.note("attribute", etype, eid)
        return []

    def correlated(self, etype, values):
        self.note("correlation", etype, values["eid"])

    def updated(self, etype, eid, record):
        self.note("periodic", etype, eid)
        self.note("record", etype, record["_id"])
        return []

    def visited(self, etype, eid):
        self.note("periodic_eid", etype, eid)
        return []

    def note(self, hook: str, etype: str, eid: AnyEidT) -> None:
        found("ids_" + hook, etype, eid, type(eid) is TYPES[etype])
"""
)

MODULES = {
    "dryness": DRYNESS,
    "gardener": GARDENER,
    "mistaken": MISTAKEN,
    "identified": IDENTIFIED,
    "./findings": FINDINGS,
}
ENABLED = [name for name in MODULES if "/" not in name]
SETTINGS = {
    "snapshots.yml": {"creation_rate": {"year": "2100"}},
    "updater.yml": {"update_batch_cron": {"second": "*"}, "update_batch_period": "1s"},
}

IDS = {
    "bed roses True",
    "greenhouse 7 True",
    "pump 10.0.0.1 True",
    "router fe80::1 True",
    "valve 00:11:22:33:44:55 True",
}

START = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)


def minute(number: int) -> str:
    """So many minutes after the first measurement."""
    return (START + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def sent(etype: str, eid: Any, attr: str, v: Any, **more: Any) -> dict[str, Any]:
    return {"type": etype, "id": eid, "attr": attr, "v": v, **more}


DATAPOINTS = [
    sent("bed", "roses", "moisture", {"level": [0.5, 0.3]}, t1=minute(0)),
    sent("bed", "roses", "moisture", {"level": [0.4]}, t1=minute(2)),
    sent("bed", "roses", "house", {"eid": 7}),
    sent("bed", "roses", "thirsty", False),
    sent("greenhouse", 7, "limit", 0.35),
    sent("pump", "10.0.0.1", "power", 1),
    sent("router", "fe80::1", "power", 1),
    sent("valve", "00:11:22:33:44:55", "power", 1),
]


def make_run(app: App) -> None:
    """A run of snapshots, and everything that its hooks returned."""
    asked = app.client.request("POST", "/control/make_snapshots")
    path = f"/control/results/{asked['id']}"
    answer = wait_for("run", lambda: (found := app.client.get(path))["done"] and found)
    assert [result["status"] for result in answer["results"]] == ["complete"]
    app.wait_idle()


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The running program, after two runs of snapshots and a visit to every entity."""
    with application(tmp_path_factory.mktemp("garden")) as app, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINDINGS", str(app.root))
        app.write(MODULES, core={"enabled_modules": ENABLED}, model=MODEL, files=SETTINGS)
        app.program = app.run_ready()
        for point in DATAPOINTS:
            app.client.send([point])
        app.wait_idle()
        for _ in range(2):
            make_run(app)
        wait_for("visits", lambda: len(set(app.findings("ids_record"))) == len(IDS))
        wait_for("visits by id", lambda: len(set(app.findings("ids_periodic_eid"))) == len(IDS))
        yield app


def snapshots(app: App) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = app.client.get("/entity/bed/roses/snapshots")
    return found


def test_a_timeseries_hook_gets_the_history_and_its_values_are_in_the_snapshot(garden):
    assert garden.findings("timeseries") == ["bed moisture [[0.5, 0.3], [0.4]]"] * 2
    first, second = snapshots(garden)
    assert (first["driest"], second["driest"]) == (0.3, 0.3)
    assert "moisture" not in first
    assert garden.raw("bed", "driest") == [("roses", minute(3), 0.3)] * 2


def test_correlation_hooks_run_in_the_order_of_their_dependencies_between_init_and_finalize(garden):
    one_run = ["begin", "bed judged roses 0.3 7 0.35", "bed advised roses", "end"]
    assert garden.findings("order") == one_run * 2


def test_a_correlation_hook_changes_the_snapshot_and_may_return_tasks(garden):
    for row in snapshots(garden):
        assert (row["thirsty"], row["advice"]) == (True, "water")
    master = garden.client.get("/entity/bed/roses/master")
    assert "advice" not in master
    assert master["thirsty"]["v"] is False
    assert garden.client.get("/entity/greenhouse/7/get/asked_by")["current_value"] == "roses"


@pytest.mark.parametrize("attr", ["begun", "ended"])
def test_init_and_finalize_hooks_may_return_tasks(garden, attr):
    assert [value for _, _, value in garden.raw("diary", attr)] == [1, 2]
    assert garden.client.get(f"/entity/diary/runs/get/{attr}")["current_value"] == 2


def test_cycles_and_bad_paths_are_value_errors_and_leave_no_trace(garden):
    assert garden.findings("refused") == ["cycle", "path that ends", "path through no link", "output"]
    assert garden.findings("never") == []
    assert garden.findings("pumps") == ["10.0.0.1"] * 2


HOOKS_WITH_IDS = ["allow", "creation", "attribute", "correlation", "periodic", "record", "periodic_eid"]


@pytest.mark.parametrize("hook", HOOKS_WITH_IDS)
def test_every_hook_gets_ids_of_exactly_the_configured_type(garden, hook):
    assert set(garden.findings(f"ids_{hook}")) == IDS


def test_creation_hooks_are_called_once(garden):
    assert sorted(garden.findings("ids_creation")) == sorted(IDS)


def test_no_example_leaves_a_dead_letter(garden):
    assert garden.dead_letters() == []
