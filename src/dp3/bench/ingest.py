"""`dp3 bench ingest`: how fast data-points get in."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import msgspec

from dp3.bench import floor
from dp3.bench.application import Application
from dp3.bench.engines import EMBEDDED, Engine
from dp3.bench.floor import PLAIN
from dp3.bench.load import Body, Load, send
from dp3.bench.report import BenchFailed, Say, say, show
from dp3.bench.server import Server, cpu_s, median_fdatasync_ms, running, wal_bytes
from dp3.bench.workload import ETYPE, Workload
from dp3.log.port import Log
from dp3.sqlite import connect, transaction
from dp3.store.ports.state import State

WAL_EVERY_S = 0.02

Progress = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """Figures of one load. `transaction_points`: data-points per commit, on average, also for the floor.

    `commit_cpu_us_per_dp`: of the workers' threads, while they commit. A server is a role that computes, with
    `wal_bytes_per_dp`; the floor and `wal_peak_mb` are of files. `more`: what `loaded` returned."""

    workload: dict[str, Any]
    accepted_per_s: float = 0
    end_to_end_per_s: float = 0
    floor_per_s: float = 0
    ratio_to_floor: float = 0
    cpu_us_per_dp: dict[str, float] = field(default_factory=dict)
    rss_mb: dict[str, float] = field(default_factory=dict)
    bytes_per_dp: float = 0
    append_p95_ms: float = 0
    wal_peak_mb: float = 0
    wal_bytes_per_dp: float = 0
    commit_cpu_us_per_dp: float = 0
    transaction_points: int = 0
    fdatasync_ms: float = 0
    more: dict[str, Any] = field(default_factory=dict)


def ingest(
    workload: Workload,
    clients: int,
    progress: Progress,
    *,
    tokens: bool = False,
    engine: Engine = EMBEDDED,
    workers: int = 1,
    loaded: Callable[[Server], dict[str, Any]] = lambda server: {},
) -> Result:
    """Load the real program with an empty state, check what it stored, measure the floor. `tokens`: requests
    need one. `loaded` is called when everything is applied, while the program still runs."""
    progress(f"making {workload.total:,} data-points")
    bodies = list(workload.bodies())
    result = Result(workload=asdict(workload))
    application = Application(modules=["commit_cost"])
    with running(application, workers, tokens=tokens, engine=engine) as server:
        result.fdatasync_ms = round(median_fdatasync_ms(server.data), 3)
        progress(f"sending them with {clients} clients")
        _load(result, server, bodies, clients)
        result.more = loaded(server)
        server.stop()
        result.bytes_per_dp = round(engine.disk_bytes(server.data) / workload.total, 1)
        progress("checking what was stored")
        _check(result, server, bodies)
    return result


def _load(result: Result, server: Server, bodies: list[Body], clients: int) -> None:
    started = time.perf_counter()
    before, wal_before = _cpu_seconds(server), server.engine.wal_bytes()
    with _watching_wal(server, result):
        load = send(server.url, bodies, clients, server.token)
        server.wait_drained()
    seconds = time.perf_counter() - started
    _note_load(result, server, load, before, seconds)
    if wal_before is not None and (wal_after := server.engine.wal_bytes()) is not None:
        result.wal_bytes_per_dp = round((wal_after - wal_before) / load.accepted, 1)


@contextmanager
def _watching_wal(server: Server, result: Result) -> Iterator[None]:
    """Note the largest size that the write-ahead logs of state and log had together."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(WAL_EVERY_S):
            result.wal_peak_mb = max(result.wal_peak_mb, round(wal_bytes(server.data) / 2**20, 1))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _note_load(result: Result, server: Server, load: Load, before: dict[str, float], seconds: float) -> None:
    result.accepted_per_s = round(load.accepted / load.seconds)
    result.end_to_end_per_s = round(load.accepted / seconds)
    result.append_p95_ms = round(load.percentile_ms(0.95), 1)
    after = _cpu_seconds(server)
    computed = {role: cpu - before[role] for role, cpu in after.items()} | {"clients": load.cpu_s}
    result.cpu_us_per_dp = {role: round(cpu / load.accepted * 1e6, 2) for role, cpu in computed.items()}
    result.commit_cpu_us_per_dp = round(server.commits()[0] / load.accepted * 1e6, 2)
    result.rss_mb = {
        role: round(process.memory_info().rss / 2**20, 1) for role, process in server.processes().items()
    }


