"""Changes of the model on the running program: refused, confirmed, and everything of the removed gone."""

import json
import subprocess
import sys
from typing import Any

import pytest

from kit.program import App, environment, wait_for
from kit.specs import a_type, each_point, plain_attr

T1 = "2020-01-01T00:00:00Z"
OLD = {
    "a": a_type(
        "a",
        {
            "o": each_point(),
            "p": plain_attr("string"),
            "q": plain_attr("int"),
            "to": plain_attr("link<c;mirror=from>"),
        },
    ),
    "c": a_type("c", {"p": plain_attr("string")}),
}
STAGES = [
    "entities",
    "garbage",
    "values",
    "snapshots",
    "links",
    "index",
    "dead letters",
    "ends of links",
    "types",
]
NEW = {
    "a": a_type("a", {"o": each_point(), "q": plain_attr("int")}),
    "c": a_type("c", {"p": plain_attr("string")}),
}


def point(etype: str, eid: str, attr: str, v: Any) -> dict[str, Any]:
    return {"type": etype, "id": eid, "attr": attr, "v": v, "t1": T1}


def points(eid: str) -> list[dict[str, Any]]:
    values = {"o": 1, "p": "text", "q": 2, "to": {"eid": "c1"}}
    return [point("a", eid, attr, v) for attr, v in values.items()]


def update(app: App, *options: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        "-m",
        "dp3",
        "schema-update",
        str(app.config),
        "--data-dir",
        str(app.data),
        *options,
    ]
    return subprocess.run(
        words, input=answer, capture_output=True, text=True, check=False, env=environment(traced=True)
    )


def fill(app: App, entities: int) -> None:
    """Entities with all attributes, and a snapshot of each."""
    for first in range(0, entities, 1_000):
        eids = [f"e{number}" for number in range(first, min(first + 1_000, entities))]
        app.client.send([one for eid in eids for one in points(eid)])
    app.client.send([point("c", "c1", "p", "stays")])
    app.wait_idle()
    app.client.request("POST", "/control/make_snapshots")
    wait_for("snapshot run", lambda: app.query("SELECT 1 FROM run WHERE status = 'complete'"))


def numbers_of(app: App, etype: str, *paths: str) -> list[int]:
    listed = ", ".join(f"'{path}'" for path in paths)
    of_type = f"SELECT id FROM etype WHERE name = '{etype}'"
    found = app.query(f"SELECT id FROM attr WHERE etype = ({of_type}) AND name IN ({listed})")
    return [number for (number,) in found]


def rows_with(app: App, numbers: list[int]) -> dict[str, int]:
    """How many rows of each table name one of these attributes."""
    listed = ", ".join(map(str, numbers))
    columns = [
        (table, column)
        for table, column in app.stored.numbers()
        if column in ("attr", "path") or (table in ("attr", "path") and column == "id")
    ]
    assert len(columns) >= 7
    counted = {
        table: app.query(f"SELECT count(*) FROM {table} WHERE {column} IN ({listed})")[0][0]
        for table, column in columns
    }
    return {table: count for table, count in counted.items() if count}


def test_removed_attributes_are_refused_until_confirmed_and_then_gone_and_all_else_stays(app: App) -> None:
    app.write(model=OLD)
    program = app.run_ready()
    fill(app, 3)
    kept = app.client.get("/entity/a/e1/get/o"), app.client.get("/entity/c/c1/master")
    app.stop(program)
    numbers = numbers_of(app, "a", "p", "to", "to.eid") + numbers_of(app, "c", "from", "from.eid")
    assert set(rows_with(app, numbers)) == {"plain", "link", "link_change", "current", "attr", "path"}

    app.write(model=NEW)
    refused = app.run()
    assert refused.wait() == 2
    for text in (
        "a.p: removed (was plain string). Lost: 3 data-points of 3 entities",
        "a.to: removed",
        "c.from",
    ):
        assert text in refused.output
    assert f"dp3 schema-update {app.config}" in refused.output
    shown = update(app, "--dry-run")
    assert (shown.returncode, "a.p: removed" in shown.stdout) == (0, True)
    assert update(app, answer="n\n").returncode == 1
    assert app.run().wait() == 2
    assert rows_with(app, numbers)

    done = update(app, answer="y\n")
    assert done.returncode == 0, done.stderr
    assert rows_with(app, numbers) == {}
    program = app.run_ready()
    assert (app.client.get("/entity/a/e1/get/o"), app.client.get("/entity/c/c1/master")) == kept
    master = app.client.get("/entity/a/e1/master")
    assert set(master) == {"o", "q", "#time_created"}
    (snapshot,) = app.client.get("/entity/a/get", limit=1)["data"]
    assert not {"p", "to"} & set(snapshot)
    app.stop(program)


