"""The phase of `dp3 bench lifecycle` about periodic hooks."""

from datetime import UTC, datetime
from typing import Any

from dp3.bench.application import Application, soon
from dp3.bench.filling import fill_with
from dp3.bench.lives import rounds_of_loads
from dp3.bench.records import took_s
from dp3.bench.runs import expect
from dp3.bench.server import Server, running
from dp3.bench.showing import Say
from dp3.bench.watching import Watch


def updater(entities: int, say: Say) -> dict[str, Any]:
    """Call a hook that does nothing for all devices once: one cycle of one batch."""
    with running() as server:
        fill_with(server, rounds_of_loads(datetime.now(UTC), 1), entities, say)
        # A cycle has one batch, and the next one is not due for an hour.
        once = {"update_batch_cron": soon(datetime.now(UTC)), "update_batch_period": "1h"}
        server.restart(Application(modules=["visits"], settings={"updater": once}))
        say(f"visiting {entities:,} devices")
        watch = Watch(server)
        watch.until("all devices are visited", lambda: _is_done(server, entities))
        cpu_s = watch.cpu_s()
        (cycle,) = server.get("/telemetry/updates")
        expect("devices visited", cycle["visited"], entities)
        expect("calls of the hook", server.metric("dp3_hook_executions_total"), entities)
        server.stop()
    return {
        "updater_per_s": round(entities / took_s(cycle)),
        "entities": entities,
        "cycle_s": round(took_s(cycle), 3),
        "worker_cpu_s": cpu_s,
        "rss_mb": watch.rss_mb,
    }


def _is_done(server: Server, entities: int) -> bool:
    cycles = server.get("/telemetry/updates")
    return bool(cycles) and cycles[0]["finished"] and cycles[0]["visited"] >= entities