def _check(result: Result, server: Server, bodies: list[Body]) -> None:
    """From the log and the state that the stopped program left; of files, also the floor."""
    with server.engine.opened(server.data) as (log, store):
        _verify(store, bodies)
        commits = max(store.counters.all().get("batches", 0), 1)
        result.transaction_points = max(sum(count for count, _ in bodies) // commits, 1)
        if server.engine is EMBEDDED:
            _note_floor(result, bodies, log, store, server)


def _note_floor(result: Result, bodies: list[Body], log: Log, store: State, server: Server) -> None:
    lowest = floor.measure(bodies, log, store, result.transaction_points, server.data)
    result.floor_per_s = round(lowest.per_s)
    result.ratio_to_floor = round(lowest.per_s / result.end_to_end_per_s, 2)


def _cpu_seconds(server: Server) -> dict[str, float]:
    return {role: cpu_s(process) for role, process in server.processes().items()} | server.engine.cpu_s()


def _verify(store: State, bodies: list[Body]) -> None:
    """Every data-point was applied once, every entity is there, nothing failed."""
    points = [point for _, body in bodies for point in msgspec.json.decode(body)]
    expected = {
        "data-points processed": len(points),
        "entities": len({point["id"] for point in points}),
        "plain values": len({(point["id"], point["attr"]) for point in points if point["attr"] in PLAIN}),
        "history rows": sum(point["attr"] not in PLAIN for point in points),
        "dead letters": 0,
    }
    profiles = [store.entities.profile(ETYPE, eid) for eid in {point["id"] for point in points}]
    found = {
        "data-points processed": store.counters.all().get("datapoints", 0),
        "entities": store.entities.counts().get(ETYPE, 0),
        "plain values": sum(len(profile.plain) for profile in profiles if profile),
        "history rows": sum(len(profile.history) for profile in profiles if profile),
        "dead letters": store.dead_letters.count(),
    }
    wrong = [
        f"{found[what]} {what}, expected {count}" for what, count in expected.items() if found[what] != count
    ]
    if wrong:
        raise BenchFailed("; ".join(wrong))


READ_S = 5.0
POLL_S = 0.02


def reading(total: int, clients: int, tokens: bool, say: Say) -> dict[str, Any]:
    """Load the program; during the load, read for 5 s in one transaction. Sizes in MiB, times in ms."""
    bodies = list(Workload(total=total).bodies())
    say("sending them while somebody reads")
    with running(tokens=tokens) as server:
        loader = server.in_background(lambda: send(server.url, bodies, clients, server.token))
        connection = connect(server.data / "state" / "state.db", synchronous="NORMAL", readonly=True)
        peak = 0
        try:
            with transaction(connection, "DEFERRED"):
                connection.pragma("schema_version")
                end = time.monotonic() + READ_S
                while time.monotonic() < end:
                    peak = max(peak, wal_bytes(server.data))
                    time.sleep(POLL_S)
        finally:
            connection.close()
        load = loader.result()
        server.wait_drained()
        server.stop()
    return {"wal_peak_mb": round(peak / 2**20, 1), "append_p95_ms": round(load.percentile_ms(0.95), 1)}


Scenario = Literal["main", "ordered", "singles", "zipf", "reader", "all"]

ZIPF_ENTITIES = 1_000_000
COMPARED_POINTS = 400_000
"""Both loads of the comparison write so many rows."""


def run(scenario: Scenario, total: int, clients: int, tokens: bool, as_json: bool) -> None:
    """Run scenarios and print their figures, as a table or as one JSON object."""
    show(_figures(scenario, total, clients, tokens, say), as_json)


def _figures(scenario: Scenario, total: int, clients: int, tokens: bool, say: Say) -> dict[str, Any]:
    """The main load at the top level, the other scenarios below it by name."""
    figures: dict[str, Any] = {}
    if scenario in ("main", "all"):
        figures |= asdict(ingest(Workload(total=total), clients, say, tokens=tokens))
    for name, measure in _OTHERS.items():
        if scenario in (name, "all"):
            say(f"scenario: {name}")
            figures[name] = measure(total, clients, tokens, say)
    return figures


def _ordered(total: int, clients: int, tokens: bool, say: Say) -> dict[str, Any]:
    return asdict(ingest(Workload(total=total, order="time"), clients, say, tokens=tokens))


def _singles(total: int, clients: int, tokens: bool, say: Say) -> dict[str, Any]:
    result = ingest(Workload(total=min(total, 20_000), batch=1), 8, say, tokens=tokens)
    return {"requests_per_s": result.accepted_per_s, **asdict(result)}


def _zipf(total: int, clients: int, tokens: bool, say: Say) -> dict[str, Any]:
    """A million entities by Zipf's law against ten thousand, with as many rows."""
    small = ingest(Workload(total=COMPARED_POINTS), clients, say, tokens=tokens)
    zipf = Workload(total=COMPARED_POINTS, entities=ZIPF_ENTITIES, zipf=True)
    large = ingest(zipf, clients, say, tokens=tokens)
    return {"cost_ratio": round(small.end_to_end_per_s / large.end_to_end_per_s, 2), **asdict(large)}


_OTHERS: dict[str, Callable[[int, int, bool, Say], dict[str, Any]]] = {
    "ordered": _ordered,
    "singles": _singles,
    "zipf": _zipf,
    "reader": reading,
}


__all__ = ["Result", "Scenario", "run"]
