"""Packing of history ends, and nobody sees anything of it, whatever dies."""

from typing import Any

from kit.load import point, source_of
from kit.program import App, wait_for

KILLS = 4
POINTS, REQUEST = 30_000, 1_000


def packing(schedule: dict[str, Any]) -> dict[str, Any]:
    return {"history_manager.yml": {"aggregation_schedule": schedule}}


def under_way(app: App) -> bool:
    """Whether a pass has packed something and not everything."""
    ((fresh, packed),) = app.query("SELECT (SELECT count(*) FROM fresh), (SELECT count(*) FROM packed)")
    return fresh > 0 and packed > 0


def masters(app: App) -> dict[str, Any]:
    eids = sorted({source_of(number) for number in range(POINTS)})
    return {eid: app.client.get(f"/entity/a/{eid}/master") for eid in eids}


def test_after_kills_while_history_is_packed_all_answers_are_those_of_before(app: App) -> None:
    app.write(files=packing({"year": 2100}))
    app.api(1)
    worker = app.worker(0, 1)
    app.wait_ready()
    for first in range(0, POINTS, REQUEST):
        app.client.send([point(number) for number in range(first, first + REQUEST)])
    app.wait_idle()
    before = masters(app)
    app.write(files=packing({"second": "*"}))
    killed_inside = 0
    for _ in range(KILLS):
        worker.kill()
        killed_inside += under_way(app)
        worker = app.worker(0, 1)
        wait_for("packing", lambda: app.query("SELECT 1 FROM packed LIMIT 1"))
        app.wait_ready()
    assert masters(app) == before
    wait_for("the end of packing", lambda: app.query("SELECT count(*) FROM fresh") == [(0,)])
    assert killed_inside
    assert masters(app) == before
    assert app.query("SELECT sum(points) FROM packed") == [(POINTS,)]
