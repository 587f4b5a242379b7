"""The phase of `dp3 bench lifecycle` about packing of history."""

from datetime import UTC, datetime
from typing import Any

from dp3.bench import packing_floor
from dp3.bench.application import EVERY_SECOND, Application, Settings, soon
from dp3.bench.devices import eid_of
from dp3.bench.failure import BenchFailed
from dp3.bench.filling import fill_with
from dp3.bench.lives import rounds_of_loads
from dp3.bench.runs import expect
from dp3.bench.server import Server, running
from dp3.bench.showing import Say
from dp3.bench.state import state_of
from dp3.bench.watching import Watch
from dp3.bench.workload import ETYPE

INTERVALS_OF_ENTITY = 5

LEAST_WATCHED = 0.9
"""A program that is slow to start begins before it is watched; what was packed by then does not count."""

SAMPLE = 20
"""Devices of which it is looked at whether readers see a difference."""

LONG = "30d"
"""Validity of observations: what is seen must not change by itself."""

PASSES, READ, SECONDS = (
    "dp3_packing_passes_total",
    "dp3_packing_read_rows_total",
    "dp3_packing_slice_seconds_sum",
)


def compaction(intervals: int, say: Say) -> dict[str, Any]:
    """Pack so many fresh intervals, then make further passes over what has not changed."""
    entities = max(intervals // INTERVALS_OF_ENTITY, 1)
    loads = rounds_of_loads(datetime.now(UTC), INTERVALS_OF_ENTITY)
    with running(Application(validity=LONG)) as server:
        sent = fill_with(server, loads, entities, say)
        seen = _seen(server, entities)
        server.stop()
        before = packing_floor.keep_state(server.data)
        say(f"packing {sent:,} intervals")
        server.start(Application(validity=LONG, settings=_packing(soon(datetime.now(UTC)))))
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
            size = state.history()
        expect("intervals after packing", size.points, sent)
        expect("what readers see after packing", _seen(server, entities), seen)
        passes = _later_passes(server, watch, sent)
        server.stop()
        say("measuring the floor")
        floor_per_s = packing_floor.measure(before, server.data)
    per_s = watched / (done - begun)
    return {
        "compaction_per_s": round(per_s),
        "floor_per_s": round(floor_per_s),
        "ratio_to_floor": round(floor_per_s / per_s, 2),
        "intervals": sent,
        "entities": entities,
        "packing_s": round(done - begun, 3),
        "worker_cpu_s": cpu_s,
        "packed_rows": size.rows,
        **passes,
        "rss_mb": watch.rss_mb,
    }


def pack_all(server: Server, intervals: int) -> int:
    """Have all intervals of a program packed, which are so many; returns the number of rows."""
    server.restart(Application(settings=_packing(EVERY_SECOND)))
    with state_of(server.data) as state:
        Watch(server).until("all is packed", lambda: not state.has_fresh())
        expect("packed intervals", state.history().points, intervals)
        return state.history().rows


def _packing(schedule: Settings) -> dict[str, Settings]:
    return {"history_manager": {"aggregation_schedule": schedule}}


def _later_passes(server: Server, watch: Watch, packed: int) -> dict[str, Any]:
    """What passes after the first one read, and how long one took. There is one every few seconds."""
    watch.until("the first pass is told of", lambda: server.metric(PASSES) >= 1)
    passes, read, seconds = map(server.metric, (PASSES, READ, SECONDS))
    expect("fresh rows read until all was packed", read, packed)
    watch.until("a pass over what has not changed", lambda: server.metric(PASSES) > passes)
    later = server.metric(PASSES) - passes
    return {
        "second_pass_rows_read": round(server.metric(READ) - read),
        "second_pass_ms": round((server.metric(SECONDS) - seconds) / later * 1e3, 2),
    }


def _seen(server: Server, entities: int) -> list[Any]:
    step = max(entities // SAMPLE, 1)
    return [server.get(f"/entity/{ETYPE}/{eid_of(i)}/get/load") for i in range(0, entities, step)]
