"""Tasks that end or stop their worker cost nothing but themselves, however many other ones they come with."""

import time

import pytest

from kit.program import HEADER, App, Process, wait_for
from kit.specs import a_type, each_point, plain_attr, series_attr

BAD = "e5"
INNOCENT = 10

MODEL = {
    "a": a_type("a", {"p": plain_attr("string")}),
    "t": a_type("t", {"told": each_point("string")}),
}

KILLING = (
    HEADER
    + """
import ctypes
import faulthandler
import signal

DOOR = os.environ["DP3_DOOR"]


class Killing(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        faulthandler.disable()
        self.model = platform_config.model_spec
        registrar.register_on_new_attr_hook(self.hook, "a", "p")

    def hook(self, eid, dp):
        time.sleep(0.01)
        if not os.path.exists(DOOR):
            if dp.v == "exit":
                os._exit(2)
            if dp.v == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if dp.v == "crash":
                ctypes.string_at(0)
            if dp.v == "hang":
                threading.Event().wait()
        point = {"etype": "t", "eid": "all", "attr": "told", "v": eid, "t1": datetime(2020, 1, 1)}
        return [DataPointTask(etype="t", eid="all", data_points=[point], model_spec=self.model)]
"""
)


@pytest.fixture
def killing(app: App, tmp_path, monkeypatch) -> Process:
    """The program with the module above; `tmp_path / "door"` makes all of its tasks harmless."""
    monkeypatch.setenv("DP3_DOOR", str(tmp_path / "door"))
    app.write({"killing": KILLING}, {"hook_timeout": "1s", "hook_hang": "3s"}, MODEL)
    return app.run_ready()


def entry(bad: str, how: str, *innocent: str) -> list[dict[str, str]]:
    """One request: in the middle of it, what ends the worker."""
    half = len(innocent) // 2
    eids = [*innocent[:half], bad, *innocent[half:]]
    return [{"type": "a", "id": eid, "attr": "p", "v": how if eid == bad else "good"} for eid in eids]


def stored(app: App) -> set[str]:
    return {row["eid"] for row in app.client.get("/v2/entity/a/get", limit=1000)["data"]}


def told(app: App) -> list[str]:
    """The entities for which a hook took effect."""
    return sorted(v for _, _, v in app.raw("t", "told"))


def masters(app: App, eids: list[str]) -> list[str]:
    """Those of the entities that have their value."""
    return [eid for eid in eids if app.http.get(f"/entity/a/{eid}/master").get("p")]


@pytest.mark.parametrize("how", ["exit", "kill", "crash", "hang"])
def test_of_the_tasks_of_one_entry_only_the_one_that_ends_the_worker_is_set_aside(
    app: App, killing: Process, tmp_path, how: str
) -> None:
    innocent = [f"i{number}" for number in range(INNOCENT)]
    app.client.send(entry(BAD, how, *innocent))
    app.wait_idle()
    (letter,) = app.dead_letters()
    assert (letter["kind"], letter["etype"], letter["eid"]) == ("entry", "a", BAD)
    assert letter["context"]["task"] == INNOCENT // 2
    assert masters(app, [*innocent, BAD]) == innocent
    assert told(app) == innocent
    (tmp_path / "door").touch()
    assert app.start("deadletters", "retry", str(letter["id"]), "--url", app.url).wait() == 0
    app.wait_idle()
    assert app.dead_letters() == []
    assert masters(app, [BAD]) == [BAD]
    assert told(app) == [BAD, *innocent]
    app.stop(killing)


def test_several_tasks_that_end_the_worker_are_found_in_one_entry(app: App, killing: Process) -> None:
    bad = ("e1", "e2", "e9")
    values = [(f"e{number}", "exit" if f"e{number}" in bad else "good") for number in range(12)]
    app.client.send([{"type": "a", "id": eid, "attr": "p", "v": v} for eid, v in values])
    app.wait_idle()
    assert sorted(letter["eid"] for letter in app.dead_letters()) == [*bad]
    assert told(app) == sorted(eid for eid, v in values if v == "good")
    app.stop(killing)


