"""The phase of `dp3 bench lifecycle` about packing of history, with its floor."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dp3.bench.application import LONG, Application, soon
from dp3.bench.devices import eid_of
from dp3.bench.driver import Watch, fill_with
from dp3.bench.lives import rounds_of_loads
from dp3.bench.report import BenchFailed, Say, expect
from dp3.bench.server import Server, running
from dp3.bench.state import state_file, state_of
from dp3.bench.workload import ETYPE
from dp3.common.utils import batched
from dp3.sqlite import connect, transaction
from dp3.statements import load_statements
from dp3.store.sqlite.opening import CACHE_MIB

FLOOR_ROWS = 1_000
"""Fresh rows in a transaction of the floor, as slices of packing have them, too."""

INTERVALS_OF_ENTITY = 5

STARTS = 4
"""Packing begins after so many times the time that the program took to start before."""

LEAST_WATCHED = 0.9
"""A program that is slow to start begins before it is watched; what was packed by then does not count."""

METRICS_POLL_S = 0.2
"""An answer with all metrics takes the API some 10 ms."""

SAMPLE = 20
"""Devices of which it is looked at whether readers see a difference."""

PASSES, READ, SECONDS = (
    "dp3_packing_passes_total",
    "dp3_packing_read_rows_total",
    "dp3_packing_slice_seconds_sum",
)


def keep_state(data: Path) -> Path:
    """Copy the state of a program that is stopped."""
    before = data / "before-packing.db"
    source, copy = connect(state_file(data), readonly=True), connect(before)
    try:
        with copy.backup("main", source, "main") as backup:
            backup.step()
    finally:
        copy.close()
        source.close()
    return before


def floor_of(before: Path, data: Path) -> float:
    """The least that packing must do on the same machine, in one process: fresh rows a second.

    Read the same fresh rows, put the same packed rows in their order, remove the fresh ones, in transactions
    of a thousand; nothing else: nothing is looked up, sorted, united or encoded, there are no checkpoints.
    `before` is the state that was to be packed, in `data` it has been."""
    sql = load_statements("dp3.bench", "packing_floor.sql")
    after = connect(state_file(data), synchronous="NORMAL", readonly=True)
    try:
        packed = after.execute(sql["packed"]).fetchall()
    finally:
        after.close()
    connection = connect(before, synchronous="NORMAL", cache_mib=CACHE_MIB)
    try:
        started = time.perf_counter()
        fresh = [row[:3] for row in connection.execute(sql["fresh"])]
        share = max(len(packed) * FLOOR_ROWS // len(fresh), 1)
        for rows in batched(packed, share):
            with transaction(connection):
                connection.executemany(sql["put"], rows)
        for some in batched(fresh, FLOOR_ROWS):
            with transaction(connection):
                connection.executemany(sql["remove"], some)
        for keys in batched(sorted((key,) for _, _, key in fresh), FLOOR_ROWS):
            with transaction(connection):
                connection.executemany(sql["remove_incoming"], keys)
        return len(fresh) / (time.perf_counter() - started)
    finally:
        connection.close()
        before.unlink()


def compaction(intervals: int, say: Say) -> dict[str, Any]:
    """Pack so many fresh intervals, then make further passes over what has not changed."""
    entities = max(intervals // INTERVALS_OF_ENTITY, 1)
    loads = rounds_of_loads(datetime.now(UTC), INTERVALS_OF_ENTITY)
    with running(Application(validity=LONG)) as server:
        sent = fill_with(server, loads, entities, say)
        seen = _seen(server, entities)
        server.stop()
        before = keep_state(server.data)
        say(f"packing {sent:,} intervals")
        schedule = soon(datetime.now(UTC), STARTS * server.start_s)
        server.start(Application(validity=LONG).with_packing(schedule))
        with state_of(server.data) as state:
            watch = Watch(server)
            watched = state.fresh()
            begun = watch.until("packing has begun", state.has_packing_begun)
            done = watch.until("all is packed", lambda: not state.has_fresh())
            cpu_s = watch.cpu_s()
            if watched < sent * LEAST_WATCHED:
                raise BenchFailed(
                    f"{sent - watched:,} of {sent:,} intervals were packed before it was watched"
                )
            points, rows = state.history()
        expect("intervals after packing", points, sent)
        expect("what readers see after packing", _seen(server, entities), seen)
        passes = _later_passes(server, watch, sent)
        server.stop()
        say("measuring the floor")
        floor_per_s = floor_of(before, server.data)
    per_s = watched / (done - begun)
    return {
        "compaction_per_s": round(per_s),
        "floor_per_s": round(floor_per_s),
        "ratio_to_floor": round(floor_per_s / per_s, 2),
        "intervals": sent,
        "entities": entities,
        "packing_s": round(done - begun, 3),
        "worker_cpu_s": cpu_s,
        "packed_rows": rows,
        **passes,
        "rss_mb": watch.rss_mb,
    }


def _later_passes(server: Server, watch: Watch, packed: int) -> dict[str, Any]:
    """Rows read by the passes after the first one, and how long one took. There is one every few seconds."""
    watch.until("the first pass is told of", lambda: server.metric(PASSES) >= 1, every_s=METRICS_POLL_S)
    passes, read, seconds = map(server.metric, (PASSES, READ, SECONDS))
    expect("fresh rows read until all was packed", read, packed)
    over = "a pass over what has not changed"
    watch.until(over, lambda: server.metric(PASSES) > passes, every_s=METRICS_POLL_S)
    later = server.metric(PASSES) - passes
    return {
        "second_pass_rows_read": round(server.metric(READ) - read),
        "second_pass_ms": round((server.metric(SECONDS) - seconds) / later * 1e3, 2),
    }


def _seen(server: Server, entities: int) -> list[Any]:
    step = max(entities // SAMPLE, 1)
    return [server.get(f"/entity/{ETYPE}/{eid_of(i)}/get/load") for i in range(0, entities, step)]
