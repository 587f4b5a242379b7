"""`dp3 bench snapshots`: how fast runs are, and what they cost when little has changed."""

import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from dp3.bench.application import LONG, Application
from dp3.bench.devices import Changed, Observed, Part, is_linked
from dp3.bench.driver import RunFigures, fill, pack_all, run_snapshots
from dp3.bench.engines import EMBEDDED, Engine
from dp3.bench.report import Say, expect
from dp3.bench.server import Server, running
from dp3.bench.workload import ETYPE

MOST_WITH_HISTORY = 200_000
"""More devices than these get less data each, so that sending it takes minutes, not an hour."""

CHANGED_OF = 100
"""One of so many devices changes between two runs."""

LINKED = 50_000
ENTITIES = 1_000_000
RUNS = 336

HISTORY_ENTITIES = 10_000

Figures = dict[str, Any]


HEADLINES = {
    "linked": ("linked_entities_per_s", "first_entities_per_s"),
    "changed": ("changed_run_ratio", "ratio"),
    "history": ("history_bytes_ratio", "ratio"),
}
"""Part → what its figure at the top is called there, and in the part."""

PARTS = tuple(HEADLINES)


def snapshots(
    only: Iterable[str],
    linked_devices: int,
    entities: int,
    runs: int,
    say: Say,
    engine: Engine = EMBEDDED,
) -> Figures:
    """Measure some parts: linked devices, devices without hooks, the rows of many runs. Raises
    `BenchFailed`."""
    measures: dict[str, Callable[[], Figures]] = {
        "linked": lambda: linked(linked_devices, say, engine),
        "changed": lambda: changed(entities, say, engine),
        "history": lambda: history(min(HISTORY_ENTITIES, entities), runs, say, engine),
    }
    groups = {name: measures[name]() for name in only}
    top = {HEADLINES[name][0]: group[HEADLINES[name][1]] for name, group in groups.items()}
    return top | {"rss_mb": max(group["rss_mb"] for group in groups.values())} | groups


def linked(
    entities: int,
    say: Say,
    engine: Engine = EMBEDDED,
) -> Figures:
    """Full runs over devices of which three in eight get a value from the device that they link to: the first
    one, and further ones over the same data, in which all devices with hooks are looked at again."""
    application = Application(modules=["peer_load"], validity=LONG)
    with running(application, engine=engine) as server:
        devices = Observed(datetime.now(UTC))
        points = fill(server, devices, entities, say)
        say(f"packing {points:,} intervals")
        rows = pack_all(server, application, points)
        server.restart(application)
        first = _full_run(server, entities, say)
        check_peers(server, devices, entities)
        again = _repeated_run(server, devices, entities, say)
        rss_mb = _worker_rss_mb(server)
        server.restart(application, workers=2)
        # After this one, the workers know as much as the one did before the run that theirs is compared with.
        _repeated_run(server, devices, entities, say)
        shared = _repeated_run(server, devices, entities, say)
        shared_rss_mb = _worker_rss_mb(server)
        server.stop()
    return {
        "entities": entities,
        "datapoints": points,
        "packed_rows": rows,
        **_of_run("first", first),
        **_of_run("repeated", again),
        **_of_run("two_workers", shared),
        "two_workers_cpu_ratio": round(shared.cpu_us / again.cpu_us, 2),
        "rss_mb": rss_mb,
        "two_workers_rss_mb": shared_rss_mb,
    }


def changed(entities: int, say: Say, engine: Engine = EMBEDDED) -> Figures:
    """A run over devices without hooks after few have changed, against the first one."""
    data = Observed(datetime.now(UTC))
    if entities > MOST_WITH_HISTORY:
        data = Observed(datetime.now(UTC), observations=1, attrs=("load", "os"))
    with running(Application(validity=LONG), engine=engine) as server:
        points = fill(server, data, entities, say)
        first = _full_run(server, entities, say)
        touched = range(0, entities, CHANGED_OF)
        say(f"changing {len(touched):,} devices, second run")
        second = _changed_run(server, touched, load=99)
        rss_mb = _worker_rss_mb(server)
        server.stop()
    return {
        "ratio": round(second.seconds / first.seconds, 4),
        "data": f"{len(data.attrs)} attributes x {data.observations} observations",
        "datapoints": points,
        "entities": first.entities,
        "first_run_s": round(first.seconds, 3),
        "first_worker_cpu_s": round(first.cpu_s, 2),
        "first_entities_per_s": round(first.per_s),
        "changed_entities": second.entities,
        "changed_run_s": round(second.seconds, 3),
        "changed_worker_cpu_s": round(second.cpu_s, 2),
        "rss_mb": rss_mb,
    }


