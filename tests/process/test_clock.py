"""The clock is set while the real program works, far ahead or back, and then it is right again."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kit.program import HEADER, App, Process, wait_for
from kit.specs import a_type, observed_attr, plain_attr
from kit.wrong_clock import WrongClock

HOUR_S, DAY_S = 3_600, 86_400
JUMPS = {"a year ahead": 365 * DAY_S, "an hour back": -HOUR_S, "ten days ahead": 10 * DAY_S}

PERIOD_S = 2
EVERY_OTHER_SECOND = {"second": f"*/{PERIOD_S}"}

MODEL = {
    "d": a_type(
        "d",
        {
            "p": plain_attr("int"),
            "o": observed_attr("int", {"max_age": "6h", "pre_validity": "0s", "post_validity": "1h"}),
            "n": plain_attr("int"),
            "peer": plain_attr("link<m>"),
        },
        lifetime={"type": "ttl", "on_create": "1h"},
    ),
    "m": a_type("m", {"p": plain_attr("int")}),
}

FILES = {
    "snapshots.yml": {"creation_rate": EVERY_OTHER_SECOND},
    "garbage_collector.yml": {"collection_rate": EVERY_OTHER_SECOND},
    "history_manager.yml": {
        "aggregation_schedule": EVERY_OTHER_SECOND,
        "datapoint_cleaning_schedule": EVERY_OTHER_SECOND,
        "snapshot_cleaning": {"schedule": EVERY_OTHER_SECOND, "older_than": "2h"},
        "datapoint_archivation": {"schedule": EVERY_OTHER_SECOND, "older_than": "1d"},
    },
    "updater.yml": {"update_batch_cron": {"second": "*"}, "update_batch_period": "1s"},
}

MODULE = (
    HEADER
    + """
import struct
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def set_clock_in(phase):
    # The test has left word that the clock is to be set in a phase of a run, and by how much.
    order = ROOT / f"set-in-{phase}"
    if order.exists():
        seconds = float(order.read_text())
        order.unlink()
        with open(ROOT / "clock", "r+b") as file:
            file.write(struct.pack("<q", round(seconds * 1e9)))
        time.sleep(0.05)


class Everything(BaseModule):
    def __init__(self, platform_config, module_config, registrar):
        super().__init__(platform_config, module_config, registrar)
        registrar.scheduler_register(self.called, second="*")
        registrar.register_task_hook("on_task_start", self.on_task)
        registrar.register_on_entity_creation_hook(self.created, "d")
        registrar.register_on_new_attr_hook(self.derived, "d", "p")
        registrar.register_correlation_hook(self.correlate, "d", [["p"]], [])
        registrar.register_snapshot_init_hook(lambda: set_clock_in("init"))
        registrar.register_snapshot_finalize_hook(lambda: set_clock_in("finalize"))
        registrar.register_periodic_update_hook(self.periodic, "visit", "d", "2s")

    def called(self):
        (ROOT / "called").open("a").write("x\\n")

    def on_task(self, task):
        pass

    def created(self, eid, task):
        subject = {"etype": "m", "eid": f"of {eid}"}
        return [DataPointTask(**subject, data_points=[{**subject, "attr": "p", "v": 1}])]

    def derived(self, eid, dp):
        subject = {"etype": "d", "eid": eid}
        return [DataPointTask(**subject, data_points=[{**subject, "attr": "n", "v": dp.v}])]

    def correlate(self, etype, values):
        set_clock_in("work")

    def periodic(self, etype, eid, record):
        (ROOT / "visited").open("a").write("x\\n")
        return []
