"""History that is too old goes, and nothing else, whatever dies."""

from datetime import UTC, datetime, timedelta
from typing import Any

from kit.program import App, Patience, wait_for
from kit.specs import a_type, observed_attr

ENTITIES, POINTS, REQUEST = 3_000, 30_000, 1_000
MOST_KILLS = 5
NEVER = {"year": 2100}
OLD, NEW = datetime(2015, 1, 1, tzinfo=UTC), datetime.now(UTC).replace(microsecond=0)

ATTR = observed_attr("int", {"max_age": "1000d"})
MODEL = {"a": a_type("a", {"o": ATTR})}


def configure(app: App, packing: dict[str, Any], cleaning: dict[str, Any]) -> None:
    schedules = {"aggregation_schedule": packing, "datapoint_cleaning_schedule": cleaning}
    app.write(model=MODEL, files={"history_manager.yml": schedules})


def point(number: int) -> dict[str, Any]:
    """Each second round of data-points of the entities is old."""
    begin = NEW if number // ENTITIES % 2 else OLD
    t1 = (begin + timedelta(seconds=number)).isoformat()
    return {"type": "a", "id": f"e{number % ENTITIES}", "attr": "o", "v": number, "t1": t1}


def is_old(number: int) -> bool:
    return number // ENTITIES % 2 == 0


def old_rows(app: App) -> int:
    ((rows,),) = app.query(f"SELECT count(*) FROM packed WHERE oldest < {int(NEW.timestamp())}000000")
    return int(rows)


def wait_for_progress(app: App, before: int) -> int:
    """Asks without a pause: a slice takes some 30 ms. Returns what is left."""
    patience = Patience()
    while (left := old_rows(app)) == before:
        assert not patience.is_over()
    return left


def values(app: App, eid: str) -> list[int]:
    return [one["v"] for one in app.client.get(f"/entity/a/{eid}/master")["o"]]


def test_after_kills_while_history_is_cleaned_exactly_what_is_too_old_is_gone(app: App) -> None:
    configure(app, {"second": "*"}, NEVER)
    app.api(1)
    worker = app.worker(0, 1)
    app.wait_ready()
    for first in range(0, POINTS, REQUEST):
        app.client.send([point(number) for number in range(first, first + REQUEST)])
    app.wait_idle()
    wait_for("packing", lambda: app.query("SELECT count(*) FROM fresh") == [(0,)])
    left = old_rows(app)
    assert left == POINTS / 2
    configure(app, NEVER, {"second": "*"})
    killed_inside = 0
    while left and killed_inside < MOST_KILLS:
        worker.kill()
        killed_inside += 0 < left < POINTS / 2
        worker = app.worker(0, 1)
        left = wait_for_progress(app, left)
    wait_for("the end of cleaning", lambda: old_rows(app) == 0)
    assert killed_inside
    app.wait_ready()
    for number in range(0, ENTITIES, 97):
        assert values(app, f"e{number}") == [n for n in range(number, POINTS, ENTITIES) if not is_old(n)]
    assert app.query("SELECT sum(points) FROM packed") == [(POINTS / 2,)]
    assert app.query("SELECT value FROM counter WHERE name = 'history_removed'") == [(POINTS / 2,)]
    wait_for("a pass without work", lambda: app.client.get("/telemetry/retention")[0]["rows_looked_at"] == 0)