def history(entities: int, runs: int, say: Say, engine: Engine = EMBEDDED) -> Figures:
    """The growth of the state by many runs, against writing every snapshot in each of them."""
    with running(Application(validity=LONG), engine=engine) as server:
        fill(server, Observed(datetime.now(UTC)), entities, say)
        _full_run(server, entities, say)
        rows, before = engine.snapshot_bytes(server.data)
        say(f"{runs:,} more runs, one device in {CHANGED_OF} changes before each")
        started = time.perf_counter()
        for number in range(runs):
            _changed_run(server, range(number % CHANGED_OF, entities, CHANGED_OF), load=100 + number)
        seconds = time.perf_counter() - started
        _check_series(server, runs)
        added = engine.snapshot_bytes(server.data)[1] - before
        rss_mb = _worker_rss_mb(server)
        server.stop()
    return {
        "ratio": round(added / (rows * runs), 4),
        "entities": entities,
        "runs": runs,
        "full_run_bytes": rows,
        "added_bytes": added,
        "seconds_per_run": round(seconds / runs, 3),
        "rss_mb": rss_mb,
    }


def _check_series(server: Server, runs: int) -> None:
    """The first device has a snapshot of every run, with the values it had then."""
    series = server.get(f"/entity/{ETYPE}/dev-0/snapshots")
    changes = range(0, runs, CHANGED_OF)
    expect("snapshots of one device", len(series), runs + 1)
    expected = [series[0]["load"], *(100 + number // CHANGED_OF * CHANGED_OF for number in range(runs))]
    expect("its values", [one["load"] for one in series], expected)
    expect("its different values", len({one["load"] for one in series}), len(changes) + 1)


def _full_run(server: Server, entities: int, say: Say) -> RunFigures:
    say("first run")
    run = run_snapshots(server)
    expect("snapshots made and written by the first run", (run.entities, run.written), (entities, entities))
    return run


def _changed_run(server: Server, touched: range, load: int) -> RunFigures:
    for _, body in Part(Changed(datetime.now(UTC), load), touched):
        expect("change", server.post("/datapoints?wait=true", body), {"detail": "OK", "applied": True})
    run = run_snapshots(server)
    expect(
        "snapshots made and written after a change", (run.entities, run.written), (len(touched), len(touched))
    )
    return run


def _repeated_run(server: Server, devices: Observed, entities: int, say: Say) -> RunFigures:
    """One in which hooks look at all linked devices, but nothing has changed."""
    say("the same data once more")
    run = run_snapshots(server)
    expect("snapshots made and written by a repeated run", (run.entities, run.written), (entities, 0))
    check_peers(server, devices, entities)
    return run


def check_peers(server: Server, devices: Observed, entities: int) -> None:
    """Raise `BenchFailed` unless each linked device has got the load of its peer from the hook."""
    condition = quote(json.dumps({"last.risk": devices.newest("load", 0)}))
    found = server.get(f"/entity/{ETYPE}/count?generic_filter={condition}")["total_count"]
    expect("devices with the load of their peer", found, sum(map(is_linked, range(entities - 1))))


def _of_run(name: str, run: RunFigures) -> Figures:
    return {
        f"{name}_entities_per_s": round(run.per_s),
        f"{name}_cpu_us": round(run.cpu_us, 1),
        f"{name}_run_s": round(run.seconds, 3),
    }


def _worker_rss_mb(server: Server) -> float:
    """The memory of the worker that has most."""
    sizes = [process.memory_info().rss for role, process in server.processes().items() if "worker" in role]
    return round(max(sizes) / 2**20, 1)
