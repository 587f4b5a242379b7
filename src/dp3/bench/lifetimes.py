"""The phases of `dp3 bench lifecycle` about entities: those that end, and those that hooks visit."""

from datetime import UTC, datetime
from typing import Any

from dp3.bench.application import Application, soon
from dp3.bench.driver import Record, Watch, begun_s, fill_with, first_of, took_s
from dp3.bench.lives import (
    ALONE_OF,
    KEPT_OF,
    SESSION,
    SITE,
    SITES,
    Sessions,
    Sites,
    one_of,
    rounds_of_loads,
    session_of,
)
from dp3.bench.report import Say, expect
from dp3.bench.server import Server, running
from dp3.bench.state import state_of
from dp3.bench.workload import ETYPE


def collector(entities: int, say: Say) -> dict[str, Any]:
    """Find and delete sessions that are over, from the begin of the collection until none is seen."""
    kept = one_of(entities, KEPT_OF)
    ended = entities - kept
    with running() as server:
        fill_with(server, [Sessions()], entities, say, SESSION)
        server.restart(_collecting())
        say(f"collecting {ended:,} sessions of {entities:,}")
        with state_of(server.data) as state:
            watch = Watch(server)
            gone = watch.until("sessions are over", lambda: state.entities(SESSION) <= kept)
            cpu_s = watch.cpu_s()
            cleared = watch.until("their rows are removed", lambda: not state.has_garbage())
        server.wait_drained()
        records = _records(server)
        begun = begun_s(first_of([record for record in records if record["expired"]]))
        expect("sessions found to be over", sum(record["expired"] for record in records), ended)
        expect("sessions removed", server.metric("dp3_removed_entities_total"), ended)
        expect("sessions left", _count(server, SESSION), kept)
        expect("a session that is over", server.get(f"/entity/{SESSION}/{session_of(1)}/master"), {})
        expect("one that is not", bool(server.get(f"/entity/{SESSION}/{session_of(0)}/master")), True)
        server.stop()
    return {
        "collector_per_s": round(ended / (gone - begun)),
        "with_rows_per_s": round(ended / (cleared - begun)),
        "entities": entities,
        "ended": ended,
        "deletion_s": round(gone - begun, 3),
        "worker_cpu_s": cpu_s,
        "rss_mb": watch.rss_mb,
    }


def weak(entities: int, say: Say) -> dict[str, Any]:
    """Pass over sites that devices name, in the first collection; those of no device go with a later one."""
    alone, devices = one_of(entities, ALONE_OF), one_of(entities, SITES)
    with running() as server:
        fill_with(server, [Sites()], entities, say, SITE)
        server.restart(_collecting())
        say(f"passing over {entities:,} sites")
        with state_of(server.data) as state:
            watch = Watch(server)
            watch.until("sites of no device are gone", lambda: state.entities(SITE) <= entities - alone)
        first = first_of(_records(server))
        server.wait_drained()
        expect("entities passed over", first["looked_at"], entities + devices)
        expect("sites removed", server.metric("dp3_removed_entities_total"), alone)
        expect("sites left", _count(server, SITE), entities - alone)
        expect("devices left", _count(server, ETYPE), devices)
        server.stop()
    return {
        "weak_per_s": round(entities / took_s(first)),
        "entities": entities,
        "devices": devices,
        "alone": alone,
        "collection_s": round(took_s(first), 3),
        "rss_mb": watch.rss_mb,
    }


def _collecting() -> Application:
    return Application(settings={"garbage_collector": {"collection_rate": soon(datetime.now(UTC))}})


def _records(server: Server) -> list[Record]:
    found: list[Record] = server.get("/telemetry/collections?limit=10000")
    return found


def _count(server: Server, etype: str) -> int:
    count: int = server.get("/entities")[etype]["eid_estimate_count"]
    return count


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
