"""Tasks that end or stop their worker cost nothing but themselves, however many other ones they come with."""

import time

import pytest

from kit.program import HEADER, App, Process, wait_for
from kit.specs import a_type, each_point, plain_attr

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
