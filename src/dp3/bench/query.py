"""`dp3 bench query`: how long questions take while data comes in."""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from dp3.bench.application import Application
from dp3.bench.devices import Varied
from dp3.bench.failure import BenchFailed
from dp3.bench.filling import fill
from dp3.bench.load import percentile_ms
from dp3.bench.questions import ASKERS, SqlBuilder
from dp3.bench.runs import expect, run_snapshots
from dp3.bench.server import Server, running
from dp3.bench.showing import Say
from dp3.bench.stream import streaming
from dp3.bench.workload import ETYPE

ENTITIES = 100_000
LARGE = 1_000_000

REQUESTS = 250
"""Of each kind."""

RATE = 5_000
"""Data-points a second beside the questions."""

LEAST_OF_RATE = 0.95

PREFIXES = ("ip_prefix", "text_prefix")

SETTLED_S = 2.0
"""Data has come in for so long before the first question."""

SEED = 1


def query(entities: int, requests: int, say: Say) -> dict[str, Any]:
    """Measure all kinds of questions, in random order. Raises `BenchFailed`."""
    with running(Application(validity="30d")) as server:
        datapoints = fill(server, Varied(datetime.now(UTC)), entities, say)
        say("making their snapshots")
        run = run_snapshots(server)
        expect("snapshots", run.written, entities)
        say(f"asking {requests} questions of each of {len(ASKERS)} kinds, at {RATE:,} data-points a second")
        with streaming(server.url, entities, RATE) as streamed:
            time.sleep(SETTLED_S)
            latencies = _ask(server, entities, requests)
            behind = server.get("/telemetry/log")["oldest_unprocessed_age_s"] or 0.0
        if streamed.per_s < RATE * LEAST_OF_RATE:
            raise BenchFailed(f"only {streamed.per_s:.0f} of {RATE} data-points a second were taken in")
        server.wait_drained()
        stored = server.get("/entities")[ETYPE]["eid_estimate_count"]
        expect("devices at the end", stored, entities)
        server.stop()
    name = "p95_ms" if entities < LARGE else "p95_ms_1m"
    return {
        name: percentiles(latencies, 0.95),
        "p50_ms": percentiles(latencies, 0.5),
        "entities": entities,
        "datapoints": datapoints,
        "requests_of_each": requests,
        "ingested_per_s": round(streamed.per_s),
        "behind_s": round(behind, 2),
        "run_s": round(run.seconds, 2),
    }


def _ask(server: Server, entities: int, requests: int) -> dict[str, list[float]]:
    """Kind → seconds that its answers took, ascending."""
    latencies: dict[str, list[float]] = {kind: [] for kind in ASKERS}
    connection = server.connect()
    try:
        for kind, question in _questions(entities, requests):
            started = time.perf_counter()
            connection.request("GET", question.path)
            response = connection.getresponse()
            text = response.read()
            latencies[kind].append(time.perf_counter() - started)
            if response.status != 200 or not question.is_good(msgspec.json.decode(text)):
                raise BenchFailed(f"{question.path} was answered with {response.status}: {text[:300]!r}")
    finally:
        connection.close()
    return {kind: sorted(found) for kind, found in latencies.items()}


def _questions(entities: int, requests: int) -> Iterator[tuple[str, SqlBuilder]]:
    rnd = random.Random(SEED)
    kinds = list(ASKERS) * requests
    rnd.shuffle(kinds)
    for kind in kinds:
        yield kind, ASKERS[kind](rnd, entities)


def percentiles(latencies: dict[str, list[float]], share: float) -> dict[str, float]:
    """In ms, by kind; `prefix` is the worse one of the two kinds of prefixes."""
    found = {kind: round(percentile_ms(seconds, share), 1) for kind, seconds in latencies.items()}
    return found | {"prefix": max(found[kind] for kind in PREFIXES)}