def test_ten_entries_in_a_row_that_end_the_worker_are_through_in_a_minute(app: App, killing: Process) -> None:
    innocent = [f"i{number}-{other}" for number in range(10) for other in range(INNOCENT)]
    begun = time.monotonic()
    for number in range(10):
        app.client.send(entry(f"bad{number}", "exit", *innocent[INNOCENT * number :][:INNOCENT]))
    wait_for("ten dead letters", lambda: len(app.dead_letters()) == 10)
    app.wait_idle()
    took_s = time.monotonic() - begun
    assert sorted(letter["eid"] for letter in app.dead_letters()) == [f"bad{n}" for n in range(10)]
    assert told(app) == sorted(innocent)
    assert took_s < 60, killing.output[-6000:]
    app.stop(killing)


BACKGROUND = (
    HEADER
    + """
BAD = ("e3", "e7")


class Background(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        self.model = platform_config.model_spec
        registrar.register_correlation_hook(self.correlate, "n", [["p"]], [["seen"]])
        registrar.register_timeseries_hook(self.series, "n", "load")
        registrar.register_periodic_update_hook(self.update, "update", "n", "1m")

    def correlate(self, etype, values):
        if values["p"] == "correlation" and values["eid"] in BAD:
            os._exit(3)
        values["seen"] = 1

    def series(self, etype, attr, history):
        if history[0]["v"]["v"] == [13]:
            os._exit(3)

    def update(self, etype, eid, master):
        if master["p"]["v"] == "update" and eid in BAD:
            os._exit(3)
        point = {"etype": "t", "eid": "all", "attr": "told", "v": eid, "t1": datetime(2020, 1, 1)}
        return [DataPointTask(etype="t", eid="all", data_points=[point], model_spec=self.model)]
"""
)

BACKGROUND_MODEL = {
    "n": a_type(
        "n",
        {
            "p": plain_attr("string"),
            "seen": plain_attr("int"),
            "load": series_attr("irregular", series={"v": {"data_type": "int"}}),
        },
    ),
    "t": a_type("t", {"told": each_point("string")}),
}
MANY = [f"e{number}" for number in range(30)]


def files(updates: dict[str, object]) -> dict[str, object]:
    """Snapshots on demand, and batches of periodic hooks by this schedule."""
    return {
        "snapshots.yml": {"creation_rate": {"year": 2100}},
        "updater.yml": {"update_batch_cron": updates, "update_batch_period": "10s"},
    }


def snapshots(app: App) -> dict[str, object]:
    return {row["eid"]: row.get("seen") for row in app.client.get("/v2/entity/n/get", limit=100)["data"]}


@pytest.mark.parametrize("how", ["correlation", "series"])
def test_a_hook_that_ends_the_worker_in_a_snapshot_run_fails_for_its_entity_only(app: App, how: str) -> None:
    app.write({"background": BACKGROUND}, {}, BACKGROUND_MODEL, files(updates={"year": 2100}))
    program = app.run_ready()
    app.client.send([{"type": "n", "id": eid, "attr": "p", "v": how} for eid in MANY])
    series = {"type": "n", "attr": "load", "t1": "2020-01-01T00:00:00"}
    if how == "series":
        values = {eid: [13 if eid in ("e3", "e7") else 1] for eid in MANY}
        times = ["2020-01-01T00:00:00"]
        app.client.send([{**series, "id": eid, "v": {"time": times, "v": v}} for eid, v in values.items()])
    app.wait_idle()
    app.client.request("POST", "/control/make_snapshots")
    wait_for("end of the run", lambda: app.query("SELECT status FROM run WHERE phase = 'closed'"))
    assert app.query("SELECT status FROM run") == [("complete",)]
    assert sorted(letter["eid"] for letter in app.dead_letters()) == ["e3", "e7"]
    bad = {"e3", "e7"} if how == "correlation" else set()
    assert snapshots(app) == {eid: None if eid in bad else 1 for eid in MANY}
    assert program.output.count("worker 0 started") <= 5
    app.stop(program)


def test_a_periodic_hook_that_ends_the_worker_is_left_out_for_its_entity_only(app: App) -> None:
    app.write({"background": BACKGROUND}, {}, BACKGROUND_MODEL, files(updates={"second": "*/10"}))
    program = app.run_ready()
    app.client.send([{"type": "n", "id": eid, "attr": "p", "v": "update"} for eid in MANY])
    innocent = set(MANY) - {"e3", "e7"}
    wait_for("all visits", lambda: set(told(app)) == innocent and len(app.dead_letters()) >= 2)
    assert {letter["eid"] for letter in app.dead_letters()} == {"e3", "e7"}
    assert program.output.count("worker 0 started") <= 6
    app.stop(program)