@pytest.mark.parametrize("kind", ["worker", "api"])
def test_parts_that_are_started_by_hand_refuse_as_well(app: App, kind: str) -> None:
    app.write(model=OLD)
    program = app.run_ready()
    app.stop(program)
    app.write(model=NEW)
    part = app.worker(0, 1) if kind == "worker" else app.api(1)
    assert part.wait() == 2
    assert "a.p: removed" in part.output


def test_an_update_is_refused_while_anything_runs(app: App) -> None:
    app.write(model=OLD)
    program = app.run_ready()
    app.write(model=NEW)
    refused = update(app, "--yes")
    assert (refused.returncode, "another `dp3 run` works with" in refused.stderr) == (2, True)
    app.stop(program)


def test_an_update_is_refused_while_parts_run_that_were_started_by_hand(app: App) -> None:
    app.write(model=OLD)
    api, worker = app.api(1), app.worker(0, 1)
    app.wait_ready()
    app.write(model=NEW)
    refused = update(app, "--yes")
    assert (refused.returncode, "an API process works with" in refused.stderr) == (2, True)
    api.send_signal(15)
    assert api.wait() == 0
    refused = update(app, "--yes")
    assert (refused.returncode, "stop all workers first" in refused.stderr) == (2, True)
    worker.kill()
    assert update(app, "--yes").returncode == 0


def stage_of(app: App) -> int:
    """The number of the stage that an update has reached; 0 while there is none under way."""
    mark = app.query("SELECT content FROM model WHERE name = 'mark'")
    return STAGES.index(json.loads(mark[0][0])["stage"]) if mark else 0


def kill_update(app: App, wanted: str) -> int:
    """Kill an update that has reached a stage; returns the one that it has reached then. On a server one that
    was killed before is in its way for some seconds."""

    def is_killed() -> bool:
        process = app.start("schema-update", str(app.config), "--data-dir", str(app.data), "--yes")
        while process.running and stage_of(app) < STAGES.index(wanted):
            pass
        is_refused = not process.running and process.wait() != 0
        process.kill()
        return not is_refused

    wait_for("an update", is_killed)
    return stage_of(app)


def test_an_update_that_is_killed_again_and_again_is_finished_before_anything_starts(app: App) -> None:
    app.write(model=OLD)
    program = app.run_ready()
    fill(app, 4_000)
    app.stop(program)
    numbers = numbers_of(app, "a", "p", "to", "to.eid") + numbers_of(app, "c", "from", "from.eid")
    app.write(model=NEW)
    reached = []
    for wanted in ("values", "snapshots", "index"):
        reached.append(kill_update(app, wanted))
        refused = app.run()
        assert (refused.wait(), "finish it with" in refused.output) == (2, True)
    assert reached == sorted(reached)
    assert 0 < reached[0] < reached[-1]
    unfinished = update(app, "--dry-run")
    assert "Not all is removed yet" in unfinished.stdout
    finished = wait_for("an update", lambda: one if (one := update(app)).returncode == 0 else None)
    assert "All of it is removed" in finished.stdout
    assert rows_with(app, numbers) == {}
    program = app.run_ready()
    for eid in ("e0", "e1999", "e3999"):
        assert set(app.client.get(f"/entity/a/{eid}/master")) == {"o", "q", "#time_created"}
    assert app.client.get("/entities")["a"]["eid_estimate_count"] == 4_000
    app.stop(program)


def test_additions_are_taken_without_asking_by_all_that_start_at_the_same_time(app: App) -> None:
    app.write(model=NEW)
    app.stop(app.run_ready())
    app.write(model=OLD)
    program = app.run_ready("--workers", "3")
    app.client.send([point("a", "e1", "p", "x")])
    app.wait_idle()
    assert app.client.get("/entity/a/e1/get/p")["current_value"] == "x"
    app.stop(program)
    assert "the model has grown: a.p, a.to, c.from" in program.output