"""
)


@pytest.fixture
def clock(app: App, monkeypatch: pytest.MonkeyPatch) -> WrongClock:
    clock = WrongClock(app.root)
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    return clock


@pytest.fixture
def program(app: App, clock: WrongClock) -> Process:
    app.write({"everything": MODULE}, model=MODEL, files=FILES)
    return app.run_ready()


def point(eid: str, attr: str, v: Any, **more: Any) -> dict[str, Any]:
    return {"type": "d", "id": eid, "attr": attr, "v": v, **more}


def send(app: App, *numbers: int) -> None:
    now = datetime.now(UTC)
    for number in numbers:
        eid = f"e{number}"
        link = point(eid, "peer", {"eid": f"of {eid}"})
        seen = point(eid, "o", number, t1=now.isoformat(), t2=(now + timedelta(seconds=1)).isoformat())
        app.client.send([point(eid, "p", number), seen, link])
    app.wait_idle()


def newest_time(app: App) -> datetime | None:
    found = app.client.get("/entity/d/get", limit="1").get("time_created")
    return None if found is None else datetime.fromisoformat(found)


def is_of_now(moment: datetime | None) -> bool:
    return moment is not None and abs((datetime.now(UTC) - moment).total_seconds()) < 60


def another_run(app: App) -> None:
    """There is a snapshot of now, and soon another one."""
    wait_for("a snapshot of now", lambda: is_of_now(newest_time(app)))
    first = newest_time(app)
    wait_for("another one", lambda: is_of_now(last := newest_time(app)) and last != first)


def goes_on(app: App, name: str) -> None:
    """Something that modules note is noted again, some times."""
    before = len(app.findings(name))
    wait_for(f"more of {name}", lambda: len(app.findings(name)) >= before + 2)


def everything_goes_on(app: App) -> None:
    """All schedules come at their times, and show the right one."""
    another_run(app)
    goes_on(app, "called")
    goes_on(app, "visited")


def nothing_is_lost(app: App, numbers: range, sent_again: int = 0) -> None:
    for number in numbers:
        master = app.client.get(f"/entity/d/e{number}/master")
        assert master["p"]["v"] == master["n"]["v"] == number, "and what hooks derived"
        assert [interval["v"] for interval in master["o"]] == [number], "history is not deleted early"
        assert app.client.get(f"/entity/m/of e{number}/master")["p"]["v"] == 1
    assert app.client.get("/entity/d/count")["total_count"] == len(numbers)
    raw = app.client.get("/entity/d/raw/get", attr="n", limit="1000")
    assert raw["count"] == len(numbers) + sent_again, "derived once"
    assert app.dead_letters() == []


@pytest.mark.parametrize("jump", JUMPS)
def test_after_a_clock_was_wrong_everything_goes_on_and_nothing_is_lost(
    app: App, clock: WrongClock, program: Process, jump: str
) -> None:
    send(app, 0, 1)
    everything_goes_on(app)
    clock.set(JUMPS[jump])
    send(app, 2, 3)
    goes_on(app, "called")
    goes_on(app, "visited")
    clock.set(0)
    send(app, 4, 5)
    everything_goes_on(app)
    nothing_is_lost(app, range(6))
    assert "the clock was set" in program.output
    app.client.send([point("e0", "p", 100)])
    app.wait_idle()
    wait_for("a snapshot of the last value", lambda: snapshot_of(app, "e0")["p"] == 100)
    stopped_in_time(app, program)


def snapshot_of(app: App, eid: str) -> dict[str, Any]:
    found = app.client.get("/entity/d/get", generic_filter=json.dumps({"eid": eid}))
    snapshot: dict[str, Any] = found["data"][0]
    return snapshot


def stopped_in_time(app: App, program: Process) -> None:
    begun = time.monotonic()
    app.stop(program)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("phase", ["init", "work", "finalize"])
@pytest.mark.parametrize("jump", ["a year ahead", "an hour back"])
def test_a_clock_that_is_set_in_a_phase_of_a_run_does_no_harm(
    app: App, clock: WrongClock, program: Process, jump: str, phase: str
) -> None:
    send(app, *range(3))
    everything_goes_on(app)
    order = app.root / f"set-in-{phase}"
    (app.root / "order").write_text(str(JUMPS[jump]))
    (app.root / "order").rename(order)
    app.client.send([point("e0", "p", 0)])
    wait_for("the clock to be set", lambda: not order.exists())
    goes_on(app, "called")
    clock.set(0)
    everything_goes_on(app)
    nothing_is_lost(app, range(3), sent_again=1)
    stopped_in_time(app, program)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_program_that_was_restarted_while_the_clock_was_wrong_goes_on(
    app: App, clock: WrongClock, program: Process, jump: str
) -> None:
    send(app, 0, 1)
    everything_goes_on(app)
    clock.set(JUMPS[jump])
    send(app, 2)
    stopped_in_time(app, program)
    again = app.run_ready()
    send(app, 3)
    goes_on(app, "called")
    stopped_in_time(app, again)
    clock.set(0)
    last = app.run_ready()
    send(app, 4)
    everything_goes_on(app)
    nothing_is_lost(app, range(5))
    stopped_in_time(app, last)
