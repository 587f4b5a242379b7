"""`dp3 bench query`: how long questions take while data-points come in."""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, ip_network
from typing import Any
from urllib.parse import urlencode

from dp3.bench.application import Application
from dp3.bench.devices import LOADS, TEMPERATURES, Varied, address_of, eid_of, hostname_of, load_of
from dp3.bench.driver import fill, run_snapshots
from dp3.bench.engines import EMBEDDED, Engine
from dp3.bench.load import ask, percentile_ms, streaming
from dp3.bench.report import BenchFailed, Say, expect
from dp3.bench.server import Server, running
from dp3.bench.workload import ETYPE

LIMIT = 20

HOST_DIGITS = 100
"""Prefixes of host names are as long as so many hosts share."""

WIDTHS = (0.5, 5.0, 50.0)
"""Of the ranges of temperatures that are asked for; the whole is 80."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SqlBuilder:
    """A request, and the test that a good answer passes."""

    path: str
    is_good: Callable[[Any], bool]


Asker = Callable[[random.Random, int], SqlBuilder]
"""Makes a question about so many devices."""


def equality(rnd: random.Random, entities: int) -> SqlBuilder:
    load = load_of(rnd.randrange(min(entities, LOADS)))
    return _filtered({"last.load": load}, lambda row: row["load"] == load)


def ranges(rnd: random.Random, entities: int) -> SqlBuilder:
    low = rnd.randrange(TEMPERATURES) / 100
    high = low + rnd.choice(WIDTHS)
    condition = {"last.temp": {"$gte": low, "$lt": high}}
    return _filtered(condition, lambda row: low <= row["temp"] < high, at_least=0)


def ip_prefix(rnd: random.Random, entities: int) -> SqlBuilder:
    network = ip_network(f"{address_of(rnd.randrange(entities))}/24", strict=False)
    condition = {"last.address": f"$$IPv4Prefix{{{network}}}"}
    return _filtered(condition, lambda row: IPv4Address(row["address"]) in network, at_least=1)


def text_prefix(rnd: random.Random, entities: int) -> SqlBuilder:
    prefix = hostname_of(rnd.randrange(entities) // HOST_DIGITS * HOST_DIGITS)[:-2]
    condition = {"last.hostname": {"$regex": f"^{prefix}"}}
    return _filtered(condition, lambda row: row["hostname"].startswith(prefix))


def regex(rnd: random.Random, entities: int) -> SqlBuilder:
    """One that matches nothing, so that every value has to be looked at."""
    condition = {"last.hostname": {"$regex": f"[0-9]+-{rnd.randrange(10**6)}[a-z]$"}}
    return SqlBuilder(_listing({"generic_filter": json.dumps(condition)}), lambda answer: not answer["data"])


def in_order(rnd: random.Random, entities: int) -> SqlBuilder:
    attr, direction = rnd.choice(("temp", "load", "hostname", "eid")), rnd.choice((1, -1))

    def is_good(answer: Any) -> bool:
        values = [row[attr] for row in answer["data"]]
        return len(values) == min(LIMIT, entities) and values == sorted(values, reverse=direction < 0)

    return SqlBuilder(_listing({"sort": f"{attr}:{direction}"}), is_good)


def master(rnd: random.Random, entities: int) -> SqlBuilder:
    i = rnd.randrange(entities)
    path = f"/entity/{ETYPE}/{eid_of(i)}/master"
    return SqlBuilder(path, lambda answer: answer["address"]["v"] == str(address_of(i)))


def attr(rnd: random.Random, entities: int) -> SqlBuilder:
    path = f"/entity/{ETYPE}/{eid_of(rnd.randrange(entities))}/get/load"
    return SqlBuilder(path, lambda answer: answer["current_value"] is not None and bool(answer["history"]))


ASKERS: dict[str, Asker] = {
    "equality": equality,
    "range": ranges,
    "ip_prefix": ip_prefix,
    "text_prefix": text_prefix,
    "regex": regex,
    "sorted": in_order,
    "master": master,
    "attr": attr,
}


def _listing(query: dict[str, str]) -> str:
    return f"/entity/{ETYPE}/get?{urlencode({'limit': LIMIT, **query})}"


def _filtered(condition: Row, matches: Callable[[Row], bool], at_least: int = LIMIT) -> SqlBuilder:
    def is_good(answer: Any) -> bool:
        rows: Sequence[Row] = answer["data"]
        return at_least <= len(rows) <= LIMIT and all(map(matches, rows))

    return SqlBuilder(_listing({"generic_filter": json.dumps(condition)}), is_good)


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


def query(entities: int, requests: int, say: Say, engine: Engine = EMBEDDED) -> dict[str, Any]:
    """Measure all kinds of questions, in random order. Raises `BenchFailed`."""
    with running(Application(validity="30d"), engine=engine) as server:
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
            seconds, answer = ask(connection, question.path)
            latencies[kind].append(seconds)
            if not question.is_good(answer):
                raise BenchFailed(f"{question.path} was answered with {str(answer)[:300]}")
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
