"""Old snapshots go while the program runs, whatever dies."""

from kit.program import App, Patience, Process, wait_for
from kit.specs import a_type, plain_attr

ENTITIES, RUNS = 3_000, 6
MOST_KILLS = 5

MODEL = {"n": a_type("n", {"p": plain_attr("int")})}
NEVER = {"year": 2100}


def configure(app: App, cleaning: dict[str, object]) -> None:
    files = {
        "snapshots.yml": {"creation_rate": NEVER},
        "history_manager.yml": {"snapshot_cleaning": {"schedule": cleaning, "older_than": "0s"}},
    }
    app.write({}, model=MODEL, files=files)


def count(app: App, table: str) -> int:
    [(rows,)] = app.query(f"SELECT count(*) FROM {table}")
    return int(rows)


def live(app: App) -> None:
    """All entities change before every run."""
    for number in range(RUNS):
        app.client.send([{"type": "n", "id": f"e{i}", "attr": "p", "v": number} for i in range(ENTITIES)])
        app.wait_idle()
        app.client.request("POST", "/control/make_snapshots")
        closed = f"SELECT count(*) = {number + 1} FROM run WHERE phase = 'closed'"
        wait_for("end of the run", lambda question=closed: app.query(question) == [(1,)])


def restart(app: App, worker: Process) -> Process:
    worker.kill()
    return app.worker(0, 1)


def wait_for_progress(app: App, before: int) -> int:
    """Asks without a pause: a slice takes some 30 ms. Returns what is left."""
    patience = Patience()
    while (left := count(app, "superseded")) == before:
        assert not patience.is_over()
    return left


def test_old_snapshots_go_though_the_worker_is_killed_again_and_again(app: App) -> None:
    configure(app, NEVER)
    api, worker = app.api(1), app.worker(0, 1)
    app.wait_ready()
    live(app)
    left = count(app, "superseded")
    assert left == ENTITIES * (RUNS - 1)
    configure(app, {"second": "*"})
    killed_inside = 0
    while left and killed_inside < MOST_KILLS:
        worker = restart(app, worker)
        left = wait_for_progress(app, left)
        killed_inside += left > 0
    worker = restart(app, worker)
    wait_for("end of the cleaning", lambda: count(app, "superseded") == 0)
    assert killed_inside > 0
    assert (count(app, "snapshot"), count(app, "run")) == (ENTITIES, 1)
    for eid in ("e0", f"e{ENTITIES - 1}"):
        [shown] = app.client.get(f"/entity/n/{eid}/snapshots")
        assert shown["p"] == RUNS - 1
    for process in (api, worker):
        process.send_signal(15)
        assert process.wait() == 0
