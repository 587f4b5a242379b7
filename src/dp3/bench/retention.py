"""The phase of `dp3 bench lifecycle` about removal of history that is beyond its `max_age`."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from dp3.bench.application import Application, soon
from dp3.bench.devices import Devices, eid_of
from dp3.bench.driver import Record, Watch, fill_with, first_of, pack_all, took_s
from dp3.bench.lives import Aged, one_of, rounds_of_loads
from dp3.bench.report import Say, expect
from dp3.bench.server import Server, running
from dp3.bench.state import state_of
from dp3.bench.workload import ETYPE

OLD_AND_NEW = 10
"""Intervals of each device when old ones are removed."""

OLD_INTERVALS = 5
OLD_OF = 50
"""One device of so many has so many old intervals: one interval in a hundred is old."""

OLD = timedelta(days=8)
"""The model keeps seven days."""


def retention(entities: int, say: Say) -> dict[str, Any]:
    """Remove the one interval in a hundred that is old from packed history, against reading all of it."""
    old = one_of(entities, OLD_OF) * OLD_INTERVALS
    with running() as server:
        sent = fill_with(server, _rounds(datetime.now(UTC)), entities, say)
        say(f"packing {sent:,} intervals")
        rows = pack_all(server, Application(), sent)
        scan_s = _scan_s(server)
        say(f"removing {old:,} old intervals of {sent:,}")
        cleaning = {"datapoint_cleaning_schedule": soon(datetime.now(UTC))}
        server.restart(Application(settings={"history_manager": cleaning}))
        watch = Watch(server)
        watch.until("a pass is over", lambda: bool(_done(server)))
        cpu_s = watch.cpu_s()
        first = first_of(_done(server))
        expect("intervals removed", first["datapoints_removed"], old)
        with state_of(server.data) as state:
            expect("intervals left", state.history()[0], sent - old)
        expect("loads of a device with old ones", _loads(server, 0), [2, 3, 4])
        expect("loads of one without", _loads(server, 1), [0, 1, 2, 3, 4])
        server.stop()
    return {
        "retention_ratio": round(took_s(first) / scan_s, 3),
        "pass_s": round(took_s(first), 3),
        "worker_cpu_s": cpu_s,
        "full_scan_s": round(scan_s, 3),
        "intervals": sent,
        "entities": entities,
        "packed_rows": rows,
        "rows_looked_at": first["rows_looked_at"],
        "removed": old,
        "rss_mb": watch.rss_mb,
    }


def _rounds(now: datetime) -> list[Devices]:
    new, old = rounds_of_loads(now, OLD_AND_NEW), rounds_of_loads(now - OLD, OLD_AND_NEW)
    aged: list[Devices] = [Aged(new[k], old[k], OLD_OF) for k in range(OLD_INTERVALS)]
    return aged + new[OLD_INTERVALS:]


def _scan_s(server: Server) -> float:
    """The time that reading and decoding all history takes, in one process and without any change."""
    with state_of(server.data) as state:
        started = time.perf_counter()
        state.segments()
        return time.perf_counter() - started


def _done(server: Server) -> list[Record]:
    return [record for record in server.get("/telemetry/retention") if record["done"]]


def _loads(server: Server, i: int) -> list[int]:
    found = server.get(f"/entity/{ETYPE}/{eid_of(i)}/get/load")
    return [one["v"] for one in found["history"]]
